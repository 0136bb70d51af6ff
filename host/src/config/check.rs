//! Checks a document, or a part of it, against a JSON Schema and says where each fault stands.
//! Owns the meeting of faults (`crate::schema`) and places (`document.rs`); `former.rs` takes out beforehand what a
//! plugin's settings have no longer. Used for the file itself and
//! for the `config` of each resource once its plugin is loaded and has published its schema.

use serde_json::{Map, Value};

use super::{
    diagnostic::Diagnostic, document::Document, former::settle, masking::may_be_secret, refused,
};
use crate::schema::{Checker, Fault, Problem, dotted, split};

/// The outcome of a check.
#[derive(Debug)]
pub struct Checked {
    /// The value, where placeholders stand for numbers and truth values that the schema wants, and paths
    /// (`"format": "path"`) are resolved against the file's directory. Keys that the schema has no longer are not in
    /// it. Meaningful when there is no error.
    pub value: Value,
    /// Everything that is wrong with it, and notes on what has no effect, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks what `pointer` points to; what is absent counts as an empty object.
pub fn check_against(checker: &Checker, document: &Document, pointer: &str) -> Checked {
    let settled = settle(checker, document, pointer);
    let place = |at: &str| format!("{pointer}{}", settled.origin(at));
    let (mut value, faults) = typed(checker, document, settled.value.clone(), place);
    let former = checker.former(&value);
    let mut diagnostics = settled.diagnostics.clone();
    for mut fault in faults {
        let said = former.iter().find(|(at, _)| *at == fault.pointer);
        let advice = said.and_then(|(_, former)| former.advice.clone());
        fault.pointer = place(&fault.pointer);
        if document.placeholders.unresolved.contains(&fault.pointer) {
            continue;
        }
        let mut found = diagnostic(&fault, checker, document);
        found.hint = found.hint.or(advice);
        diagnostics.push(found);
    }
    super::diagnostic::sort(&mut diagnostics);
    for path in checker.paths(&value) {
        if let Some(Value::String(text)) = value.pointer_mut(&path) {
            *text = document.resolve(&*text).to_string_lossy().into_owned();
        }
    }
    Checked { value, diagnostics }
}

/// The value with its placeholders typed, and its faults under the document's own pointers.
pub(super) fn examine(checker: &Checker, document: &Document, base: &str) -> (Value, Vec<Fault>) {
    let place = |at: &str| format!("{base}{at}");
    let (value, mut faults) = typed(checker, document, value_at(document, base), place);
    for fault in &mut faults {
        fault.pointer.insert_str(0, base);
    }
    (value, faults)
}

/// What `pointer` points to; an empty object when it is absent.
pub(super) fn value_at(document: &Document, pointer: &str) -> Value {
    let value = document.value().pointer(pointer).cloned();
    value.unwrap_or_else(|| Value::Object(Map::new()))
}

/// The value with its placeholders typed, and its faults under its own pointers, which `place` translates into the
/// document's.
fn typed(
    checker: &Checker,
    document: &Document,
    mut value: Value,
    place: impl Fn(&str) -> String,
) -> (Value, Vec<Fault>) {
    let mut faults = checker.all(&value);
    let mut typed = false;
    for fault in &faults {
        let at = place(&fault.pointer);
        typed |= type_placeholder(&mut value, &fault.pointer, document, &at);
    }
    if typed {
        faults = checker.all(&value);
    }
    (value, faults)
}

/// Replaces a string that was one placeholder by the number or truth value that it spells, if it does.
fn type_placeholder(value: &mut Value, pointer: &str, document: &Document, place: &str) -> bool {
    if !document.placeholders.whole.contains(place) {
        return false;
    }
    let Some(Value::String(text)) = value.pointer(pointer) else {
        return false;
    };
    match serde_json::from_str::<Value>(text.trim()) {
        Ok(scalar @ (Value::Number(_) | Value::Bool(_))) => match value.pointer_mut(pointer) {
            Some(slot) => {
                *slot = scalar;
                true
            }
            None => false,
        },
        _ => false,
    }
}

/// A fault with its place in the file and the advice that goes with it.
pub(super) fn diagnostic(fault: &Fault, checker: &Checker, document: &Document) -> Diagnostic {
    let secret = may_be_secret(&fault.pointer);
    let discreet = secret || document.is_from_environment(&fault.pointer);
    let mut found = match (&fault.problem, refused::find(&fault.pointer)) {
        (Problem::UnknownKey { .. }, Some(refused)) => {
            let message = format!(
                "`{}` is not used here: {}",
                dotted(&fault.pointer),
                refused.reason
            );
            Diagnostic::error(&fault.pointer, message).hint(refused.advice)
        }
        (Problem::UnknownKey { nearest: None, .. }, None) => {
            with_hint(fault, misplaced(fault, checker).or_else(|| fault.hint()))
        }
        (Problem::WrongValue { .. }, _) if discreet => with_hint(&without_value(fault), None),
        _ => with_hint(fault, fault.hint()),
    };
    found.location = match fault.problem {
        Problem::UnknownKey { .. } => document.locate_key(&fault.pointer),
        _ => document.locate(&fault.pointer),
    };
    found
}

/// The fault without what was found: it is a secret, or came from the environment, where secrets live.
fn without_value(fault: &Fault) -> Fault {
    let mut fault = fault.clone();
    if let Problem::WrongValue { found, .. } = &mut fault.problem {
        "something else, which is not shown".clone_into(found);
    }
    fault
}

fn with_hint(fault: &Fault, hint: Option<String>) -> Diagnostic {
    let mut found = Diagnostic::error(&fault.pointer, fault.message());
    found.hint = hint;
    found
}

fn misplaced(fault: &Fault, checker: &Checker) -> Option<String> {
    let (_, key) = split(&fault.pointer)?;
    let homes = checker.homes(&key);
    let home = homes.first()?;
    Some(if home.is_empty() {
        format!("`{key}` belongs at the top of the file")
    } else {
        format!("`{key}` belongs in `{home}`")
    })
}

/// The value without what is wrong in it, so that the rules can look at the rest.
pub(super) fn pruned(mut value: Value, faults: &[Fault]) -> Value {
    for fault in faults {
        match fault.problem {
            // What lacks a key is nothing without it.
            Problem::MissingKey { .. } => {
                let (parent, _) = split(&fault.pointer).unwrap_or_default();
                remove(&mut value, parent);
            }
            _ => remove(&mut value, &fault.pointer),
        }
    }
    value
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, key)) = split(pointer) else {
        *value = Value::Object(Map::new());
        return;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.shift_remove(&key);
        }
        // Without one of its elements a list would say something else.
        Some(Value::Array(_)) => remove(value, parent),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::child;
    use serde_json::json;

    #[test]
    fn what_is_wrong_is_cut_out_and_the_rest_stays() {
        let mut value = json!({"a": {"b": 1, "c": [1, 2]}, "d": 2});
        remove(&mut value, "/a/b");
        remove(&mut value, &child("/a/c", "1"));
        assert_eq!(value, json!({"a": {}, "d": 2}));
        remove(&mut value, "");
        assert_eq!(value, json!({}));
    }
}
