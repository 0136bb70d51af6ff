//! A document as callers give it, checked and with an id.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Ids are looked up, shown and sent back by callers; nobody needs longer ones.
const MAX_ID_BYTES: usize = 512;
/// Titles stand above every passage of their document.
const MAX_TITLE_BYTES: usize = 1024;
/// Metadata is kept with every passage of its document.
const MAX_METADATA_BYTES: usize = 64 * 1024;

/// A document that can be written into the index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) title: Option<String>,
    pub(crate) contents: String,
    pub(crate) metadata: Map<String, Value>,
}

/// An id: text, or a number that is read as its digits.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "text or a whole number")]
pub(crate) enum Id {
    /// Any text.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// What is wrong with a document: the field, and why.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{field}: {reason}")]
pub(crate) struct DocumentError {
    /// The field's name.
    pub(crate) field: &'static str,
    /// What was expected of it, and what came.
    pub(crate) reason: String,
}

impl DocumentError {
    fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}

impl Document {
    /// Puts a document together from its parts; `max_bytes` is for its contents.
    ///
    /// Without an id it gets one from its title and contents, so that the same document given
    /// twice is one document.
    pub(crate) fn new(
        id: Option<Id>,
        title: Option<String>,
        contents: Option<String>,
        metadata: Map<String, Value>,
        max_bytes: usize,
    ) -> Result<Self, DocumentError> {
        let contents = contents
            .filter(|contents| !contents.trim().is_empty())
            .ok_or_else(|| DocumentError::new("contents", "expected text that is not empty"))?;
        at_most("contents", contents.len(), max_bytes)?;
        let title = title
            .map(|title| title.trim().to_owned())
            .filter(|title| !title.is_empty());
        at_most(
            "title",
            title.as_ref().map_or(0, String::len),
            MAX_TITLE_BYTES,
        )?;
        let id = match id {
            Some(Id::Text(id)) => id,
            Some(Id::Number(id)) => id.to_string(),
            None => id_of(title.as_deref().unwrap_or_default(), &contents),
        };
        check_id(&id)?;
        at_most("metadata", length_of(&metadata), MAX_METADATA_BYTES)?;
        Ok(Self {
            id,
            title,
            contents,
            metadata,
        })
    }
}

/// Whether an id can be the id of a document.
pub(crate) fn check_id(id: &str) -> Result<(), DocumentError> {
    if id.is_empty() {
        return Err(DocumentError::new("id", "expected text that is not empty"));
    }
    at_most("id", id.len(), MAX_ID_BYTES)
}

fn at_most(field: &'static str, found: usize, limit: usize) -> Result<(), DocumentError> {
    if found <= limit {
        return Ok(());
    }
    let reason = format!("expected at most {limit} bytes, found {found}");
    Err(DocumentError::new(field, reason))
}

fn length_of(metadata: &Map<String, Value>) -> usize {
    // A map with text keys always serialises.
    serde_json::to_vec(metadata).map_or(0, |json| json.len())
}

/// 32 hex digits of a hash: documents that differ get different ids for all that will ever be
/// written into one index.
fn id_of(title: &str, contents: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(title.as_bytes());
    // No title can hold a zero byte's place in another's contents.
    hash.update([0]);
    hash.update(contents.as_bytes());
    hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(title: &str, contents: &str) -> Result<Document, DocumentError> {
        Document::new(
            None,
            Some(title.into()),
            Some(contents.into()),
            Map::new(),
            100,
        )
    }

    #[test]
    fn an_id_comes_from_the_content() {
        let one = document("a", "b").unwrap();
        assert_eq!(one.id, document(" a ", "b").unwrap().id);
        assert_ne!(one.id, document("a", "c").unwrap().id);
        assert_ne!(
            one.id,
            document("ab", "").map_or_else(|_| String::new(), |other| other.id)
        );
        assert_eq!(one.id.len(), 32);
    }

    #[test]
    fn what_cannot_be_indexed_is_named() {
        assert_eq!(document("a", " ").unwrap_err().field, "contents");
        assert_eq!(document(&"a".repeat(2000), "b").unwrap_err().field, "title");
        let long = document("a", &"b".repeat(101)).unwrap_err();
        assert_eq!(
            long.to_string(),
            "contents: expected at most 100 bytes, found 101"
        );
        let empty_id = Document::new(
            Some(Id::Text(String::new())),
            None,
            Some("b".into()),
            Map::new(),
            9,
        );
        assert_eq!(empty_id.unwrap_err().field, "id");
    }
}
