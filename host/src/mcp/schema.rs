//! The schemas of tools, as this protocol wants them.

use std::sync::Arc;

use rmcp::model::JsonObject;
use serde_json::{Value, json, value::RawValue};

/// The argument by which a call names its session.
pub(super) const SESSION_ID: &str = "session_id";

/// What a model reads about that argument.
const SESSION_ID_HELP: &str = "The session to work in, as `session_create` gave it. Without it, the call \
    gets a session of its own that ends with it, and nothing is remembered.";

/// The schema of a tool's parameters: an object's, whatever a library wrote.
pub(super) fn input(written: &RawValue) -> JsonObject {
    let mut schema = object(written).unwrap_or_default();
    schema
        .entry("type")
        .or_insert_with(|| Value::String("object".to_owned()));
    schema
}

/// The schema of a tool's result, where the protocol can say it: of an object.
pub(super) fn output(written: Option<&RawValue>) -> Option<Arc<JsonObject>> {
    let schema = object(written?)?;
    (schema.get("type")? == "object").then(|| Arc::new(schema))
}

/// The same schema with the argument that names the session; `None` when the tool has one of that name.
pub(super) fn with_session(schema: &JsonObject) -> Option<JsonObject> {
    let mut schema = schema.clone();
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    let properties = properties.as_object_mut()?;
    if properties.contains_key(SESSION_ID) {
        return None;
    }
    let help = json!({ "type": "string", "description": SESSION_ID_HELP });
    properties.insert(SESSION_ID.to_owned(), help);
    Some(schema)
}

/// Whether the schema asks for headers that repeat arguments.
pub(super) fn wants_headers(written: &RawValue) -> bool {
    written.get().contains("\"x-mcp-header\"")
}

fn object(written: &RawValue) -> Option<JsonObject> {
    let mut schema = serde_json::from_str(written.get()).ok()?;
    drop_number_formats(&mut schema);
    Some(schema)
}

/// `schemars` says how wide a number is by a format that JSON Schema does not have. Clients that check schemas warn of
/// each, at every start, in their users' terminals; a number's limits are there as `minimum` and `maximum`.
fn drop_number_formats(schema: &mut JsonObject) {
    /// Under these stand values, not schemas.
    const VALUES: [&str; 4] = ["const", "default", "enum", "examples"];
    let is_width = |format: &Value| {
        let widths = ["int", "uint", "float", "double"];
        let format = format.as_str();
        format.is_some_and(|format| widths.iter().any(|width| format.starts_with(width)))
    };
    if schema.get("format").is_some_and(is_width) {
        schema.shift_remove("format");
    }
    for (key, value) in schema {
        if !VALUES.contains(&&**key) {
            drop_from(value);
        }
    }
}

fn drop_from(value: &mut Value) {
    match value {
        Value::Object(schema) => drop_number_formats(schema),
        Value::Array(schemas) => schemas.iter_mut().for_each(drop_from),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_format_and_everything_else_keeps_its_own() {
        let written = json!({
            "type": "object",
            "properties": {
                "size": { "type": "integer", "format": "uint64", "minimum": 0 },
                "at": { "type": "string", "format": "date-time" },
                "list": { "type": "array", "items": { "type": "number", "format": "double" } },
                "format": { "type": "string", "default": { "format": "uint8" } },
            },
        });
        let written = serde_json::value::to_raw_value(&written).unwrap();
        let expected = json!({
            "size": { "type": "integer", "minimum": 0 },
            "at": { "type": "string", "format": "date-time" },
            "list": { "type": "array", "items": { "type": "number" } },
            "format": { "type": "string", "default": { "format": "uint8" } },
        });
        assert_eq!(input(&written)["properties"], expected);
        assert_eq!(output(Some(&written)).unwrap()["properties"], expected);
    }
}
