//! One fault of a value, and how the validator's errors become faults. Owns the choice of what to report.

use std::fmt;

use jsonschema::error::{ValidationError, ValidationErrorKind as Kind};
use serde::Serialize;
use serde_json::Value;

use super::{describe, nearest::nearest, pointer, walk};

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The JSON pointer of the value, or of the key that should not or should be there.
    pub pointer: String,
    /// What is wrong there.
    #[serde(flatten)]
    pub problem: Problem,
}

/// The kinds of faults that are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// The schema knows no such key here.
    UnknownKey {
        /// The known key that was probably meant.
        nearest: Option<String>,
        /// All keys that are known here.
        known: Vec<String>,
    },
    /// A required key is not there.
    MissingKey {
        /// What its value must be.
        expected: String,
    },
    /// The value is of the wrong type, out of range or otherwise not what the schema wants.
    WrongValue {
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A rule of the schema that no simple expectation describes.
    Rule {
        /// The rule, without the value, which may be a secret.
        rule: String,
    },
}

impl Fault {
    /// The advice that goes with the fault, when there is any.
    pub fn hint(&self) -> Option<String> {
        let Problem::UnknownKey { nearest, known } = &self.problem else {
            return None;
        };
        match nearest {
            Some(key) => Some(format!("did you mean `{key}`?")),
            None if known.is_empty() => Some("no key is known here".to_owned()),
            None => Some(format!("known here: {}", known.join(", "))),
        }
    }

    /// What is wrong, without advice.
    pub fn message(&self) -> String {
        let place = pointer::dotted(&self.pointer);
        match &self.problem {
            Problem::UnknownKey { .. } => format!("unknown key {}", self.key_in_place()),
            Problem::MissingKey { expected } => {
                format!("missing key {}: expected {expected}", self.key_in_place())
            }
            Problem::WrongValue { expected, found } if place.is_empty() => {
                format!("expected {expected}, found {found}")
            }
            Problem::WrongValue { expected, found } => {
                format!("`{place}`: expected {expected}, found {found}")
            }
            Problem::Rule { rule } if place.is_empty() => rule.clone(),
            Problem::Rule { rule } => format!("`{place}`: {rule}"),
        }
    }

    fn key_in_place(&self) -> String {
        match pointer::split(&self.pointer) {
            Some(("", key)) => format!("`{key}`"),
            Some((parent, key)) => format!("`{key}` in `{}`", pointer::dotted(parent)),
            None => "``".to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// The faults behind one error of the validator: several for several unknown keys or inside alternatives.
pub(super) fn from_error(root: &Value, error: &ValidationError<'_>) -> Vec<Fault> {
    let at = error.instance_path().as_str();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected
                .iter()
                .map(|key| unknown(root, error, key))
                .collect()
        }
        Kind::Required { property } => vec![missing(root, error, property)],
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match meant(at, context) {
            Some(errors) => errors
                .iter()
                .flat_map(|inner| from_error(root, inner))
                .collect(),
            None => vec![wrong(root, error)],
        },
        Kind::Type { .. }
        | Kind::Enum { .. }
        | Kind::Constant { .. }
        | Kind::Minimum { .. }
        | Kind::Maximum { .. }
        | Kind::ExclusiveMinimum { .. }
        | Kind::ExclusiveMaximum { .. }
        | Kind::MinLength { .. }
        | Kind::Pattern { .. } => vec![wrong(root, error)],
        _ => vec![Fault {
            pointer: at.to_owned(),
            problem: Problem::Rule {
                rule: error.masked_with("the value").to_string(),
            },
        }],
    }
}

/// The alternative that the value was probably written for: one that it does not miss by its very type.
fn meant<'e>(
    at: &str,
    alternatives: &'e [Vec<ValidationError<'static>>],
) -> Option<&'e Vec<ValidationError<'static>>> {
    alternatives
        .iter()
        .filter(|errors| {
            !errors.is_empty()
                && errors.iter().all(|error| {
                    let whole = error.instance_path().as_str() == at;
                    let by_nature = matches!(
                        error.kind(),
                        Kind::Type { .. } | Kind::Enum { .. } | Kind::Constant { .. }
                    );
                    !(whole && by_nature)
                })
        })
        .min_by_key(|errors| errors.len())
}

fn unknown(root: &Value, error: &ValidationError<'_>, key: &str) -> Fault {
    let known = node_of(root, error).map_or_else(Vec::new, |node| walk::known_keys(root, node));
    Fault {
        pointer: pointer::child(error.instance_path().as_str(), key),
        problem: Problem::UnknownKey {
            nearest: nearest(key, known.iter().copied()).map(str::to_owned),
            known: known.into_iter().map(str::to_owned).collect(),
        },
    }
}

fn missing(root: &Value, error: &ValidationError<'_>, property: &Value) -> Fault {
    let key = property.as_str().unwrap_or_default();
    let expected = node_of(root, error)
        .and_then(|node| node.get("properties")?.get(key))
        .map_or_else(
            || "a value".to_owned(),
            |node| describe::expected(root, node),
        );
    Fault {
        pointer: pointer::child(error.instance_path().as_str(), key),
        problem: Problem::MissingKey { expected },
    }
}

fn wrong(root: &Value, error: &ValidationError<'_>) -> Fault {
    let expected = node_of(root, error).map_or_else(
        || error.masked_with("a value").to_string(),
        |node| describe::expected(root, node),
    );
    Fault {
        pointer: error.instance_path().as_str().to_owned(),
        problem: Problem::WrongValue {
            expected,
            found: describe::found(error.instance()),
        },
    }
}

/// The part of the schema whose keyword was not met.
fn node_of<'a>(root: &'a Value, error: &ValidationError<'_>) -> Option<&'a Value> {
    let (node, _keyword) = error.schema_path().as_str().rsplit_once('/')?;
    root.pointer(node)
}
