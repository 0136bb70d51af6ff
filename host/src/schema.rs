//! Checks JSON against a JSON Schema and says every fault in words an operator or an agent can act on.
//!
//! Owns: compiling a schema once, finding all faults of a value, and for each the place, what was
//! expected, what was found, and the known key nearest to an unknown one. It knows nothing of files:
//! [`crate::config`] adds lines and columns, and the dispatcher turns a [`Fault`] into an answer.
//! Read next: `schema/fault.rs`.

mod describe;
mod fault;
mod former;
mod nearest;
mod pointer;
mod walk;

pub use fault::{Fault, Problem};
pub use former::{FORMER, Former};
pub use nearest::nearest;
pub(crate) use pointer::split;
pub use pointer::{child, dotted, is_within};

use serde_json::Value;

/// A compiled schema: made once, used for every value.
#[derive(Debug)]
pub struct Checker {
    schema: Value,
    validator: jsonschema::Validator,
}

/// What was handed in as a schema is not one.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON Schema: at `{pointer}`: {reason}")]
pub struct SchemaError {
    /// Where in the schema the fault is.
    pub pointer: String,
    /// What is wrong there.
    pub reason: String,
}

impl Checker {
    /// Compiles `schema`. References to other documents are refused: nothing is fetched.
    ///
    /// # Errors
    /// When `schema` does not follow its own meta-schema or refers to what cannot be resolved.
    pub fn compile(schema: Value) -> Result<Self, SchemaError> {
        let validator = jsonschema::validator_for(&schema).map_err(|error| SchemaError {
            pointer: error.instance_path().as_str().to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { schema, validator })
    }

    /// The schema as it was handed in.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The quick question, for the path where nearly every value is right.
    pub fn is_valid(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// The first fault of `value`, if it has one.
    pub fn first(&self, value: &Value) -> Option<Fault> {
        self.faults(value).next()
    }

    /// Every fault of `value`, in the order of the schema's keywords.
    pub fn all(&self, value: &Value) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.faults(value).collect();
        // A value of the wrong type breaks its type and its range, and is told the same both times.
        faults.dedup();
        faults
    }

    /// The pointers of all strings in `value` that the schema declares to be paths
    /// (`"format": "path"`), so that they can be resolved against the file that names them.
    pub fn paths(&self, value: &Value) -> Vec<String> {
        walk::paths(&self.schema, value)
    }

    /// The objects, as dotted paths, in which `key` would be known: advice for a key in the wrong place.
    pub fn homes(&self, key: &str) -> Vec<String> {
        walk::homes(&self.schema, key)
    }

    /// The keys of `value` that the schema has no longer, or takes other values of, with their pointers.
    pub fn former(&self, value: &Value) -> Vec<(String, Former)> {
        former::former(&self.schema, value)
    }

    fn faults<'a>(&'a self, value: &'a Value) -> impl Iterator<Item = Fault> + 'a {
        self.validator
            .iter_errors(value)
            .flat_map(|error| fault::from_error(&self.schema, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checker() -> Checker {
        Checker::compile(json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["query"],
            "properties": {
                "query": {"type": "string", "minLength": 1},
                "top_k": {"type": ["integer", "null"], "minimum": 1, "maximum": 50},
                "mode": {"enum": ["text", "dense"]},
                "filter": {"anyOf": [{"$ref": "#/$defs/Filter"}, {"type": "null"}]},
                "corpus": {"type": "string", "format": "path"},
            },
            "$defs": {"Filter": {
                "type": "object",
                "additionalProperties": false,
                "properties": {"field": {"type": "string"}},
            }},
        }))
        .unwrap()
    }

    fn words(value: &Value) -> Vec<String> {
        checker()
            .all(value)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_right_value_has_no_fault() {
        assert!(checker().is_valid(&json!({"query": "a", "top_k": null})));
        assert_eq!(checker().first(&json!({"query": "a", "filter": {}})), None);
    }

    #[test]
    fn every_fault_is_named_with_place_expected_and_found() {
        let mut found = words(&json!({"query": "", "top_k": "ten", "mode": "txt", "topk": 3}));
        found.sort();
        assert_eq!(
            found,
            [
                "`mode`: expected `text` or `dense`, found the string \"txt\"",
                "`query`: expected a non-empty string, found the string \"\"",
                "`top_k`: expected an integer from 1 to 50 or null, found the string \"ten\"",
                "unknown key `topk`; did you mean `top_k`?",
            ]
        );
        assert_eq!(
            words(&json!({})),
            ["missing key `query`: expected a non-empty string"]
        );
        assert_eq!(words(&json!([])), ["expected an object, found an array"]);
    }

    #[test]
    fn an_optional_object_reports_what_is_wrong_inside_it() {
        assert_eq!(
            words(&json!({"query": "a", "filter": {"feild": "x"}})),
            ["unknown key `feild` in `filter`; did you mean `field`?"]
        );
        assert_eq!(
            words(&json!({"query": "a", "filter": 3})),
            ["`filter`: expected an object or null, found the number 3"]
        );
    }

    #[test]
    fn strings_that_are_paths_are_found() {
        assert_eq!(
            checker().paths(&json!({"corpus": "a", "query": "b"})),
            ["/corpus"]
        );
    }

    #[test]
    fn a_schema_that_is_none_is_refused_with_its_place() {
        let error = Checker::compile(json!({"properties": {"a": {"type": "strnig"}}})).unwrap_err();
        assert!(error.pointer.starts_with("/properties/a/type"), "{error}");
    }
}
