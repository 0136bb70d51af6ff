//! Keys that a schema has no longer: its keyword `x-former`, which `sandbox_plugin_api::former` writes.
//! Owns the reading of it; what becomes of such a key in a file is `config/former.rs`.

use serde::Deserialize;
use serde_json::Value;

use super::{pointer::child, walk::visit};

/// The keyword.
pub const FORMER: &str = "x-former";

/// What a schema says about a key that it has no longer, or of which it takes other values.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Former {
    /// Values that are passed over without a word.
    pub needless: Vec<Value>,
    /// The key of the same object that it is called now.
    pub now: Option<String>,
    /// Why it is passed over, whatever its value.
    pub note: Option<String>,
    /// Why it is refused.
    pub reason: Option<String>,
    /// What to do about a value that is refused.
    pub advice: Option<String>,
}

/// The members of `value`'s objects that the schema says such a thing about, with their pointers.
pub(super) fn former(schema: &Value, value: &Value) -> Vec<(String, Former)> {
    let mut found: Vec<(String, Former)> = Vec::new();
    visit(schema, value, &mut |node, value, at| {
        let Some(said) = node.get(FORMER).and_then(Value::as_object) else {
            return;
        };
        for key in value
            .as_object()
            .into_iter()
            .flat_map(|object| object.keys())
        {
            // What cannot be read says nothing: the key is then an unknown one.
            if let Some(Ok(former)) = said.get(key).map(Former::deserialize) {
                let pointer = child(at, key);
                if found.iter().all(|(known, _)| *known != pointer) {
                    found.push((pointer, former));
                }
            }
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn they_are_found_in_every_object() {
        let schema = json!({
            "x-former": {"cwd": {"now": "default_cwd"}, "odd": {"now": 3}, "absent": {"note": "x"}},
            "properties": {
                "one": {"$ref": "#/$defs/One"},
                "list": {"items": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/One"}]}},
            },
            "$defs": {"One": {"x-former": {"a/b": {"needless": [null], "reason": "r", "advice": "a"}}}},
        });
        let value = json!({"cwd": 1, "odd": 2, "a/b": 3, "one": {"a/b": 4}, "list": [{"a/b": 5, "cwd": 6}]});
        let found: Vec<_> = former(&schema, &value)
            .into_iter()
            .map(|(pointer, former)| (pointer, former.now, former.reason))
            .collect();
        let refused = |pointer: &str| (pointer.to_owned(), None, Some("r".to_owned()));
        let renamed = ("/cwd".to_owned(), Some("default_cwd".to_owned()), None);
        assert_eq!(
            found,
            [renamed, refused("/one/a~1b"), refused("/list/0/a~1b")]
        );
    }
}
