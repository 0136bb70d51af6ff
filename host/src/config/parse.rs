//! Text → [`Document`]: strict JSON with the place of everything, comments dropped, doubled keys reported.
//!
//! `jsonc-parser` gives the places and the better messages; `serde_json` has the last word on what JSON is,
//! so that no text is accepted here which another JSON reader would refuse.

use std::{collections::HashMap, ops::Range, path::PathBuf, sync::Arc};

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, ObjectProp, ObjectPropName, Value as Ast},
    common::{Range as AstRange, Ranged},
    errors::ParseErrorKind,
    parse_to_ast,
};
use serde_json::{Map, Value};

use super::{
    diagnostic::{Diagnostic, Location},
    document::{Document, Place, Placeholders, Source},
    masking::may_be_secret,
};
use crate::schema::{child, dotted};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Parses `bytes`. With the document come the faults that do not keep it from being read.
///
/// # Errors
/// The one fault after which nothing more can be said: the bytes are not UTF-8 or not JSON.
pub(super) fn parse(
    name: &str,
    directory: PathBuf,
    bytes: Vec<u8>,
) -> Result<(Document, Vec<Diagnostic>), Box<Diagnostic>> {
    let text = text_of(name, bytes)?;
    let source = Arc::new(Source {
        name: name.to_owned(),
        text,
    });
    let mut reading = Reading {
        source: &source,
        document: Document {
            source: Arc::clone(&source),
            directory,
            value: Value::Null,
            places: HashMap::default(),
            secrets: Vec::new(),
            placeholders: Placeholders::default(),
        },
        diagnostics: Vec::new(),
    };
    reading.document.value = reading.whole()?;
    let Reading {
        mut document,
        diagnostics,
        ..
    } = reading;
    document.secrets = secrets(&document);
    let unsaid = |mut diagnostic: Diagnostic| {
        let location = diagnostic.location.take();
        diagnostic.at(location.map(|location| location.without(&document.secrets)))
    };
    let diagnostics = diagnostics.into_iter().map(unsaid).collect();
    Ok((document, diagnostics))
}

/// Where the texts stand that must not be repeated.
fn secrets(document: &Document) -> Vec<Range<usize>> {
    let text = &document.source.text;
    let is_secret = |(pointer, place): &(&String, &Place)| {
        let is_text = text[place.value.clone()].starts_with('"');
        is_text && may_be_secret(pointer)
    };
    let places = document.places.iter().filter(is_secret);
    places.map(|(_, place)| place.value.clone()).collect()
}

fn text_of(name: &str, bytes: Vec<u8>) -> Result<String, Box<Diagnostic>> {
    // Some editors write a byte order mark; it means nothing in UTF-8.
    let bytes = match bytes.strip_prefix("\u{feff}".as_bytes()) {
        Some(rest) => rest.to_vec(),
        None => bytes,
    };
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let source = Arc::new(Source {
            name: name.to_owned(),
            text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
        });
        let bad = valid..source.text.ceil_char_boundary(valid + 1);
        let fault = Diagnostic::error("", "the file is not UTF-8")
            .at(Some(Location::new(&source, bad)))
            .hint("save it as UTF-8");
        Box::new(fault)
    })
}

struct Reading<'s> {
    source: &'s Arc<Source>,
    document: Document,
    diagnostics: Vec<Diagnostic>,
}

impl Reading<'_> {
    fn whole(&mut self) -> Result<Value, Box<Diagnostic>> {
        let source = Arc::clone(self.source);
        if source.text.trim().is_empty() {
            let empty = Diagnostic::error("", format!("{} is empty", source.name));
            return Err(Box::new(empty.hint("the smallest configuration is {}")));
        }
        let parsed = parse_to_ast(&source.text, &CollectOptions::default(), &STRICT)
            .map_err(|error| self.syntax(error.range(), error.kind()))?;
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&source.text) {
            return Err(self.strictness(&error));
        }
        // Reading into a value also bounds the depth, which ignoring does not.
        if let Err(error) = serde_json::from_str::<Value>(&source.text) {
            return Err(self.strictness(&error));
        }
        // Without a value there would have been a fault above.
        Ok(parsed
            .value
            .map_or(Value::Null, |ast| self.value(&ast, "", None)))
    }

    fn value(&mut self, ast: &Ast<'_>, pointer: &str, key: Option<AstRange>) -> Value {
        let place = Place {
            key: key.map(|range| range.start..range.end),
            value: ast.range().start..ast.range().end,
        };
        self.document.places.insert(pointer.to_owned(), place);
        match ast {
            Ast::NullKeyword(_) => Value::Null,
            Ast::BooleanLit(literal) => Value::Bool(literal.value),
            Ast::StringLit(literal) => Value::String(literal.value.clone().into_owned()),
            // The whole text was read by serde_json before, so that this number is one.
            Ast::NumberLit(literal) => {
                number(serde_json::from_str(literal.value).unwrap_or_default())
            }
            Ast::Array(array) => (0..)
                .zip(&array.elements)
                .map(|(index, element): (usize, _)| {
                    self.value(element, &child(pointer, index.to_string()), None)
                })
                .collect(),
            Ast::Object(object) => Value::Object(self.object(object, pointer)),
        }
    }

    fn object(&mut self, object: &Object<'_>, pointer: &str) -> Map<String, Value> {
        let mut members = Map::new();
        for property in &object.properties {
            let (key, range) = name_of(property);
            let at = child(pointer, key);
            if is_comment(key) {
                self.comment(key, &at, range);
            } else if members.contains_key(key) {
                self.doubled(key, &at, range);
            } else {
                let value = self.value(&property.value, &at, Some(range));
                members.insert(key.to_owned(), value);
            }
        }
        members
    }

    fn comment(&mut self, key: &str, at: &str, range: AstRange) {
        if matches!(key, "$include" | "$extends") {
            let message = format!("`{key}` is a comment here: no other file is read");
            self.diagnostics.push(
                Diagnostic::warning(at, message)
                    .at(Some(self.location(range)))
                    .hint("write the settings into this file; `${VAR}` fills in what differs"),
            );
        }
    }

    fn doubled(&mut self, key: &str, at: &str, range: AstRange) {
        let first = self
            .document
            .locate_key(at)
            .map_or(0, |location| location.line);
        let message = format!("the key `{}` stands here twice", dotted(at));
        self.diagnostics.push(
            Diagnostic::error(at, message)
                .at(Some(self.location(range)))
                .hint(format!(
                    "`{key}` stands in line {first} already; keep one of them"
                )),
        );
    }

    fn syntax(&self, range: AstRange, kind: &ParseErrorKind) -> Box<Diagnostic> {
        let fault =
            Diagnostic::error("", format!("not JSON: {kind}")).at(Some(self.location(range)));
        Box::new(match kind {
            ParseErrorKind::CommentsNotAllowed => {
                fault.hint("write comments as keys that begin with `_`: \"_comment\": \"…\"")
            }
            ParseErrorKind::TrailingCommasNotAllowed => fault.hint("remove the comma"),
            ParseErrorKind::SingleQuotedStringsNotAllowed => fault.hint("use double quotes"),
            _ => fault,
        })
    }

    fn strictness(&self, error: &serde_json::Error) -> Box<Diagnostic> {
        let line_start: usize = self
            .source
            .text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let at = line_start + error.column().saturating_sub(1);
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let fault = Diagnostic::error("", format!("not JSON: {reason}"))
            .at(Some(self.location(AstRange::new(at, at + 1))));
        Box::new(fault)
    }

    fn location(&self, range: AstRange) -> Location {
        let text = &self.source.text;
        let start = text.floor_char_boundary(range.start);
        let end = text.ceil_char_boundary(range.end.max(start));
        Location::new(self.source, start..end)
    }
}

/// A whole number is one however it is written: `1e6` and `8080.0` are integers to JSON Schema, not to serde.
fn number(value: Value) -> Value {
    /// Up to here, every whole number has a floating-point number of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.as_f64() {
        Some(float) if value.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole and not too large"
            )]
            let whole = float as i64;
            Value::from(whole)
        }
        _ => value,
    }
}

fn name_of<'a>(property: &'a ObjectProp<'_>) -> (&'a str, AstRange) {
    match &property.name {
        ObjectPropName::String(name) => (&name.value, name.range),
        ObjectPropName::Word(name) => (name.value, name.range),
    }
}

/// Keys that begin with `_` or `$` are for readers, at every level.
fn is_comment(key: &str) -> bool {
    key.starts_with(['_', '$'])
}
