//! What `resources.rag.config` may hold, and what is made of it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sandbox_plugin_api::prelude::*;

use sandbox_embedding::Device;

use crate::{
    batcher::Batching,
    index::{Adoption, Place},
    qdrant::Cluster,
    text::Chunking,
};

/// The configuration as it is written. Relative paths start at the folder of the configuration file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-former" = crate::former::former()))]
pub struct Config {
    /// The folder of the index. It is made when it is not there; one server at a time uses it.
    /// Required, unless the documents are on a Qdrant server.
    #[serde(default)]
    pub index_path: PathBuf,
    /// A Qdrant server that keeps the documents in the place of an index here: for corpora beyond one
    /// machine, and servers that share one.
    #[serde(default)]
    pub qdrant: Option<QdrantConfig>,
    /// A JSON Lines file that is read into the index, at the first start and whenever it has
    /// changed: `contents` or `text`, optional `id` and `title`; other fields become metadata.
    #[serde(default)]
    pub corpus_path: Option<PathBuf>,
    /// A folder with an embedding model as sentence-transformers lays it out: `config.json`,
    /// `tokenizer.json`, `model.safetensors`. Without one, passages are found by their words alone.
    #[serde(default)]
    pub model_name: Option<PathBuf>,
    /// Where the model runs: `cpu`, `gpu` or, of several graphics cards, `gpu:1`; `cuda` means `gpu`. Cards need a
    /// build with the feature `gpu`. Without a model it changes nothing.
    #[serde(default = "cpu")]
    pub device: String,
    /// How many results a search gives when it does not say.
    #[serde(default = "number::<10>")]
    #[schemars(range(min = 1))]
    pub default_top_k: usize,
    /// The most results that a search may ask for.
    #[serde(default = "number::<100>")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_top_k: usize,
    /// The length of the passages that long documents are cut into, in the model's tokens, at most as
    /// many as it takes; without a model in words (characters in languages that put no spaces between
    /// words).
    #[serde(default = "number::<256>")]
    #[schemars(range(min = 16, max = 8192))]
    pub chunk_tokens: usize,
    /// How many tokens of a passage the next one repeats; at most half of `chunk_tokens`.
    #[serde(default = "number::<32>")]
    pub chunk_overlap: usize,
    /// With how many queries the model runs without waiting for others that are on their way. A query
    /// that is alone never waits. Without a model it changes nothing.
    #[serde(default = "number::<16>")]
    #[schemars(range(min = 1))]
    pub batcher_trigger_batch_size: usize,
    /// How many queries the model takes in one run. Without a model it changes nothing.
    #[serde(default = "number::<32>")]
    #[schemars(range(min = 1))]
    pub batcher_max_batch_size: usize,
    /// For how many seconds at most the model waits for queries that are on their way. Without a model
    /// it changes nothing.
    #[serde(default = "fifty_milliseconds")]
    #[schemars(range(min = 0.0, max = 10.0))]
    pub batcher_max_wait_time: f64,
    /// The longest query, in bytes.
    #[serde(default = "number::<16_384>")]
    #[schemars(range(min = 1))]
    pub max_query_bytes: usize,
    /// The most queries in one batch.
    #[serde(default = "number::<256>")]
    #[schemars(range(min = 1))]
    pub max_queries: usize,
    /// The most documents that one call may add or delete.
    #[serde(default = "number::<10_000>")]
    #[schemars(range(min = 1))]
    pub max_documents: usize,
    /// The longest document that a call may add, in bytes.
    #[serde(default = "number::<4_194_304>")]
    #[schemars(range(min = 1))]
    pub max_document_bytes: usize,
    /// The longest answer of a search or a batch, in bytes of the passages in it; the queries of a batch share it
    /// equally. What is beyond is left out, and the answer says so.
    #[serde(default = "number::<16_777_216>")]
    #[schemars(range(min = 1024))]
    pub max_answer_bytes: usize,
}

/// A collection of a Qdrant server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QdrantConfig {
    /// Its gRPC address: `http://host:6334`, or `https`.
    pub url: String,
    /// The collection. It is made when it is not there.
    #[serde(default = "passages")]
    pub collection: String,
    /// The key that the server asks for; best taken from the environment.
    #[serde(default)]
    pub api_key: Option<String>,
    /// For how many seconds one of its answers may take; one that is late is asked for once more.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 0.1, max = 600.0))]
    pub timeout: f64,
}

fn passages() -> String {
    "passages".to_owned()
}

const fn half_a_minute() -> f64 {
    30.0
}

const fn number<const N: usize>() -> usize {
    N
}

fn cpu() -> String {
    "cpu".to_owned()
}

const fn fifty_milliseconds() -> f64 {
    0.05
}

/// The index would be held in memory many times over by larger answers.
const MAX_TOP_K: usize = 1000;

impl Config {
    /// Everything that is wrong with it, in one error.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = self.faults();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::config(wrong.join("; ")))
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut expect = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        expect(
            !self.index_path.as_os_str().is_empty() || self.qdrant.is_some(),
            "index_path is missing: expected the path of a folder".to_owned(),
        );
        if let Some(qdrant) = &self.qdrant {
            expect(
                self.index_path.as_os_str().is_empty(),
                "index_path: documents are either here or on the Qdrant server; leave one out"
                    .to_owned(),
            );
            expect(
                qdrant.url.starts_with("http://") || qdrant.url.starts_with("https://"),
                format!(
                    "qdrant.url: expected http://host:port, found {:?}",
                    qdrant.url
                ),
            );
            let printable = |c: char| c.is_ascii_graphic() || c == ' ';
            expect(
                qdrant.api_key.iter().all(|key| key.chars().all(printable)),
                // A secret is not shown.
                "qdrant.api_key: expected printable ASCII characters, found others".to_owned(),
            );
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let name = &qdrant.collection;
            expect(
                !name.is_empty() && !name.starts_with('.') && name.chars().all(plain),
                format!("qdrant.collection: expected letters, digits, - and _, found {name:?}"),
            );
            expect(
                (0.1..=600.0).contains(&qdrant.timeout),
                format!(
                    "qdrant.timeout: expected 0.1 to 600 seconds, found {}",
                    qdrant.timeout
                ),
            );
        }
        expect(
            self.model_name.as_ref().is_none_or(|name| !name.as_os_str().is_empty()),
            "model_name: expected the path of a folder, found nothing; leave the key out to search \
             by words alone"
                .to_owned(),
        );
        expect(
            device(&self.device).is_some(),
            format!(
                "device: expected cpu, gpu or gpu:0, found {:?}",
                self.device
            ),
        );
        for (key, value, least, most) in [
            ("max_top_k", self.max_top_k, 1, MAX_TOP_K),
            ("default_top_k", self.default_top_k, 1, self.max_top_k),
            ("chunk_tokens", self.chunk_tokens, 16, 8192),
            (
                "chunk_overlap",
                self.chunk_overlap,
                0,
                self.chunk_tokens / 2,
            ),
            (
                "batcher_max_batch_size",
                self.batcher_max_batch_size,
                1,
                usize::MAX,
            ),
            (
                "batcher_trigger_batch_size",
                self.batcher_trigger_batch_size,
                1,
                self.batcher_max_batch_size,
            ),
            ("max_query_bytes", self.max_query_bytes, 1, usize::MAX),
            ("max_queries", self.max_queries, 1, usize::MAX),
            ("max_documents", self.max_documents, 1, usize::MAX),
            ("max_document_bytes", self.max_document_bytes, 1, usize::MAX),
            ("max_answer_bytes", self.max_answer_bytes, 1024, usize::MAX),
        ] {
            let most_text = (most < usize::MAX).then(|| format!(" and at most {most}"));
            let most_text = most_text.unwrap_or_default();
            expect(
                (least..=most).contains(&value),
                format!("{key}: expected at least {least}{most_text}, found {value}"),
            );
        }
        expect(
            (0.0..=10.0).contains(&self.batcher_max_wait_time),
            format!(
                "batcher_max_wait_time: expected 0 to 10 seconds, found {}",
                self.batcher_max_wait_time
            ),
        );
        faults
    }

    /// Where the index is; relative paths start at `folder`.
    pub(crate) fn place(&self, folder: &Path) -> Place {
        Place {
            directory: folder.join(&self.index_path),
            corpus: self.corpus_path.as_ref().map(|path| folder.join(path)),
            chunking: Chunking {
                tokens: self.chunk_tokens,
                overlap: self.chunk_overlap,
            },
            adoption: Adoption::Same,
        }
    }

    /// The model's folder, and where it runs; a relative path starts at `folder`.
    pub(crate) fn model(&self, folder: &Path) -> Option<(PathBuf, Device)> {
        let model = folder.join(self.model_name.as_ref()?);
        Some((model, device(&self.device)?))
    }

    /// The Qdrant server, if the documents are there.
    pub(crate) fn cluster(&self) -> Option<Cluster> {
        self.qdrant.as_ref().map(|qdrant| Cluster {
            url: qdrant.url.clone(),
            collection: qdrant.collection.clone(),
            api_key: qdrant.api_key.clone(),
            timeout: Duration::from_secs_f64(qdrant.timeout),
        })
    }

    /// Where the documents are, as callers may read it.
    pub(crate) fn library_name(&self) -> String {
        match &self.qdrant {
            Some(qdrant) => format!("qdrant:{}", qdrant.collection),
            None => self.index_path.display().to_string(),
        }
    }

    /// How queries share the model's runs.
    pub(crate) fn batching(&self) -> Batching {
        Batching {
            trigger: self.batcher_trigger_batch_size,
            most: self.batcher_max_batch_size,
            wait: Duration::from_secs_f64(self.batcher_max_wait_time),
        }
    }
}

/// `cpu`, `gpu` or `gpu:1`; `cuda` is what cards are called elsewhere. Elsewhere, too, a second device behind a `/` is the
/// index's: here it is on disk, so that one says nothing.
fn device(name: &str) -> Option<Device> {
    let name = match name.split_once('/') {
        Some((model, index)) => {
            device(index)?;
            model
        }
        None => name,
    };
    if name == "cpu" {
        return Some(Device::Cpu);
    }
    let number = ["gpu", "cuda"]
        .iter()
        .find_map(|kind| name.strip_prefix(kind))?;
    match number {
        "" => Some(Device::Gpu(0)),
        ":software" => Some(Device::Software),
        number => number.strip_prefix(':')?.parse().ok().map(Device::Gpu),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: Value) -> String {
        let config: Config = serde_json::from_value(config).unwrap();
        config
            .check()
            .map_or_else(|error| error.message().to_owned(), |()| String::new())
    }

    #[test]
    fn a_path_is_enough() {
        assert_eq!(check(json!({"index_path": "x"})), "");
    }

    #[test]
    fn all_faults_come_at_once() {
        let message = check(json!({
            "index_path": "", "device": "tpu", "default_top_k": 101, "chunk_tokens": 20, "chunk_overlap": 11,
        }));
        for part in [
            "index_path is missing",
            "device: ",
            "default_top_k: expected at least 1 and at most 100, found 101",
            "chunk_overlap: ",
        ] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_and_not_shown() {
        let message = check(json!({
            "qdrant": { "url": "http://localhost:6334", "api_key": "secret\n" },
        }));
        assert!(message.contains("qdrant.api_key: "), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn devices_are_named_as_elsewhere() {
        for (name, expected) in [
            ("cpu", Some(Device::Cpu)),
            ("gpu", Some(Device::Gpu(0))),
            ("gpu:1", Some(Device::Gpu(1))),
            ("gpu:software", Some(Device::Software)),
            ("cuda", Some(Device::Gpu(0))),
            ("cuda:3", Some(Device::Gpu(3))),
            ("cuda:3/cuda:1", Some(Device::Gpu(3))),
            ("cuda:0/", None),
            ("cuda:0/tpu", None),
            ("gpu:", None),
            ("cudas", None),
            ("tpu", None),
        ] {
            assert_eq!(device(name), expected, "{name}");
        }
    }
}
