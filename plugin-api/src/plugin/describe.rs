//! The description of a backend: what `Plugin::describe` answers, as JSON.

use schemars::Schema;
use serde_json::{Value, json};

use crate::{
    backend::{Backend, ToolSpec},
    schema::schema_of,
};

/// Everything a host wants to know before it creates a backend.
pub(crate) fn describe<B: Backend>() -> Value {
    let meta = &B::META;
    let tools: Vec<Value> = B::tools()
        .iter()
        .map(|tool| describe_tool(&tool.spec, (tool.input)().into(), (tool.output)().as_ref()))
        .collect();
    json!({
        "name": meta.name,
        "class": meta.class,
        "kind": meta.kind.name(),
        "description": meta.description,
        "version": meta.version,
        "checks_params": true,
        "config_schema": schema_of::<B::Config>(),
        "session_config_schema": schema_of::<B::SessionConfig>(),
        "tools": tools,
    })
}

fn describe_tool(spec: &ToolSpec, input: Value, output: Option<&Schema>) -> Value {
    let examples: Vec<Value> = spec
        .examples
        .iter()
        .filter_map(|example| serde_json::from_str(example).ok())
        .collect();
    let mut input = input;
    if !examples.is_empty() {
        input["examples"] = examples.into();
    }
    json!({
        "name": spec.name,
        "aliases": spec.aliases,
        "resource_type": spec.resource_type,
        "title": spec.title,
        "description": spec.description,
        "hidden": spec.hidden,
        "timeout": spec.timeout,
        "read_only": spec.read_only,
        "destructive": spec.destructive,
        "idempotent": spec.idempotent,
        "needs_session": spec.needs_session,
        "input_schema": input,
        "output_schema": output,
    })
}
