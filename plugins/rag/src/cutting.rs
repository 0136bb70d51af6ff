//! How documents are cut into passages, and what of a passage is embedded.

use std::sync::Arc;

use sandbox_embedding::{Kind, Model};

use crate::{document::Document, text::Chunking};

/// The fewest tokens of a passage beside a long title.
const LEAST_TOKENS: usize = 16;

/// The settings, and the model whose tokens count if there is one.
#[derive(Clone)]
pub(crate) struct Cutting {
    pub(crate) chunking: Chunking,
    pub(crate) model: Option<Arc<Model>>,
}

impl Cutting {
    /// The passages of a document.
    pub(crate) fn cut<'a>(&self, document: &'a Document) -> Vec<&'a str> {
        let contents = &document.contents;
        let Some(model) = &self.model else {
            return self.chunking.split(contents);
        };
        let chunking = self.beside_title(model, document.title.as_deref());
        chunking.split_tokens(contents, || model.offsets(contents))
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

/// What a passage's vector is of.
pub(crate) fn embedded_text(title: Option<&str>, content: &str) -> String {
    title.map_or_else(|| content.to_owned(), |title| format!("{title}\n{content}"))
}
