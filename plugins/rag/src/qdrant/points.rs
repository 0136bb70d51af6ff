//! A passage as a point of a collection.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    document::{Document, hex},
    index::{Passage, hash, terms_of},
    text::each_term,
};

/// BM25's saturation, weight of length and usual length, in terms; the usual ones, as the corpus'
/// own average is on no single machine.
const K1: f32 = 1.2;
const B: f32 = 0.75;
const USUAL_LENGTH: f32 = 128.0;

/// A passage to be written.
#[derive(Serialize)]
pub(super) struct Point {
    id: String,
    vector: Vectors,
    payload: Payload,
}

#[derive(Serialize)]
struct Vectors {
    words: Sparse,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<Vec<f32>>,
}

/// Terms by a hash, each once, and how much of each there is.
#[derive(Serialize)]
struct Sparse {
    indices: Vec<u32>,
    values: Vec<f32>,
}

#[derive(Serialize)]
struct Payload {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    content: String,
    metadata: Map<String, Value>,
    /// The terms that filters ask for, the same as on disk.
    filter: Vec<String>,
    origin: &'static str,
    /// Whether it is the first of its document: by these, documents are counted.
    first: bool,
    /// Which write it came by.
    write: String,
}

impl Point {
    pub(super) fn new(
        document: &Document,
        number: usize,
        content: &str,
        origin: &'static str,
        write: &str,
    ) -> Self {
        Self {
            id: id_of(&document.id, number),
            vector: Vectors {
                words: words_of(document.title.as_deref(), content),
                meaning: None,
            },
            payload: Payload {
                id: document.id.clone(),
                title: document.title.clone(),
                content: content.to_owned(),
                filter: terms_of(&document.metadata),
                metadata: document.metadata.clone(),
                origin,
                first: number == 0,
                write: write.to_owned(),
            },
        }
    }

    pub(super) fn title(&self) -> Option<&str> {
        self.payload.title.as_deref()
    }

    pub(super) fn content(&self) -> &str {
        &self.payload.content
    }

    pub(super) fn set_meaning(&mut self, vector: Vec<f32>) {
        self.vector.meaning = Some(vector);
    }
}

/// The passage of a point that was found.
pub(super) fn passage(point: &Value) -> Option<Passage> {
    let payload = point.get("payload")?;
    let text = |key: &str| payload.get(key).and_then(Value::as_str).map(str::to_owned);
    #[expect(clippy::cast_possible_truncation, reason = "scores are small")]
    let score = point.get("score")?.as_f64()? as f32;
    Some(Passage {
        id: text("id")?,
        title: text("title"),
        content: text("content")?,
        score,
        metadata: payload
            .get("metadata")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    })
}

/// The query for terms, each of which counts once.
pub(super) fn query_of_words(terms: &[String]) -> Value {
    let mut indices: Vec<u32> = terms.iter().map(|term| index_of(term)).collect();
    indices.sort_unstable();
    indices.dedup();
    let values = vec![1.0; indices.len()];
    json!({ "indices": indices, "values": values })
}

/// Points have ids of 128 bits: those of a document's passages come from its own id, so that a
/// document that is written again takes its own places.
fn id_of(document: &str, number: usize) -> String {
    let hash = Sha256::digest(format!("{number}\0{document}"));
    let digits = hex(&hash[..16]);
    let part = |from: usize, to: usize| &digits[from..to];
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

fn words_of(title: Option<&str>, content: &str) -> Sparse {
    let mut counts: BTreeMap<u32, f32> = BTreeMap::new();
    let mut length = 0.0;
    let mut count = |text: &str| {
        each_term(text, |term| {
            *counts.entry(index_of(term.stem)).or_default() += 1.0;
            length += 1.0;
        });
    };
    // The title twice, as on disk.
    count(title.unwrap_or_default());
    count(title.unwrap_or_default());
    count(content);
    let length = 1.0 - B + B * length / USUAL_LENGTH;
    Sparse {
        indices: counts.keys().copied().collect(),
        values: counts
            .values()
            .map(|n| n * (K1 + 1.0) / (n + K1 * length))
            .collect(),
    }
}

/// Two terms that share an index are found by each other: among a million terms each does with one
/// in four thousand.
#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn index_of(term: &str) -> u32 {
    hash(&[term]) as u32
}
