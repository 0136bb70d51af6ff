//! Kills a real process in the middle of its work, and looks at what it left.
//!
//! The process is this test program again, told by an environment variable what to do.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use sandbox_embedding::{Device, Kind, Model, testkit::model_folder};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Adoption, Change, Filter, Index, Meaning, Place, Question};
use crate::{
    document::{Document, Id},
    mode::Mode,
    text::Chunking,
};

const FOLDER: &str = "RAG_TEST_FOLDER";
/// Set for a process that writes vectors too.
const WITH_MODEL: &str = "RAG_TEST_WITH_MODEL";

fn model() -> Arc<Model> {
    Arc::new(Model::load(&model_folder(), Device::Cpu).unwrap())
}

fn place(folder: &Path) -> Place {
    let corpus = folder.join("corpus.jsonl");
    Place {
        directory: folder.join("index"),
        corpus: corpus.exists().then_some(corpus),
        chunking: Chunking {
            tokens: 64,
            overlap: 8,
        },
        adoption: Adoption::Same,
    }
}

fn open(folder: &Path) -> Index {
    Index::open(&place(folder), None, &CancellationToken::new(), |_| {}).unwrap()
}

fn open_with(folder: &Path, model: &Arc<Model>) -> Index {
    let model = Some(Arc::clone(model));
    Index::open(&place(folder), model, &CancellationToken::new(), |_| {}).unwrap()
}

fn found(index: &Index, question: &str) -> usize {
    index
        .search(&Question::new(
            question,
            Mode::Text,
            Filter::default(),
            1000,
        ))
        .unwrap()
        .len()
}

fn spawn(test: &str, folder: &Path) -> Child {
    command(test, folder).spawn().unwrap()
}

/// This program again, running one of the tests below in a folder.
fn command(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            &format!("index::crash_tests::{test}"),
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped());
    command
}

/// The lines of the child that are meant for its parent.
fn lines(child: &mut Child) -> impl Iterator<Item = String> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .map_while(Result::ok)
        .filter_map(|line| Some(line.split_once("> ")?.1.to_owned()))
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {line}").unwrap();
    out.flush().unwrap();
}

#[test]
fn child_writes_until_killed() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let index = match env::var_os(WITH_MODEL) {
        Some(_) => open_with(folder, &model()),
        None => open(folder),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for number in 0.. {
        let contents = format!("number{number} of the endless series");
        let id = Some(Id::Number(number));
        let document = Document::new(id, None, Some(contents), Default::default(), 1000).unwrap();
        runtime
            .block_on(index.change(Change::Put(index.prepare(&[document]).unwrap())))
            .unwrap();
        tell(&number.to_string());
    }
}

#[test]
fn what_was_answered_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    // Twice: the second process goes on where the first was killed.
    for answered in [10, 20] {
        let mut child = spawn("child_writes_until_killed", folder.path());
        let last = lines(&mut child).nth(answered).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(last, answered.to_string());
        let index = open(folder.path());
        for number in 0..=answered {
            assert_eq!(
                found(&index, &format!("number{number}")),
                1,
                "{number} is lost"
            );
        }
        let documents = index.counts().unwrap().documents;
        assert_eq!(
            usize::try_from(documents).unwrap(),
            found(&index, "endless series")
        );
    }
}

/// A passage and its vector are never there without each other, whenever the process dies.
#[test]
fn passages_and_vectors_survive_a_kill_together() {
    let folder = tempfile::tempdir().unwrap();
    let model = model();
    for answered in [5, 9, 12] {
        let mut command = command("child_writes_until_killed", folder.path());
        let mut child = command.env(WITH_MODEL, "1").spawn().unwrap();
        let last = lines(&mut child).nth(answered).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(last, answered.to_string());
        let index = open_with(folder.path(), &model);
        let tokens = model.tokens(Kind::Query, "number7 of the endless series");
        let vector = model.embed(&[tokens]).unwrap().remove(0);
        let question = Question::new("", Mode::Dense, Filter::default(), 1000);
        let by_meaning = index
            .search(&question.by_meaning(Meaning::new(vector, 1.0)))
            .unwrap();
        let documents = usize::try_from(index.counts().unwrap().documents).unwrap();
        assert!(documents > answered, "{documents} of {answered} are left");
        assert_eq!(found(&index, "endless series"), documents);
        assert_eq!(by_meaning.len(), documents);
    }
}

#[test]
fn child_reads_a_corpus_until_killed() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let cancelled = CancellationToken::new();
    let _ = Index::open(&place(Path::new(&folder)), None, &cancelled, |progress| {
        if progress.documents > 2000 {
            tell("in the middle");
            loop {
                thread::park();
            }
        }
    });
}

#[test]
fn a_corpus_that_was_being_read_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = folder.path().join("corpus.jsonl");
    fs::write(
        &corpus,
        json!({"id": "old", "text": "the state before"}).to_string(),
    )
    .unwrap();
    drop(open(folder.path()));
    let many: Vec<String> = (0..5000)
        .map(|n| json!({"id": n, "text": format!("new{n} corpus")}).to_string())
        .collect();
    fs::write(&corpus, many.join("\n")).unwrap();

    let mut child = spawn("child_reads_a_corpus_until_killed", folder.path());
    assert_eq!(lines(&mut child).next().unwrap(), "in the middle");
    child.kill().unwrap();
    child.wait().unwrap();

    let before = Place {
        corpus: None,
        ..place(folder.path())
    };
    let index = Index::open(&before, None, &CancellationToken::new(), |_| {}).unwrap();
    assert_eq!(
        found(&index, "state"),
        1,
        "the old corpus is there until the new one is"
    );
    assert_eq!(index.counts().unwrap().documents, 1);
    drop(index);
    let index = open(folder.path());
    assert_eq!(index.counts().unwrap().documents, 5000);
    assert_eq!((found(&index, "state"), found(&index, "new4999")), (0, 1));
}
