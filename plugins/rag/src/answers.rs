//! What the tools take besides plain values, and what they answer.

use sandbox_plugin_api::prelude::*;

use crate::{
    document::{Document, DocumentError, Id},
    index::Passage,
    mode::Mode,
};

/// What a worker's session sets for its searches. The backend's own configuration stands beside it where it is read.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct SessionDefaults {
    /// How many results, where a call does not say.
    #[schemars(range(min = 1))]
    pub(crate) top_k: Option<usize>,
    /// How to search, where a call does not say.
    pub(crate) mode: Option<Mode>,
}

/// A document to add. Either `contents` or `text` is needed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDocument {
    /// The id: a document with the same id is replaced. Without one it comes from the content.
    #[serde(default)]
    id: Option<Id>,
    /// The title: found like the text, and shown above it.
    #[serde(default)]
    title: Option<String>,
    /// The text.
    #[serde(default)]
    contents: Option<String>,
    /// The text, under another name.
    #[serde(default)]
    text: Option<String>,
    /// Anything to keep with the document; searches can filter by it.
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

impl NewDocument {
    pub(crate) fn check(self, max_bytes: usize) -> Result<Document, DocumentError> {
        if self.contents.is_some() && self.text.is_some() {
            let reason = "expected either contents or text, found both".to_owned();
            return Err(DocumentError {
                field: "text",
                reason,
            });
        }
        let contents = self.contents.or(self.text);
        Document::new(
            self.id,
            self.title,
            contents,
            self.metadata.unwrap_or_default(),
            max_bytes,
        )
    }
}

/// The answer of `rag:search`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct SearchAnswer {
    /// The query as it was asked.
    pub(crate) query: String,
    /// The passages, best first, one of each document.
    pub(crate) results: Vec<Passage>,
    /// The same passages as one text to put into a prompt.
    pub(crate) context: String,
    /// Whether passages are cut or left out, as the answer would be longer than it may.
    pub(crate) truncated: bool,
    /// How many bytes all passages would have taken, if any is cut or left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) full_bytes: Option<u64>,
}

/// The answer of `rag:batch_search`.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub struct BatchAnswer {
    /// How many queries there were.
    pub(crate) count: usize,
    /// The passages of each query, in the order of the queries; none for one that failed.
    pub(crate) results: Vec<Vec<Passage>>,
    /// The context of each query.
    pub(crate) contexts: Vec<String>,
    /// The queries that failed.
    pub(crate) errors: Vec<BatchError>,
    /// Whether passages of any query are cut or left out, as the answer would be longer than it may.
    pub(crate) truncated: bool,
    /// The queries whose passages are cut or left out: their places, from 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) truncated_queries: Vec<usize>,
    /// How many bytes all passages of those queries would have taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) full_bytes: Option<u64>,
}

/// A query of a batch that failed.
#[derive(Debug, JsonSchema, Serialize)]
pub struct BatchError {
    /// Its place among the queries, from 0.
    pub(crate) index: usize,
    /// Why it failed.
    pub(crate) error: String,
}

/// The answer of `rag:index`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct IndexAnswer {
    /// How many documents were written.
    pub(crate) indexed: usize,
    /// How many of them took the place of one that was there.
    pub(crate) replaced: usize,
    /// How many documents the index has now.
    pub(crate) total: u64,
}

/// The answer of `rag:delete`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DeleteAnswer {
    /// How many documents were there and are gone.
    pub(crate) deleted: usize,
    /// How many documents the index has now.
    pub(crate) total: u64,
}

/// The answer of `rag:stats`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct StatsAnswer {
    /// Whether the index is open.
    pub(crate) initialized: bool,
    /// The index, null while it is not open.
    pub(crate) index: Option<IndexStats>,
    /// The searches since the backend started.
    pub(crate) batcher: BatcherStats,
}

/// How much is in the index.
#[derive(Debug, JsonSchema, Serialize)]
pub struct IndexStats {
    /// Where it is, as the configuration says it.
    pub(crate) path: String,
    /// Its documents.
    pub(crate) documents: u64,
    /// The passages that they were cut into.
    pub(crate) chunks: u64,
    /// Its size on disk.
    pub(crate) bytes: u64,
    /// The embedding model, null without one.
    pub(crate) model: Option<String>,
    /// The length of the model's vectors, null without one.
    pub(crate) dimensions: Option<usize>,
}

/// The searches so far.
#[derive(Debug, JsonSchema, Serialize)]
pub struct BatcherStats {
    /// Queries that came.
    pub(crate) total_queries: u64,
    /// Runs of the model, which several queries share, and calls that needed none.
    pub(crate) total_batches: u64,
    /// Queries per batch.
    pub(crate) avg_batch_size: f64,
    /// Queries that are waiting or running now.
    pub(crate) queue_size: u64,
}

/// The passages as one text: the title in brackets, the text below, a line of dashes in between.
pub(crate) fn context(passages: &[Passage]) -> String {
    let parts = passages.iter().map(|passage| {
        let title = passage.title.as_deref().unwrap_or(&passage.id);
        format!("[{title}]\n{}", passage.content)
    });
    parts.collect::<Vec<_>>().join("\n---\n")
}
