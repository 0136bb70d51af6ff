//! Documents become passages, and passages get their vectors.

use std::{collections::HashMap, sync::Arc};

use sandbox_embedding::{Kind, Model};
use tantivy::TantivyDocument;

use super::{
    IndexError,
    fields::{Fields, Origin, hash},
    vectors::to_halves,
};
use crate::{document::Document, text::Chunking};

/// The fewest tokens of a passage beside a long title.
const LEAST_TOKENS: usize = 16;

/// How documents are cut, and by which model passages are embedded.
#[derive(Clone)]
pub(crate) struct Preparation {
    pub(crate) fields: Fields,
    pub(crate) chunking: Chunking,
    pub(crate) model: Option<Arc<Model>>,
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
        let contents = &document.contents;
        let passages = match &self.model {
            None => self.chunking.split(contents),
            Some(model) => {
                let chunking = self.beside_title(model, document.title.as_deref());
                chunking.split_tokens(contents, || model.offsets(contents))
            }
        };
        passages
            .into_iter()
            .map(|content| self.draft(document, content, origin))
            .collect()
    }

    /// A passage that was cut before.
    pub(crate) fn draft(&self, document: &Document, content: &str, origin: Origin) -> Draft {
        let text = match (&self.model, &document.title) {
            (None, _) => String::new(),
            (Some(_), None) => content.to_owned(),
            (Some(_), Some(title)) => format!("{title}\n{content}"),
        };
        Draft {
            passage: self.fields.passage(document, content, origin),
            text,
        }
    }

    /// The passages with their vectors. Those of texts that are `known` are not made again.
    pub(crate) fn finish(
        &self,
        drafts: Vec<Draft>,
        known: &mut dyn Known,
    ) -> Result<Vec<TantivyDocument>, IndexError> {
        let Some(model) = &self.model else {
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

    /// A passage is embedded together with its title, and both together must fit the model.
    fn beside_title(&self, model: &Model, title: Option<&str>) -> Chunking {
        let around = model.tokens(Kind::Passage, title.unwrap_or_default()).len();
        let room = model.most_tokens().saturating_sub(around).max(LEAST_TOKENS);
        let tokens = self.chunking.tokens.min(room);
        Chunking {
            tokens,
            overlap: self.chunking.overlap.min(tokens / 2),
        }
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
