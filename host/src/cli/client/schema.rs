//! What a tool's JSON Schema says about its parameters, as far as the command line needs it.

use serde_json::Value;

/// How many references are followed before a schema is taken for a circle.
const MAX_REFERENCES: u8 = 16;

/// The kinds of JSON values that a schema lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    const NONE: Self = Self(0);
    pub(super) const STRING: Self = Self(1);
    const FRACTION: Self = Self(2);
    const INTEGER: Self = Self(4);
    const BOOLEAN: Self = Self(8);
    pub(super) const NULL: Self = Self(16);
    const ARRAY: Self = Self(32);
    const OBJECT: Self = Self(64);
    pub(super) const ANY: Self = Self(127);

    /// Whether every kind of `other` is let through.
    pub(super) const fn allow(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The kind of a value.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
            // JSON Schema counts 1.0 as an integer.
            Value::Number(number) => match number.as_f64() {
                Some(float) if float.fract() != 0.0 => Self::FRACTION,
                _ => Self::INTEGER,
            },
        }
    }

    fn named(name: &Value) -> Self {
        match name.as_str() {
            Some("string") => Self::STRING,
            Some("number") => Self::FRACTION.or(Self::INTEGER),
            Some("integer") => Self::INTEGER,
            Some("boolean") => Self::BOOLEAN,
            Some("null") => Self::NULL,
            Some("array") => Self::ARRAY,
            Some("object") => Self::OBJECT,
            _ => Self::NONE,
        }
    }
}

/// The schema of one parameter, when the tool's schema has it.
pub(super) fn parameter<'a>(root: &'a Value, name: &str) -> Option<&'a Value> {
    resolve(root, root, MAX_REFERENCES)?
        .get("properties")?
        .get(name)
}

/// The kinds that a schema inside of `root` lets through.
pub(super) fn kinds(root: &Value, schema: &Value) -> Kinds {
    kinds_within(root, schema, MAX_REFERENCES)
}

fn kinds_within(root: &Value, schema: &Value, references: u8) -> Kinds {
    let Some(schema) = resolve(root, schema, references) else {
        return Kinds::ANY;
    };
    let Some(deeper) = references.checked_sub(1) else {
        return Kinds::ANY;
    };
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    let mut allowed = match schema.get("type") {
        Some(Value::Array(names)) => names.iter().map(Kinds::named).fold(Kinds::NONE, Kinds::or),
        Some(name) => Kinds::named(name),
        None => Kinds::ANY,
    };
    if let Some(values) = list("enum") {
        allowed = allowed.and(values.iter().map(Kinds::of).fold(Kinds::NONE, Kinds::or));
    }
    if let Some(value) = schema.get("const") {
        allowed = allowed.and(Kinds::of(value));
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = list(key) {
            let kinds = choices
                .iter()
                .map(|choice| kinds_within(root, choice, deeper));
            allowed = allowed.and(kinds.fold(Kinds::NONE, Kinds::or));
        }
    }
    let parts = list("allOf").into_iter().flatten();
    parts.fold(allowed, |allowed, part| {
        allowed.and(kinds_within(root, part, deeper))
    })
}

/// Follows `$ref`s inside the document.
fn resolve<'a>(root: &'a Value, schema: &'a Value, references: u8) -> Option<&'a Value> {
    match schema.get("$ref").and_then(Value::as_str) {
        None => Some(schema),
        Some(reference) => {
            let target = root.pointer(reference.strip_prefix('#')?)?;
            resolve(root, target, references.checked_sub(1)?)
        }
    }
}

/// A parameter's type in a word or two, for people.
pub(super) fn type_name(root: &Value, schema: &Value) -> String {
    let Some(schema) = resolve(root, schema, MAX_REFERENCES) else {
        return "any".to_owned();
    };
    if let Some(values) = choices(schema) {
        return values.join("|");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema.get(key).and_then(Value::as_array) {
            let names = choices.iter().filter(|choice| choice["type"] != "null");
            let names: Vec<_> = names.map(|choice| type_name(root, choice)).collect();
            return names.join("|");
        }
    }
    match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|&name| name != "null");
            names.collect::<Vec<_>>().join("|")
        }
        _ => "any".to_owned(),
    }
}

/// The values of an enumeration.
fn choices(schema: &Value) -> Option<Vec<String>> {
    let plain = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    if let Some(values) = schema["enum"].as_array() {
        return Some(
            values
                .iter()
                .filter(|value| !value.is_null())
                .map(plain)
                .collect(),
        );
    }
    schema.get("const").map(|value| vec![plain(value)])
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
