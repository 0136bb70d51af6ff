//! What the index holds of a passage, and how a document becomes passages and a passage is read back.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tantivy::{
    DocAddress, Searcher, TantivyDocument, Term,
    schema::{
        FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing,
        TextOptions, Value as _,
    },
};

use super::{IndexError, filter};
use crate::{document::Document, text::Chunking};

/// The name under which the index knows the tokeniser; a change of the tokeniser changes it, so
/// that an index of the old one is not read with the new.
pub(crate) const ANALYZER: &str = "sandbox-1";

/// The column that says where a passage's document came from.
pub(crate) const ORIGIN: &str = "origin";
/// The column that says which document a passage is of.
pub(crate) const DOCUMENT: &str = "document";

/// Where a document came from: that decides what a new corpus does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The corpus file: replaced as a whole when the file changes.
    Corpus = 0,
    /// A caller: stays until a caller changes or deletes it.
    Caller = 1,
}

/// The fields of a passage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// The document's id, as one term.
    pub(crate) id: Field,
    /// A hash of the id: passages of one document are recognised by it without reading the id.
    pub(crate) document: Field,
    /// An [`Origin`].
    pub(crate) origin: Field,
    /// The terms of title and passage; not kept, only searched.
    pub(crate) terms: Field,
    /// The terms of the metadata.
    pub(crate) filter: Field,
    title: Field,
    content: Field,
    metadata: Field,
}

/// A passage as it is kept.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) title: Option<String>,
    pub(crate) content: String,
    pub(crate) metadata: Map<String, Value>,
}

impl Fields {
    /// The schema of an index, and its fields.
    pub(crate) fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        // Questions are sets of words, so positions would be written and never read.
        let terms = TextFieldIndexing::default()
            .set_tokenizer(ANALYZER)
            .set_index_option(IndexRecordOption::WithFreqs);
        let fields = Self {
            id: schema.add_text_field("id", STRING | STORED),
            document: schema.add_u64_field(DOCUMENT, FAST),
            origin: schema.add_u64_field(ORIGIN, FAST | INDEXED),
            terms: schema
                .add_text_field("terms", TextOptions::default().set_indexing_options(terms)),
            filter: schema.add_text_field("filter", STRING),
            title: schema.add_text_field("title", STORED),
            content: schema.add_text_field("content", STORED),
            metadata: schema.add_text_field("metadata", STORED),
        };
        (schema.build(), fields)
    }

    /// The passages of a document.
    pub(crate) fn passages(
        self,
        document: &Document,
        origin: Origin,
        chunking: Chunking,
    ) -> Vec<TantivyDocument> {
        let key = key_of(&document.id);
        let filter = filter::terms_of(&document.metadata);
        let metadata = Value::Object(document.metadata.clone()).to_string();
        let passages = chunking
            .split(&document.contents)
            .into_iter()
            .map(|content| {
                let mut passage = TantivyDocument::default();
                passage.add_text(self.id, &document.id);
                passage.add_u64(self.document, key);
                passage.add_u64(self.origin, origin as u64);
                if let Some(title) = &document.title {
                    passage.add_text(self.title, title);
                    // Twice: a word of the title says more about a passage than one inside it.
                    passage.add_text(self.terms, title);
                    passage.add_text(self.terms, title);
                }
                passage.add_text(self.terms, content);
                passage.add_text(self.content, content);
                for term in &filter {
                    passage.add_text(self.filter, term);
                }
                if !document.metadata.is_empty() {
                    passage.add_text(self.metadata, &metadata);
                }
                passage
            });
        passages.collect()
    }

    /// Reads a passage back.
    pub(crate) fn read(self, searcher: &Searcher, at: DocAddress) -> Result<Stored, IndexError> {
        let passage: TantivyDocument = searcher.doc(at)?;
        let text = |field| passage.get_first(field).and_then(|value| value.as_str());
        let metadata = text(self.metadata).map(serde_json::from_str).transpose();
        Ok(Stored {
            id: text(self.id).unwrap_or_default().to_owned(),
            title: text(self.title).map(str::to_owned),
            content: text(self.content).unwrap_or_default().to_owned(),
            metadata: metadata
                .map_err(|_| IndexError::Damaged)?
                .unwrap_or_default(),
        })
    }

    /// The term that all passages of a document have.
    pub(crate) fn id_term(self, id: &str) -> Term {
        Term::from_field_text(self.id, id)
    }

    /// The term that all passages from there have.
    pub(crate) fn origin_term(self, origin: Origin) -> Term {
        Term::from_field_u64(self.origin, origin as u64)
    }
}

/// Two ids with one key would hide each other in results: with a billion documents that happens
/// to one of forty such indexes, and then to one pair.
fn key_of(id: &str) -> u64 {
    let hash = Sha256::digest(id.as_bytes());
    let mut key = [0; 8];
    key.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(key)
}
