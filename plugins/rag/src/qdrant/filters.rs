//! The conditions that points are chosen by, all on indexed fields.

use qdrant_client::qdrant::{Condition, Filter, r#match::MatchValue};

use super::points::Origin;

/// A field is, or a list has, exactly this text.
pub(super) fn is(field: &str, text: &str) -> Condition {
    // Of a `String` with a space in it the client makes a search for its words.
    Condition::matches(field, MatchValue::Keyword(text.to_owned()))
}

/// The passages of these documents.
pub(super) fn of_documents(ids: &[String]) -> Condition {
    Condition::matches("id", ids.to_vec())
}

pub(super) fn of_origin(origin: Origin) -> Condition {
    is("origin", origin.name())
}

/// One passage of each document: by these, documents are counted.
pub(super) fn first() -> Condition {
    Condition::matches("first", true)
}

/// What passes all of these, and came by another write.
pub(super) fn older(must: impl IntoIterator<Item = Condition>, write: &str) -> Filter {
    Filter {
        must_not: vec![is("write", write)],
        ..Filter::must(must)
    }
}
