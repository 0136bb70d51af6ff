//! Parameters as they are typed: one JSON object, or `key=value` and `key:=json` pairs.

use super::{
    failure::Failure,
    schema::{self, Kinds},
};
use serde_json::{Map, Value};
use std::io::Read;

/// Parameters, some of which may still be either text or something else.
#[derive(Debug, PartialEq)]
pub(super) struct Typed {
    known: Map<String, Value>,
    /// Values that read as text and as JSON both: the key, the text, and the other reading.
    undecided: Vec<(String, String, Value)>,
}

/// Reads the arguments of a call. `-` stands for a JSON object on stdin.
pub(super) fn read(arguments: &[String], stdin: &mut dyn Read) -> Result<Typed, Failure> {
    if let [single] = arguments {
        if single == "-" {
            let mut text = String::new();
            stdin
                .read_to_string(&mut text)
                .map_err(|error| Failure::refused(format!("cannot read stdin: {error}")))?;
            return object(&text);
        }
        if single.trim_start().starts_with('{') {
            return object(single);
        }
    }
    pairs(arguments)
}

fn object(text: &str) -> Result<Typed, Failure> {
    let known = serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!("the parameters are not a JSON object: {error}"))
            .hint("quote them for the shell, like '{\"x\": 1}', or write pairs, like x=1")
    })?;
    Ok(Typed {
        known,
        undecided: Vec::new(),
    })
}

fn pairs(arguments: &[String]) -> Result<Typed, Failure> {
    let mut typed = Typed {
        known: Map::new(),
        undecided: Vec::new(),
    };
    for argument in arguments {
        let (key, text) = split(argument)?;
        if typed.has(key.trim_end_matches(':')) {
            return Err(Failure::usage(format!(
                "`{argument}`: the key is given twice"
            )));
        }
        if let Some(key) = key.strip_suffix(':') {
            let value = serde_json::from_str(text).map_err(|error| {
                Failure::usage(format!(
                    "`{argument}`: what follows := is not JSON: {error}"
                ))
                .hint(format!("for text, write {key}={text}"))
            })?;
            typed.known.insert(key.to_owned(), value);
            continue;
        }
        match serde_json::from_str(text) {
            // Quotes that survived the shell belong to the text.
            Ok(Value::String(_)) | Err(_) => {
                typed.known.insert(key.to_owned(), text.into());
            }
            Ok(other) => typed
                .undecided
                .push((key.to_owned(), text.to_owned(), other)),
        }
    }
    Ok(typed)
}

fn split(argument: &str) -> Result<(&str, &str), Failure> {
    match argument.split_once('=') {
        Some((key, text)) if !matches!(key, "" | ":") => Ok((key, text)),
        _ => Err(
            Failure::usage(format!("`{argument}` is no parameter")).hint(
                "write key=value, or key:=json for numbers, lists and objects, or one JSON object",
            ),
        ),
    }
}

impl Typed {
    fn has(&self, key: &str) -> bool {
        self.known.contains_key(key) || self.undecided.iter().any(|(name, ..)| name == key)
    }

    /// Whether the tool's schema is needed to tell text from something else.
    pub(super) fn needs_schema(&self) -> bool {
        !self.undecided.is_empty()
    }

    /// The parameters, decided by the tool's schema.
    pub(super) fn decide(self, root: &Value) -> Map<String, Value> {
        self.finish(|key, other| is_text(root, key, other))
    }

    /// The parameters, each taken for JSON where it reads as such.
    pub(super) fn undirected(self) -> Map<String, Value> {
        self.finish(|_, _| false)
    }

    fn finish(mut self, is_text: impl Fn(&str, &Value) -> bool) -> Map<String, Value> {
        for (key, text, other) in self.undecided {
            let value = if is_text(&key, &other) {
                text.into()
            } else {
                other
            };
            self.known.insert(key, value);
        }
        self.known
    }
}

/// Whether a parameter wants the text `123` rather than the number.
fn is_text(root: &Value, key: &str, other: &Value) -> bool {
    let Some(parameter) = schema::parameter(root, key) else {
        // The server knows better how to say that there is no such parameter.
        return false;
    };
    let allowed = schema::kinds(root, parameter);
    if allowed == Kinds::ANY {
        return false;
    }
    // Optional text is left out, not given as null: so `null` is a word there.
    let fits = allowed.allow(Kinds::of(other)) && !other.is_null();
    allowed.allow(Kinds::STRING) && !fits
}

#[cfg(test)]
#[path = "pairs_tests.rs"]
mod tests;
