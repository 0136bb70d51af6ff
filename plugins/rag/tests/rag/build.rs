//! The offline builder, as an operator runs it.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use sandbox_embedding::testkit::{model_folder, other_model};
use sandbox_plugin_api::prelude::*;

use crate::{ids, kit};

fn builder(folder: &Path, model: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rag-build"));
    command
        .current_dir(folder)
        .args(["--index", "index", "--corpus", "corpus.jsonl", "--model"])
        .arg(model)
        .stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn build(folder: &Path, model: &Path, more: &[&str]) -> String {
    let output = builder(folder, model).args(more).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn write_corpus(folder: &Path, count: usize) {
    let lines: Vec<String> = (0..count)
        .map(|n| json!({"id": n, "text": format!("{n} sheep jump over a fence")}).to_string())
        .collect();
    fs::write(folder.join("corpus.jsonl"), lines.join("\n")).unwrap();
}

/// How many vectors it says were there before.
fn reused(said: &str) -> usize {
    let Some((before, _)) = said.split_once(" vectors were there before") else {
        return 0;
    };
    let digits = before
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .replace(',', "");
    digits.parse().unwrap()
}

#[test]
fn a_build_that_was_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    write_corpus(folder.path(), 3000);
    let unfinished = folder.path().join("index/vectors/unfinished");
    // The kernel kills it when a file outgrows this: some 400 passages have their vectors then.
    let whole = builder(folder.path(), &model_folder());
    let killed = Command::new("prlimit")
        .arg("--fsize=320000")
        .arg(whole.get_program())
        .args(whole.get_args())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(killed.status.signal().is_some(), "{}", said(&killed));
    assert!(unfinished.exists());
    let said = build(folder.path(), &model_folder(), &[]);
    assert!(said.contains("3,000 documents, 3,000 passages"), "{said}");
    assert!((380..3000).contains(&reused(&said)), "{said}");
    assert!(!unfinished.exists());
    // The server has nothing left to do.
    let kit = kit(
        &folder,
        &json!({"corpus_path": "corpus.jsonl", "model_name": model_folder()}),
    );
    kit.warmup().unwrap();
    let found = kit
        .call("rag:search", json!({"query": "2718 sheep", "top_k": 1}))
        .unwrap();
    assert_eq!(ids(&found["results"]), ["2718"]);
}

#[test]
fn only_what_is_new_in_a_corpus_is_embedded() {
    let folder = tempfile::tempdir().unwrap();
    write_corpus(folder.path(), 50);
    assert_eq!(reused(&build(folder.path(), &model_folder(), &[])), 0);
    write_corpus(folder.path(), 60);
    let said = build(folder.path(), &model_folder(), &["--quiet"]);
    assert!(
        said.contains("60 documents") && reused(&said) == 50,
        "{said}"
    );
}

#[test]
fn an_index_changes_its_model_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    write_corpus(folder.path(), 5);
    build(folder.path(), &model_folder(), &[]);
    let with_model = kit(&folder, &json!({ "model_name": model_folder() }));
    with_model.warmup().unwrap();
    let note = json!({"documents": [{"id": "note", "text": "Whales sing across an ocean."}]});
    with_model.call("rag:index", note).unwrap();
    with_model.shutdown().unwrap();
    let other = folder.path().join("other");
    other_model(&other).unwrap();
    let refused = builder(folder.path(), &other).output().unwrap();
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains("--change-model"),
        "{}",
        said(&refused)
    );
    let said = build(folder.path(), &other, &["--change-model"]);
    assert!(said.contains("6 documents"), "{said}");
    let kit = kit(&folder, &json!({ "model_name": other }));
    kit.warmup().unwrap();
    let question = json!({"query": "songs of marine mammals", "mode": "dense", "top_k": 1});
    let found = kit.call("rag:search", question).unwrap();
    assert_eq!(ids(&found["results"]), ["note"]);
    // No vector of the old model is left: the same text has the same vector.
    let question = json!({"query": "3 sheep jump over a fence", "mode": "dense", "top_k": 1});
    let found = kit.call("rag:search", question).unwrap();
    assert_eq!(ids(&found["results"]), ["3"]);
    assert!(
        found["results"][0]["score"].as_f64().unwrap() > 0.999,
        "{found}"
    );
}

#[test]
fn what_is_wrong_is_said_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let output = builder(folder.path(), &model_folder()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).starts_with("error: corpus_path: corpus.jsonl cannot be read"),
        "{}",
        said(&output)
    );
}
