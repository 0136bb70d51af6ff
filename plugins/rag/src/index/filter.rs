//! Filters on metadata: every value of a document's metadata is a term of its own, `field=value`,
//! so that a filter is a lookup like any other.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tantivy::{
    Term,
    query::{BooleanQuery, ConstScoreQuery, Query, TermQuery},
    schema::{Field, IndexRecordOption},
};

/// A filter with more fields is a mistake, and would cost a lookup for each.
const MAX_FIELDS: usize = 32;

/// Metadata may nest; deeper levels are kept, but not filtered by.
const MAX_DEPTH: usize = 4;

/// Longer terms are replaced by their hash: an index holds no long ones.
const MAX_TERM_BYTES: usize = 256;

/// Why a filter cannot be used: the field, and what is wrong with it.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum FilterError {
    /// A value that nothing can be equal to.
    #[error("expected text, a number, true or false; found {found}")]
    Value {
        /// The field of the filter.
        field: String,
        /// What kind of value came.
        found: &'static str,
    },
    /// Too many fields.
    #[error("expected at most {MAX_FIELDS} fields, found {found}")]
    Fields {
        /// How many came.
        found: usize,
    },
}

/// The conditions of a filter, checked: a document must have all of these terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter {
    terms: Vec<String>,
}

impl Filter {
    /// Reads `{field: value}`. A field of a nested object is `outer.inner`.
    pub(crate) fn new(filter: &Map<String, Value>) -> Result<Self, FilterError> {
        if filter.len() > MAX_FIELDS {
            return Err(FilterError::Fields {
                found: filter.len(),
            });
        }
        let terms = filter.iter().map(|(field, value)| {
            scalar(field, value).ok_or_else(|| FilterError::Value {
                field: field.clone(),
                found: kind(value),
            })
        });
        Ok(Self {
            terms: terms.collect::<Result<_, _>>()?,
        })
    }

    /// The terms that a document must have.
    pub(crate) fn terms(&self) -> &[String] {
        &self.terms
    }

    /// The query that finds what passes, without saying anything about how well it fits.
    pub(crate) fn query(&self, field: Field) -> Option<Box<dyn Query>> {
        if self.terms.is_empty() {
            return None;
        }
        let lookups = self.terms.iter().map(|term| -> Box<dyn Query> {
            let term = Term::from_field_text(field, term);
            Box::new(TermQuery::new(term, IndexRecordOption::Basic))
        });
        let all = BooleanQuery::intersection(lookups.collect());
        Some(Box::new(ConstScoreQuery::new(Box::new(all), 0.0)))
    }
}

/// The terms of a document's metadata.
pub(crate) fn terms_of(metadata: &Map<String, Value>) -> Vec<String> {
    let mut terms = Vec::new();
    for (field, value) in metadata {
        collect(field, value, MAX_DEPTH, &mut terms);
    }
    terms
}

fn collect(field: &str, value: &Value, depth: usize, terms: &mut Vec<String>) {
    match value {
        // An array has each of its values.
        Value::Array(values) if depth > 0 => {
            for value in values {
                collect(field, value, depth - 1, terms);
            }
        }
        Value::Object(fields) if depth > 0 => {
            for (inner, value) in fields {
                collect(&format!("{field}.{inner}"), value, depth - 1, terms);
            }
        }
        _ => terms.extend(scalar(field, value)),
    }
}

/// The term of a single value, with its type: `"1"`, `1` and `true` are different.
fn scalar(field: &str, value: &Value) -> Option<String> {
    let (kind, text) = match value {
        Value::String(text) => ('s', text.clone()),
        Value::Number(number) => ('n', canonical(number)),
        Value::Bool(flag) => ('b', flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    // The length keeps `a` + `=b` and `a=` + `b` apart.
    let term = format!("{}:{field}={kind}{text}", field.len());
    if term.len() <= MAX_TERM_BYTES {
        return Some(term);
    }
    Some(format!("#{}", hex::encode(Sha256::digest(term.as_bytes()))))
}

/// `1`, `1.0` and `1e0` are one number.
fn canonical(number: &serde_json::Number) -> String {
    /// Up to here every whole number has a `f64` of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
            format!("{:.0}", float + 0.0)
        }
        _ => number.to_string(),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
        _ => "a value",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What a filter means, said in another way than the index does it.
    fn passes(metadata: &Value, filter: &Value) -> bool {
        let terms = terms_of(metadata.as_object().unwrap());
        let filter = Filter::new(filter.as_object().unwrap()).unwrap();
        filter.terms.iter().all(|term| terms.contains(term))
    }

    #[test]
    fn values_are_compared_by_type_and_value() {
        let metadata =
            json!({"n": 1, "s": "1", "b": true, "tags": ["a", 2], "in": {"x": "y"}, "nil": null});
        for yes in [
            json!({"n": 1}),
            json!({"n": 1.0}),
            json!({"s": "1", "b": true}),
            json!({"tags": "a"}),
            json!({"tags": 2}),
            json!({"in.x": "y"}),
            json!({}),
        ] {
            assert!(passes(&metadata, &yes), "{yes}");
        }
        for no in [
            json!({"n": "1"}),
            json!({"s": 1}),
            json!({"b": "true"}),
            json!({"tags": "b"}),
            json!({"x": "y"}),
            json!({"n": 1, "s": "2"}),
            json!({"S": "1"}),
        ] {
            assert!(!passes(&metadata, &no), "{no}");
        }
    }

    #[test]
    fn what_nothing_equals_is_refused() {
        let filter = json!({"a": {"b": 1}});
        let error = Filter::new(filter.as_object().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected text, a number, true or false; found an object"
        );
        let many: Map<String, Value> = (0..33).map(|n| (n.to_string(), n.into())).collect();
        assert_eq!(
            Filter::new(&many).unwrap_err(),
            FilterError::Fields { found: 33 }
        );
    }

    fn scalars() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e6..1e6).prop_map(Value::from),
            ".{0,300}".prop_map(Value::from),
        ]
    }

    proptest! {
        /// A document passes the filter of each of its own values, and of no other value.
        #[test]
        fn every_value_is_found_by_itself_alone(
            fields in prop::collection::btree_map("[a-z=:.]{0,6}", scalars(), 1..5),
            other in scalars(),
        ) {
            let metadata = json!(fields);
            for (field, value) in &fields {
                let own = passes(&metadata, &json!({ field: value }));
                prop_assert!(own, "{field} is not found by its own value");
                if &other != value {
                    let others = passes(&metadata, &json!({ field: other }));
                    prop_assert!(!others, "{field} is found by {other}");
                }
            }
        }
    }
}
