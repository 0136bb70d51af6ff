//! The description of the plugins' tools: one operation for each, at the address where it can be called.

use std::collections::HashSet;

use sandbox_protocol::{
    ErrorKind::{BackendFailed, Parameter, SessionClosing, TimedOut, Unavailable, WarmupFailed},
    routes::TOOL_CALL,
};
use serde_json::{Map, Value, json, value::RawValue};

use super::{head, operations::timeout, schemas::moved, write::Paths};
use crate::{catalog::Tool, sandbox::Sandbox};

const DESCRIPTION: &str = "\
The tools of this server, one operation for each. The body of a request is the tool's parameters; the header `X-Worker-ID` \
says who calls. The answer is an envelope whose `data` is the tool's own: `code` 0 is success.";

/// The description of all tools that are not hidden.
pub(super) fn document(sandbox: &Sandbox) -> Value {
    let mut document = head(sandbox, DESCRIPTION);
    let backends = sandbox.catalog.backends();
    let tags = backends
        .map(|backend| json!({ "name": &*backend.name, "description": backend.description }));
    document["tags"] = tags.collect();
    let mut paths = Paths::new();
    let (mut schemas, mut ids) = (Map::new(), HashSet::new());
    for tool in sandbox.catalog.shown() {
        describe(
            &mut paths,
            &mut schemas,
            &unique(&mut ids, &tool.name),
            tool,
        );
    }
    paths.finish(&mut document, schemas);
    document
}

fn describe(paths: &mut Paths, schemas: &mut Map<String, Value>, id: &str, tool: &Tool) {
    let plugin = &tool.backend.plugin.description.tools[tool.index as usize];
    let mut put = |what: &str, schema: &RawValue| {
        let name = format!("{id}.{what}");
        let schema = serde_json::from_str(schema.get()).unwrap_or(Value::Bool(true));
        schemas.insert(name.clone(), moved(&schema, &name));
        json!({ "$ref": format!("#/components/schemas/{name}") })
    };
    let params = put("params", &plugin.input_schema);
    let data = plugin
        .output_schema
        .as_deref()
        .map(|schema| put("data", schema));
    let (title, text) = (&plugin.title, &tool.description.description);
    let summary = if title.is_empty() { &*tool.name } else { title };
    let worker = json!({
        "name": "X-Worker-ID", "in": "header", "required": true,
        "schema": { "type": "string", "maxLength": 256 },
        "description": "Who calls: the tool runs in this worker's session.",
    });
    let traced = json!({ "$ref": "#/components/parameters/Traceparent" });
    let key = json!({ "$ref": "#/components/parameters/IdempotencyKey" });
    let path = TOOL_CALL.replace("{name}", &tool.name);
    let operation = paths
        .post(&path, id, &tool.backend.name)
        .does(summary, text)
        .with(&[worker, traced, key, timeout()])
        .takes_schema(&params, needs_params(&plugin.input_schema), None)
        .answers::<Value>()
        .refuses_keys()
        .fails(&[
            Parameter,
            SessionClosing,
            BackendFailed,
            TimedOut,
            WarmupFailed,
            Unavailable,
        ]);
    let operation = operation.hints(&[
        ("x-tool", json!(tool.name)),
        ("x-read-only", json!(plugin.read_only)),
        ("x-destructive", json!(plugin.destructive)),
        ("x-idempotent", json!(plugin.idempotent)),
    ]);
    if let Some(data) = data {
        operation.answers_schema(&json!({
            "allOf": [envelope(), { "properties": { "data": data } }],
        }));
    }
}

fn envelope() -> Value {
    json!({ "$ref": "#/components/schemas/AnyValueEnvelope" })
}

/// Whether a call without parameters is in vain.
fn needs_params(schema: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Needs {
        #[serde(default)]
        required: Vec<String>,
    }
    serde_json::from_str::<Needs>(schema.get()).is_ok_and(|needs| !needs.required.is_empty())
}

/// The tool's name with what generated code can call a function: `vm_click`.
fn unique(taken: &mut HashSet<String>, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut id: String = name.chars().map(plain).collect();
    while !taken.insert(id.clone()) {
        id.push('_');
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_that_look_alike_stay_two() {
        let mut taken = HashSet::new();
        assert_eq!(unique(&mut taken, "vm:click"), "vm_click");
        assert_eq!(unique(&mut taken, "vm_click"), "vm_click_");
    }
}
