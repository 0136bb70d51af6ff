//! Reading a request body, and saying what is wrong with one.

use std::{borrow::Cow, fmt::Display};

use serde::{Deserialize, de::IgnoredAny};

use super::{
    depth::{MAX_DEPTH, nests_deeper},
    null,
};

/// Why a body was refused, in words for its sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    message: String,
    field: Option<String>,
}

impl BadRequest {
    pub(crate) fn new(field: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            field: field.map(str::to_owned),
        }
    }

    /// The field at fault, when it is one: `actions[2].timeout`.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

/// Reads a body that must be a JSON object.
///
/// # Errors
///
/// When the body is empty, no JSON, nests deeper than [`MAX_DEPTH`], or is not the object that the route takes.
pub fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, BadRequest> {
    // serde would take an array for a struct, field by field; no client means that.
    match body.trim_ascii_start().first() {
        None => {
            return Err(BadRequest::new(
                None,
                "the body is empty; a JSON object is expected",
            ));
        }
        Some(b'{') => {}
        Some(_) => {
            return Err(not_an_object(
                body,
                "the body must be a JSON object, like {\"worker_id\": \"…\"}",
            ));
        }
    }
    if nests_deeper(body, MAX_DEPTH) {
        return Err(too_deep());
    }
    // Text is checked once here, and not once more for each of its parts.
    let text = str::from_utf8(body).ok();
    let parsed = text.and_then(|text| serde_json::from_str(text).ok());
    parsed.map_or_else(|| explain(body), Ok)
}

/// Reads a body that may be left out.
///
/// # Errors
///
/// As [`parse`], except that an empty body is the default.
pub fn parse_or_default<'de, T>(body: &'de [u8]) -> Result<T, BadRequest>
where
    T: Deserialize<'de> + Default,
{
    match body.trim_ascii() {
        b"" | b"null" => Ok(T::default()),
        [b'{', ..] => parse(body),
        _ => Err(not_an_object(
            body,
            "the body must be a JSON object, or be left out",
        )),
    }
}

/// The trace that a body names, of which nothing else has to be right.
pub fn trace_of(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Traced<'a> {
        #[serde(borrow, default, deserialize_with = "null::borrowed_text")]
        trace_id: Option<Cow<'a, str>>,
    }
    serde_json::from_slice::<Traced<'_>>(body).ok()?.trace_id
}

fn too_deep() -> BadRequest {
    let message = format!("the body is nested deeper than {MAX_DEPTH} levels");
    BadRequest::new(None, message)
}

fn not_an_object(body: &[u8], wanted: &str) -> BadRequest {
    let message = match (body, serde_json::from_slice::<IgnoredAny>(body)) {
        (_, Ok(_)) => wanted.to_owned(),
        ([0xef, 0xbb, 0xbf, ..], _) => not_json("it begins with a byte order mark"),
        // How gzip and zstd begin.
        ([0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..], _) => {
            not_json("it is compressed, and no Content-Encoding is taken")
        }
        (_, Err(error)) => not_json(error),
    };
    BadRequest::new(None, message)
}

fn not_json(why: impl Display) -> String {
    format!("the body is not valid JSON: {why}")
}

/// Reads once more, slowly, keeping track of where the reader is.
fn explain<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, BadRequest> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let error = match serde_path_to_error::deserialize(&mut reader) {
        // What is ignored is not looked at for UTF-8 when bytes are read.
        Ok(value) => match reader.end().map(|()| str::from_utf8(body)) {
            Ok(Ok(_)) => return Ok(value),
            Ok(Err(error)) => return Err(BadRequest::new(None, not_json(error))),
            // What follows the object is at fault.
            Err(error) => return Err(BadRequest::new(None, not_json(error))),
        },
        Err(error) => error,
    };
    let path = error.path().to_string();
    let inner = error.inner();
    Err(match inner.classify() {
        serde_json::error::Category::Data if path != "." => {
            BadRequest::new(Some(&path), format!("`{path}`: {inner}"))
        }
        serde_json::error::Category::Data => {
            BadRequest::new(None, format!("the body does not fit: {inner}"))
        }
        // What is parsed may nest one level less than what is carried.
        _ if inner.to_string().starts_with("recursion limit") => too_deep(),
        _ => BadRequest::new(None, not_json(inner)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_parsed_for_its_nesting_says_so() {
        let levels = MAX_DEPTH - 1;
        let body = format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let refused = parse::<serde_json::Value>(body.as_bytes()).unwrap_err();
        assert_eq!(refused, too_deep());
    }

    #[test]
    fn the_trace_is_found_in_a_body_that_is_wrong_otherwise() {
        assert_eq!(
            trace_of(br#"{"action":5,"trace_id":"a\u0062"}"#).as_deref(),
            Some("ab")
        );
        for none in [
            &br#"{"trace_id":5}"#[..],
            br#"{"trace_id":null}"#,
            b"{}",
            b"",
            b"{\"trace_id\":\"a\"",
        ] {
            assert_eq!(trace_of(none), None);
        }
    }
}
