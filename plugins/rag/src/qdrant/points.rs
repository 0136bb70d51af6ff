//! A passage as a point of a collection.

use std::collections::{BTreeMap, HashMap};

use qdrant_client::{
    Payload,
    qdrant::{NamedVectors, PointStruct, Query, ScoredPoint, Value, Vector, value::Kind},
};
use sha2::{Digest, Sha256};

use crate::{
    document::Document,
    index::{Passage, hash, terms_of},
    text::each_term,
};

/// The vector of a passage's meaning, if there is a model.
pub(super) const MEANING: &str = "meaning";
/// The sparse vector of its terms.
pub(super) const WORDS: &str = "words";
/// What of a payload callers read.
pub(super) const SHOWN: [&str; 4] = ["id", "title", "content", "metadata"];

/// BM25's saturation, weight of length and usual length, in terms; the usual ones, as the corpus'
/// own average is on no single machine.
const K1: f32 = 1.2;
const B: f32 = 0.75;
const USUAL_LENGTH: f32 = 128.0;

/// Where a document came from.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Corpus,
    Caller,
}

impl Origin {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Corpus => "corpus",
            Self::Caller => "caller",
        }
    }
}

/// A passage to be written.
pub(super) struct Cut<'a> {
    pub(super) document: &'a Document,
    /// Which passage of its document it is, from 0.
    pub(super) number: usize,
    pub(super) content: &'a str,
}

impl Cut<'_> {
    /// `write` is the write that it comes by.
    pub(super) fn point(
        &self,
        meaning: Option<Vec<f32>>,
        origin: Origin,
        write: &str,
    ) -> PointStruct {
        let Document {
            id,
            title,
            metadata,
            ..
        } = self.document;
        let mut vectors =
            NamedVectors::default().add_vector(WORDS, words_of(title.as_deref(), self.content));
        if let Some(meaning) = meaning {
            vectors = vectors.add_vector(MEANING, meaning);
        }
        let mut payload = Payload::from([
            ("id", Value::from(id.as_str())),
            ("content", self.content.into()),
            ("metadata", Payload::from(metadata.clone()).into()),
            // The terms that filters ask for, the same as on disk.
            ("filter", terms_of(metadata).into()),
            ("origin", origin.name().into()),
            ("first", (self.number == 0).into()),
            ("write", write.into()),
        ]);
        if let Some(title) = title {
            payload.insert("title", title.as_str());
        }
        PointStruct::new(id_of(id, self.number), vectors, payload)
    }
}

/// The passage of a point that was found.
pub(super) fn passage(point: ScoredPoint) -> Option<Passage> {
    let mut payload = point.payload;
    let mut metadata = payload.remove("metadata").map(serde_json::Value::from);
    if let Some(metadata) = &mut metadata {
        // On the way the fields lose their order, and every answer would have another.
        metadata.sort_all_objects();
    }
    Some(Passage {
        id: text(&mut payload, "id")?,
        title: text(&mut payload, "title"),
        content: text(&mut payload, "content")?,
        score: point.score,
        metadata: match metadata {
            Some(serde_json::Value::Object(metadata)) => metadata,
            _ => serde_json::Map::new(),
        },
    })
}

fn text(payload: &mut HashMap<String, Value>, key: &str) -> Option<String> {
    match payload.remove(key)?.kind? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The query for terms, each of which counts once.
pub(super) fn query_of_words(terms: &[String]) -> Query {
    let mut indices: Vec<u32> = terms.iter().map(|term| index_of(term)).collect();
    indices.sort_unstable();
    indices.dedup();
    let weighed: Vec<(u32, f32)> = indices.into_iter().map(|index| (index, 1.0)).collect();
    weighed.into()
}

/// Points have ids of 128 bits: those of a document's passages come from its own id, so that a
/// document that is written again takes its own places.
fn id_of(document: &str, number: usize) -> String {
    let hash = Sha256::digest(format!("{number}\0{document}"));
    let digits = hex::encode(&hash[..16]);
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

/// Terms by a hash, each once, and how much of each there is.
fn words_of(title: Option<&str>, content: &str) -> Vector {
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
    let amount = |n: f32| n * (K1 + 1.0) / (n + K1 * length);
    let (indices, values): (Vec<u32>, Vec<f32>) = counts
        .into_iter()
        .map(|(index, n)| (index, amount(n)))
        .unzip();
    Vector::new_sparse(indices, values)
}

/// Two terms that share an index are found by each other: among a million terms each does with one
/// in four thousand.
#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn index_of(term: &str) -> u32 {
    hash(&[term]) as u32
}
