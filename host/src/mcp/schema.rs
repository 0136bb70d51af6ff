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
    serde_json::from_str(written.get()).ok()
}
