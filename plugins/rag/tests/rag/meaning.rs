//! Searches by meaning, with a real model.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Instant,
};

use sandbox_embedding::testkit::{model_folder, other_model};
use sandbox_plugin_api::{
    host::Request,
    prelude::*,
    testkit::{success, wait},
};

use crate::{CORPUS, Server, ids, kit, kit_in, relevance::QUESTIONS};

/// A server with the shipped corpus. Embedding it takes seconds without optimisation, so it is done once, and
/// each test has a copy of that index.
fn with_corpus() -> Server {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let config = json!({ "corpus_path": CORPUS, "model_name": model_folder(), "batcher_max_wait_time": 10.0 });
    let built = BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rag-index-of-corpus");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let kit = kit_in(&folder, &config);
        kit.warmup().unwrap();
        kit.shutdown().unwrap();
        folder
    });
    let folder = tempfile::tempdir().unwrap();
    for part in ["index", "index/vectors"] {
        fs::create_dir(folder.path().join(part)).unwrap();
        for entry in fs::read_dir(built.join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(
                    entry.path(),
                    folder.path().join(part).join(entry.file_name()),
                )
                .unwrap();
            }
        }
    }
    let kit = kit(&folder, &config);
    kit.warmup().unwrap();
    Server { kit, folder }
}

fn with_model(config: Value) -> Server {
    let mut config = config;
    config["model_name"] = json!(model_folder());
    Server::with(&config)
}

#[test]
fn what_is_meant_is_found_without_its_words() {
    let server = with_corpus();
    for (question, expected) in [
        ("greenery catching rays to make sugar", "photosynthesis"),
        ("insects dancing to tell where food is", "bees"),
        ("first computer programmer, a woman", "ada-lovelace"),
        ("deaf composer", "beethoven"),
        ("fortification against northern raiders", "great-wall"),
    ] {
        let found = server.found(json!({"query": question, "top_k": 3, "mode": "dense"}));
        assert!(
            found.iter().any(|id| id == expected),
            "{question}: {found:?}"
        );
    }
    let stats = server.call("rag:stats", json!({}));
    assert_eq!(stats["index"]["dimensions"], 384);
    assert_eq!(stats["index"]["model"], "model");
}

#[test]
fn hybrid_is_the_usual_mode_and_finds_english_and_chinese() {
    let server = with_corpus();
    let missed: Vec<_> = QUESTIONS
        .iter()
        .filter_map(|(question, expected)| {
            let found = server.found(json!({ "query": question, "top_k": 3 }));
            let asked = server.found(json!({ "query": question, "top_k": 3, "mode": "hybrid" }));
            assert_eq!(found, asked);
            (!found.iter().any(|id| id == expected)).then_some((question, found))
        })
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    server.kit.run_examples();
}

#[test]
fn filters_hold_in_every_mode_and_removed_documents_are_gone() {
    let server = with_corpus();
    for mode in ["dense", "hybrid", "text"] {
        let answer = server.call(
            "rag:search",
            json!({"query": "How do plants make energy?", "mode": mode, "top_k": 100, "filter": {"topic": "biology"}}),
        );
        let results = answer["results"].as_array().unwrap();
        assert!(!results.is_empty(), "{mode}");
        assert!(
            results
                .iter()
                .all(|result| result["metadata"]["topic"] == "biology"),
            "{mode}"
        );
    }
    let question = json!({"query": "sunlight in leaves", "mode": "dense", "top_k": 2});
    assert!(
        server
            .found(question.clone())
            .contains(&"photosynthesis".to_owned())
    );
    server.call("rag:delete", json!({"ids": ["photosynthesis"]}));
    assert!(
        !server
            .found(question.clone())
            .contains(&"photosynthesis".to_owned())
    );
    let new = json!({"id": "leaf", "text": "Leaves live on light: they catch sunlight."});
    server.call("rag:index", json!({ "documents": [new] }));
    assert_eq!(server.found(question)[0], "leaf");
}

#[test]
fn a_long_document_is_found_by_what_its_middle_means() {
    let server = with_model(json!({ "chunk_tokens": 64, "chunk_overlap": 8 }));
    let filler = "The committee met and approved the minutes of the last meeting. ".repeat(40);
    let text = format!("{filler} Whales sing to find their mates across an ocean. {filler}");
    server.call(
        "rag:index",
        json!({"documents": [
            {"id": "long", "title": "Minutes", "text": text},
            {"id": "other", "text": "Shares of a bank rose on Monday."},
        ]}),
    );
    let answer = server.call(
        "rag:search",
        json!({"query": "songs of marine mammals", "mode": "dense", "top_k": 5}),
    );
    assert_eq!(ids(&answer["results"]), ["long", "other"]);
    let content = answer["results"][0]["content"].as_str().unwrap();
    assert!(
        content.contains("Whales") && content.len() < 1000,
        "{content}"
    );
}

#[test]
fn a_session_says_how_its_worker_searches() {
    let server = with_corpus();
    let ask = |config, mode: Option<&str>| {
        let question = json!({"query": "deaf composer", "mode": mode});
        let answer = server.kit.call_as(config, "rag:search", question).unwrap();
        ids(&answer["results"])
    };
    let dense = ask(json!({"mode": "dense", "top_k": 4}), None);
    assert_eq!(dense.len(), 4);
    assert_eq!(dense, ask(json!({"top_k": 4}), Some("dense")));
    assert_eq!(
        ask(json!({"mode": "dense"}), Some("text")),
        ask(json!({}), Some("text"))
    );
}

/// Questions of one call share runs of the model, and so do those of callers that come together; one
/// that is alone is run alone, and at once.
#[test]
fn questions_that_come_together_share_runs_of_the_model() {
    // With a wait that would be noticed, were a question to wait for company in vain.
    let server = with_corpus();
    let batches = || {
        let stats = server.call("rag:stats", json!({}))["batcher"].clone();
        let number = |key: &str| stats[key].as_u64().unwrap();
        (
            number("total_queries"),
            number("total_batches"),
            number("queue_size"),
        )
    };
    // The quickest of three: a busy machine may take its time once.
    let quickest = |ask: &dyn Fn()| {
        let asked = (0..3).map(|_| {
            let start = Instant::now();
            ask();
            start.elapsed()
        });
        asked.min().unwrap()
    };
    let alone = quickest(&|| drop(server.found(json!({ "query": "a lone question" }))));
    assert!(alone.as_secs() < 8, "{alone:?}");
    assert_eq!(batches(), (3, 3, 0));
    let queries: Vec<String> = (0..64).map(|n| format!("question {n} of many")).collect();
    let answer = server.call("rag:batch_search", json!({ "queries": queries }));
    assert_eq!(
        (&answer["count"], &answer["errors"]),
        (&json!(64), &json!([]))
    );
    let (total, runs, _) = batches();
    assert_eq!(total, 67);
    // 16 or more of them in every run, after the first questions'.
    assert!((5..=7).contains(&runs), "{runs} runs");
    // So many after it that it is waiting for company by the time when the last of them is refused.
    let mut queries = vec![""; 200];
    queries[1] = "x";
    let beside_refused = quickest(&|| {
        let answer = server.call("rag:batch_search", json!({ "queries": queries }));
        assert_eq!(answer["errors"].as_array().unwrap().len(), 199);
    });
    assert!(
        beside_refused.as_secs() < 8,
        "a question waited {beside_refused:?} for one that was refused"
    );
}

#[test]
fn questions_of_many_callers_are_all_answered() {
    let server = Arc::new(with_corpus());
    let pending: Vec<_> = (0..40)
        .map(|number| {
            let mode = ["dense", "hybrid", "text"][number % 3];
            let params = json!({"query": "How do plants turn sunlight into energy?", "mode": mode});
            (
                mode,
                server
                    .kit
                    .begin("rag:search", &params, Request::default(), None),
            )
        })
        .collect();
    for (mode, pending) in pending {
        let answer = success(&wait(pending)).unwrap().data;
        assert!(
            ids(&answer["results"]).contains(&"photosynthesis".to_owned()),
            "{mode}"
        );
    }
}

#[test]
fn an_index_of_another_model_is_refused_with_what_to_do() {
    let server = with_corpus();
    server.kit.shutdown().unwrap();
    let other = server.folder.path().join("other");
    other_model(&other).unwrap();
    let failure = kit(&server.folder, &json!({ "model_name": other }))
        .warmup()
        .unwrap_err();
    assert_eq!(failure.code, 5001);
    for part in [
        "the model model (384 dimensions",
        "the model other (384",
        "rag-build --change-model",
    ] {
        assert!(
            failure.message.contains(part),
            "{part} is not in {}",
            failure.message
        );
    }
    // Without a model, words are still found.
    let words = kit(&server.folder, &json!({}));
    words.warmup().unwrap();
    let found = words
        .call("rag:search", json!({"query": "photosynthesis", "top_k": 1}))
        .unwrap();
    assert_eq!(ids(&found["results"]), ["photosynthesis"]);
}

#[test]
fn an_index_made_without_a_model_gets_vectors_when_there_is_one() {
    let plain = Server::with(&json!({ "corpus_path": CORPUS }));
    let note = json!({"id": "note", "title": "Whales", "text": "Whales sing across an ocean."});
    plain.call("rag:index", json!({ "documents": [note] }));
    plain.kit.shutdown().unwrap();
    let config = json!({ "corpus_path": CORPUS, "model_name": model_folder() });
    let ask = |query: &str| {
        let kit = kit(&plain.folder, &config);
        kit.warmup().unwrap();
        let found = kit.call(
            "rag:search",
            json!({"query": query, "mode": "dense", "top_k": 1}),
        );
        let total = kit.call("rag:stats", json!({})).unwrap()["index"]["documents"].clone();
        kit.shutdown().unwrap();
        (ids(&found.unwrap()["results"]).remove(0), total)
    };
    assert_eq!(
        ask("songs of marine mammals"),
        ("note".to_owned(), json!(177))
    );
    assert_eq!(ask("deaf composer"), ("beethoven".to_owned(), json!(177)));
    // What is added while no model is configured gets its vector later too.
    let plain_again = kit(&plain.folder, &json!({ "corpus_path": CORPUS }));
    plain_again.warmup().unwrap();
    let late = json!({"documents": [{"id": "late", "text": "A volcano buried the town in ash."}]});
    plain_again.call("rag:index", late).unwrap();
    plain_again.shutdown().unwrap();
    assert_eq!(
        ask("lava eruption over houses"),
        ("late".to_owned(), json!(178))
    );
}

#[test]
fn a_model_that_is_not_there_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let warmup = |model: &Path| {
        kit(&folder, &json!({ "model_name": model }))
            .warmup()
            .unwrap_err()
    };
    let failure = warmup(Path::new("sentence-transformers/nothing"));
    assert_eq!(failure.code, 5001);
    assert!(
        failure.message.contains("nothing is downloaded"),
        "{}",
        failure.message
    );
    // No machine has so many cards; a build without cards says so of the first.
    let on_a_card = json!({ "model_name": model_folder(), "device": "cuda:99" });
    let failure = kit(&folder, &on_a_card).warmup().unwrap_err();
    let expected = if cfg!(feature = "gpu") {
        "graphics card"
    } else {
        "device: this build runs models on the CPU only: set device to cpu, or build the plugin with \
         `cargo build --release -p rag --features gpu`"
    };
    assert!(failure.message.contains(expected), "{}", failure.message);
}
