//! The JSON Schemas of the wire types, collected as `components/schemas`.

use std::borrow::Cow;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

/// Where every named type stands.
const PLACE: &str = "/components/schemas";

/// Collects types as they are used. What is read and what is written differ: a field with a default may be
/// left out of a request, and is always in an answer.
pub(super) struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = Cow::Borrowed(PLACE);
                settings.meta_schema = None;
            })
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    /// The schema of a request's body.
    pub(super) fn of_request<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().to_value()
    }

    /// The schema of an answer.
    pub(super) fn of_answer<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// All types that were used, by their names.
    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut all = self.written.take_definitions(true);
        for (name, schema) in self.read.take_definitions(true) {
            let other = all.insert(name, schema);
            debug_assert!(
                other.is_none(),
                "read and written under one name: {other:?}"
            );
        }
        all.sort_keys();
        all
    }
}

/// A schema of a plugin, to stand under `name` among the components: its references count from there.
pub(super) fn moved(schema: &Value, name: &str) -> Value {
    match schema {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| match (key.as_str(), value) {
                ("$ref" | "$dynamicRef", Value::String(to)) => {
                    (key.clone(), Value::String(reference(to, name)))
                }
                // Values, not schemas: what stands in them is nobody's reference.
                ("const" | "default" | "enum" | "examples", value) => (key.clone(), value.clone()),
                (_, value) => (key.clone(), moved(value, name)),
            };
            let kept = members.iter().filter(|(key, _)| *key != "$schema");
            Value::Object(kept.map(member).collect())
        }
        Value::Array(elements) => elements.iter().map(|value| moved(value, name)).collect(),
        other => other.clone(),
    }
}

fn reference(to: &str, name: &str) -> String {
    match to.strip_prefix('#') {
        Some(inside) if inside.is_empty() || inside.starts_with('/') => {
            format!("#{PLACE}/{name}{inside}")
        }
        _ => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plugins_references_follow_its_schema() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": { "to": { "$ref": "#/$defs/Point" }, "again": { "$ref": "#" } },
            "$defs": { "Point": { "type": "object" } },
            "examples": [{ "$ref": "#/not/a/reference" }],
        });
        assert_eq!(
            moved(&schema, "vm_click.params"),
            json!({
                "properties": {
                    "to": { "$ref": "#/components/schemas/vm_click.params/$defs/Point" },
                    "again": { "$ref": "#/components/schemas/vm_click.params" },
                },
                "$defs": { "Point": { "type": "object" } },
                "examples": [{ "$ref": "#/not/a/reference" }],
            })
        );
    }
}
