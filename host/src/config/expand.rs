//! `${VAR}`, `${VAR:-default}` and the escape `$${` in every string of a document.
//!
//! As in a shell, the default also holds for a variable that is set but empty. A placeholder cannot stand
//! inside another one. What is switched off (`"enabled": false`) may name variables that are not set.

use serde_json::Value;

use super::{diagnostic::Diagnostic, document::Document, environment::Environment};
use crate::schema::{child, dotted, is_within};

/// The sections whose entries have an `enabled` switch.
const SWITCHED: [&str; 2] = ["/resources", "/security"];

/// Expands every string of the document in place and reports what could not be.
pub(super) fn expand(document: &mut Document, environment: &Environment) -> Vec<Diagnostic> {
    let mut value = std::mem::take(&mut document.value);
    let mut faults = Vec::new();
    visit(&mut value, "", document, environment, &mut faults);
    document.value = value;
    let off = switched_off(&document.value);
    faults.retain(|fault| !off.iter().any(|entry| is_within(&fault.pointer, entry)));
    faults
        .into_iter()
        .map(|fault| {
            let location = document.locate(&fault.pointer);
            fault.at(location)
        })
        .collect()
}

fn visit(
    value: &mut Value,
    at: &str,
    document: &mut Document,
    environment: &Environment,
    faults: &mut Vec<Diagnostic>,
) {
    match value {
        Value::String(text) if text.contains("${") => match expanded(text, environment) {
            Ok(Expanded { text: full, whole }) => {
                let placeholders = &mut document.placeholders;
                placeholders.expanded.insert(at.to_owned());
                if whole {
                    placeholders.whole.insert(at.to_owned());
                }
                *text = full;
            }
            Err(problem) => {
                document.placeholders.unresolved.insert(at.to_owned());
                faults.push(problem.diagnostic(at));
            }
        },
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                visit(
                    element,
                    &child(at, index.to_string()),
                    document,
                    environment,
                    faults,
                );
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                visit(member, &child(at, key), document, environment, faults);
            }
        }
        _ => {}
    }
}

fn switched_off(value: &Value) -> Vec<String> {
    let mut off = Vec::new();
    for section in SWITCHED {
        let entries = value.pointer(section).and_then(Value::as_object);
        for (name, entry) in entries.into_iter().flatten() {
            let enabled = entry.get("enabled");
            if enabled.is_some_and(|flag| flag == false || flag == "false") {
                off.push(child(section, name));
            }
        }
    }
    off
}

struct Expanded {
    text: String,
    whole: bool,
}

#[derive(Debug, PartialEq)]
enum Problem {
    Unset(String),
    Unclosed,
    BadName(String),
    Nested,
}

impl Problem {
    fn diagnostic(self, at: &str) -> Diagnostic {
        let key = dotted(at);
        match self {
            Self::Unset(name) => Diagnostic::error(
                at,
                format!("`{key}`: the environment variable `{name}` is not set"),
            )
            .hint(format!("set it, or give a default: ${{{name}:-default}}")),
            Self::Unclosed => {
                Diagnostic::error(at, format!("`{key}`: `${{` without a closing brace"))
                    .hint("close it, or write `$${` for the characters themselves")
            }
            Self::BadName(name) => Diagnostic::error(
                at,
                format!("`{key}`: `{name}` is not the name of a variable"),
            )
            .hint("names have letters, digits and `_`; write `$${` for the characters themselves"),
            Self::Nested => Diagnostic::error(
                at,
                format!("`{key}`: a placeholder cannot stand inside another one"),
            )
            .hint("write the default as plain text"),
        }
    }
}

fn expanded(text: &str, environment: &Environment) -> Result<Expanded, Problem> {
    let mut full = String::with_capacity(text.len());
    let mut rest = text;
    let mut whole = false;
    while let Some(start) = rest.find("${") {
        let before = &rest[..start];
        let after = &rest[start + 2..];
        if let Some(before) = before.strip_suffix('$') {
            full.push_str(before);
            full.push_str("${");
            rest = after;
            continue;
        }
        full.push_str(before);
        let end = after.find('}').ok_or(Problem::Unclosed)?;
        full.push_str(&placeholder(&after[..end], environment)?);
        rest = &after[end + 1..];
        whole = start == 0 && rest.is_empty() && end + 3 == text.len();
    }
    full.push_str(rest);
    Ok(Expanded { text: full, whole })
}

fn placeholder(inner: &str, environment: &Environment) -> Result<String, Problem> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if inner.contains("${") {
        return Err(Problem::Nested);
    }
    if !is_name(name) {
        return Err(Problem::BadName(name.to_owned()));
    }
    let set = environment.get(name);
    match (set, default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Problem::Unset(name.to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Result<(String, bool), Problem> {
        let environment = Environment::from_iter([("A", "1"), ("EMPTY", "")]);
        expanded(text, &environment).map(|done| (done.text, done.whole))
    }

    #[test]
    fn placeholders_defaults_and_escapes() {
        let ok = |full: &str, whole| Ok((full.to_owned(), whole));
        assert_eq!(text("${A}"), ok("1", true));
        assert_eq!(text("${B:-x y}"), ok("x y", true));
        assert_eq!(text("a${A}b${B:-}c"), ok("a1bc", false));
        assert_eq!(text("${A}${A}"), ok("11", false));
        assert_eq!(text("${EMPTY}"), ok("", true));
        assert_eq!(text("${EMPTY:-d}"), ok("d", true));
        assert_eq!(text("$${A} $5"), ok("${A} $5", false));
        assert_eq!(text("$${A}${A}"), ok("${A}1", false));
    }

    #[test]
    fn what_cannot_be_expanded_is_refused() {
        assert_eq!(text("${B}"), Err(Problem::Unset("B".to_owned())));
        assert_eq!(text("${A"), Err(Problem::Unclosed));
        assert_eq!(text("${A-B}"), Err(Problem::BadName("A-B".to_owned())));
        assert_eq!(text("${}"), Err(Problem::BadName(String::new())));
        assert_eq!(text("${A:-${B}}"), Err(Problem::Nested));
    }
}
