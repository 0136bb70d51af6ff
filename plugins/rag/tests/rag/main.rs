//! The backend through its real vtable, on the corpus that ships with it.
#![expect(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod build;
mod cluster;
mod limits;
mod meaning;
mod qdrant_peer;
mod relevance;
mod tools;

use std::path::Path;

use rag::Rag;
use sandbox_plugin_api::{prelude::*, testkit::TestKit};
use tempfile::TempDir;

/// The corpus of the repository, wherever the tests run.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/passages.jsonl");

/// A warm backend with an index of its own.
struct Server {
    kit: TestKit<Rag>,
    folder: TempDir,
}

impl Server {
    /// With the shipped corpus.
    fn new() -> Self {
        Self::with(&json!({ "corpus_path": CORPUS }))
    }

    /// With further keys of the configuration.
    fn with(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kit = kit(&folder, config);
        kit.warmup().unwrap();
        Self { kit, folder }
    }

    fn call(&self, tool: &str, params: Value) -> Value {
        self.kit.call(tool, params).unwrap()
    }

    /// Code and message of a call that fails.
    fn refused(&self, tool: &str, params: Value) -> (i32, String) {
        let failure = self.kit.call(tool, params).unwrap_err();
        assert!(!failure.panicked, "{}", failure.message);
        (failure.code, failure.message)
    }

    /// The ids that a search finds.
    fn found(&self, params: Value) -> Vec<String> {
        ids(&self.call("rag:search", params)["results"])
    }
}

fn kit(folder: &TempDir, config: &Value) -> TestKit<Rag> {
    kit_in(folder.path(), config)
}

fn kit_in(folder: &Path, config: &Value) -> TestKit<Rag> {
    let mut whole = json!({ "index_path": "index" });
    whole
        .as_object_mut()
        .unwrap()
        .extend(config.as_object().cloned().unwrap_or_default());
    TestKit::at(whole, folder.to_str().unwrap()).unwrap()
}

fn ids(results: &Value) -> Vec<String> {
    let results = results.as_array().unwrap();
    results
        .iter()
        .map(|result| result["id"].as_str().unwrap().to_owned())
        .collect()
}
