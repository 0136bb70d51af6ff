//! Reading a request body, and saying what is wrong with one.

use serde::Deserialize;

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
/// When the body is empty, no JSON, or not the object that the route takes.
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
        Some(_) => return Err(BadRequest::new(None, not_an_object(body))),
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
        _ => parse(body),
    }
}

fn not_an_object(body: &[u8]) -> String {
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => "the body must be a JSON object, like {\"worker_id\": \"…\"}".to_owned(),
        Err(error) => format!("the body is not valid JSON: {error}"),
    }
}

/// Reads once more, slowly, keeping track of where the reader is.
fn explain<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, BadRequest> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let error = match serde_path_to_error::deserialize(&mut reader) {
        // What follows the object is at fault.
        Ok(value) => match reader.end() {
            Ok(()) => return Ok(value),
            Err(error) => {
                return Err(BadRequest::new(
                    None,
                    format!("the body is not valid JSON: {error}"),
                ));
            }
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
        _ => BadRequest::new(None, format!("the body is not valid JSON: {inner}")),
    })
}
