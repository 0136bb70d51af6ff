//! Documents become passages, and passages get their vectors.

use std::collections::HashMap;

use sandbox_embedding::Kind;
use tantivy::TantivyDocument;

use super::{
    IndexError,
    fields::{Fields, Origin, hash},
    vectors::to_halves,
};
use crate::{
    cutting::{Cutting, embedded_text},
    document::Document,
};

/// How documents become passages of an index on disk.
#[derive(Clone)]
pub(crate) struct Preparation {
    pub(crate) fields: Fields,
    pub(crate) cutting: Cutting,
}

/// A passage that has no vector yet.
pub(crate) struct Draft {
    passage: TantivyDocument,
    /// What its vector is of; nothing without a model.
    text: String,
}

impl Preparation {
    /// The passages of a document.
    pub(crate) fn drafts(&self, document: &Document, origin: Origin) -> Vec<Draft> {
        let passages = self.cutting.cut(document).into_iter();
        passages
            .map(|content| self.draft(document, content, origin))
            .collect()
    }

    /// A passage that was cut before.
    pub(crate) fn draft(&self, document: &Document, content: &str, origin: Origin) -> Draft {
        let embeds = self.cutting.model.is_some();
        let text = embeds.then(|| embedded_text(document.title.as_deref(), content));
        Draft {
            passage: self.fields.passage(document, content, origin),
            text: text.unwrap_or_default(),
        }
    }

    /// The passages with their vectors. Those of texts that are `known` are not made again.
    pub(crate) fn finish(
        &self,
        drafts: Vec<Draft>,
        known: &mut dyn Known,
    ) -> Result<Vec<TantivyDocument>, IndexError> {
        let Some(model) = &self.cutting.model else {
            return Ok(drafts.into_iter().map(|draft| draft.passage).collect());
        };
        let keys: Vec<u64> = drafts.iter().map(|draft| hash(&[&draft.text])).collect();
        let mut vectors: HashMap<u64, Vec<u8>> = HashMap::new();
        let (mut new, mut tokens) = (Vec::new(), Vec::new());
        for (key, draft) in keys.iter().zip(&drafts) {
            if vectors.contains_key(key) || new.contains(key) {
                continue;
            }
            if let Some(vector) = known.vector(*key) {
                vectors.insert(*key, vector);
            } else {
                new.push(*key);
                tokens.push(model.tokens(Kind::Passage, &draft.text));
            }
        }
        let made = model.embed(&tokens).map_err(IndexError::Weights)?;
        for (key, vector) in new.into_iter().zip(made) {
            let vector = to_halves(&vector);
            known.made(key, &vector)?;
            vectors.insert(key, vector);
        }
        let finished = drafts.into_iter().zip(keys).map(|(mut draft, key)| {
            if let Some(vector) = vectors.get(&key) {
                self.fields.add_vector(&mut draft.passage, vector, key);
            }
            draft.passage
        });
        Ok(finished.collect())
    }
}

/// Vectors that need not be made, by the key of their text.
pub(crate) trait Known {
    /// The vector of a text.
    fn vector(&mut self, key: u64) -> Option<Vec<u8>>;

    /// How many were asked for and there.
    fn reused(&self) -> u64;

    /// Takes note of a vector that was made.
    fn made(&mut self, key: u64, vector: &[u8]) -> Result<(), IndexError>;
}

/// Nothing is known.
pub(crate) struct Nothing;

impl Known for Nothing {
    fn vector(&mut self, _: u64) -> Option<Vec<u8>> {
        None
    }

    fn reused(&self) -> u64 {
        0
    }

    fn made(&mut self, _: u64, _: &[u8]) -> Result<(), IndexError> {
        Ok(())
    }
}
