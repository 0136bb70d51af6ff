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
use crate::document::Document;

/// The name under which the index knows the tokeniser; a change of the tokeniser changes it, so
/// that an index of the old one is not read with the new.
pub(crate) const ANALYZER: &str = "sandbox-1";

/// The column that says where a passage's document came from.
pub(crate) const ORIGIN: &str = "origin";
/// The column that says which document a passage is of.
pub(crate) const DOCUMENT: &str = "document";

/// The column that says which text a passage's vector is of.
pub(crate) const VECTOR_KEY: &str = "vector_key";

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
    /// The passage's vector, where there is a model. Kept with the passage, so that both are written,
    /// merged and removed by the same step; `vectors` has it in a form that is fast to compare.
    vector: Field,
    /// A hash of the text that the vector is of: the same text need not be embedded again.
    vector_key: Field,
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
            vector: schema.add_bytes_field("vector", STORED),
            vector_key: schema.add_u64_field(VECTOR_KEY, FAST),
        };
        (schema.build(), fields)
    }

    /// What is kept of a document's passage, without a vector.
    pub(crate) fn passage(
        self,
        document: &Document,
        content: &str,
        origin: Origin,
    ) -> TantivyDocument {
        let mut passage = TantivyDocument::default();
        passage.add_text(self.id, &document.id);
        passage.add_u64(self.document, key_of(&document.id));
        passage.add_u64(self.origin, origin as u64);
        if let Some(title) = &document.title {
            passage.add_text(self.title, title);
            // Twice: a word of the title says more about a passage than one inside it.
            passage.add_text(self.terms, title);
            passage.add_text(self.terms, title);
        }
        passage.add_text(self.terms, content);
        passage.add_text(self.content, content);
        for term in filter::terms_of(&document.metadata) {
            passage.add_text(self.filter, term);
        }
        if !document.metadata.is_empty() {
            passage.add_text(self.metadata, json_of(&document.metadata));
        }
        passage
    }

    /// Gives a passage its vector, which is of a text with this key.
    pub(crate) fn add_vector(self, passage: &mut TantivyDocument, vector: &[u8], key: u64) {
        passage.add_bytes(self.vector, vector);
        passage.add_u64(self.vector_key, key);
    }

    /// A passage's vector, if it has one.
    pub(crate) fn vector(self, passage: &TantivyDocument) -> Option<&[u8]> {
        passage
            .get_first(self.vector)
            .and_then(|value| value.as_bytes())
    }

    /// Reads a passage back.
    pub(crate) fn read(self, searcher: &Searcher, at: DocAddress) -> Result<Stored, IndexError> {
        self.stored(&searcher.doc(at)?)
    }

    /// What a passage keeps.
    pub(crate) fn stored(self, passage: &TantivyDocument) -> Result<Stored, IndexError> {
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

fn json_of(metadata: &Map<String, Value>) -> String {
    // A map with text keys always serialises.
    serde_json::to_string(metadata).unwrap_or_default()
}

/// Two ids with one key would hide each other in results: with a billion documents that happens
/// to one of forty such indexes, and then to one pair.
fn key_of(id: &str) -> u64 {
    hash(&[id])
}

/// The first eight bytes of a hash of texts.
pub(crate) fn hash(texts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for (place, text) in texts.iter().enumerate() {
        if place > 0 {
            hash.update([0]);
        }
        hash.update(str::as_bytes(text));
    }
    let mut key = [0; 8];
    key.copy_from_slice(&hash.finalize()[..8]);
    u64::from_le_bytes(key)
}
