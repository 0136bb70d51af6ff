//! The front's own tools: sessions, and calls that take long. They stand beside the backends' and do what
//! the routes of HTTP do.

use std::{sync::Arc, time::Duration};

use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use sandbox_protocol::{ErrorKind, Seconds};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{Mcp, call::named_handle, detached, handles::Handle, reply, visit::Visit};
use crate::{
    failure::Failure,
    observe::Origin,
    sessions::{Session, Wanted, WorkerKey},
};

const SESSION_CREATE: &str = "session_create";
const SESSION_LIST: &str = "session_list";
const SESSION_DESTROY: &str = "session_destroy";
const CALL_WAIT: &str = "call_wait";
const CALL_CANCEL: &str = "call_cancel";

/// How long `call_wait` waits when it is not told, and at most: less than clients wait for any answer.
const WAIT: f64 = 30.0;
const LONGEST_WAIT: f64 = 50.0;

/// Whether a tool of the front's own has this name.
pub(super) fn has(name: &str) -> bool {
    [
        SESSION_CREATE,
        SESSION_LIST,
        SESSION_DESTROY,
        CALL_WAIT,
        CALL_CANCEL,
    ]
    .contains(&name)
}

/// Whether this tool of the front's own is of use only where there are sessions.
pub(super) fn is_about_sessions(name: &str) -> bool {
    name.starts_with("session_")
}

/// The tools, as clients see them.
pub(super) fn tools() -> Vec<Tool> {
    let session_id = json!({
        "type": "string",
        "description": "The session; this connection's own when absent."
    });
    let call_id = json!({ "type": "string", "description": "The call, as its answer named it." });
    vec![
        tool(
            CALL_CANCEL,
            "End a call that is still running.",
            &json!({ "call_id": call_id }),
            &["call_id"],
            ToolAnnotations::new().destructive(true).idempotent(true),
        ),
        tool(
            CALL_WAIT,
            "Wait for the result of a call that is still running; call it again until the result is there.",
            &json!({
                "call_id": call_id,
                "seconds": {
                    "type": "number",
                    "description": "How long to wait at most.",
                    "default": WAIT,
                    "exclusiveMinimum": 0,
                    "maximum": LONGEST_WAIT,
                },
            }),
            &["call_id"],
            ToolAnnotations::new().read_only(true),
        ),
        tool(
            SESSION_CREATE,
            "Open a session of a backend, so that later calls find what earlier ones left: a shell's \
             directory, a browser's pages, a running machine. Give the `session_id` of the result to the \
             calls that shall work in it. Not needed for a single call.",
            &json!({
                "resource_type": {
                    "type": "string",
                    "description": "The backend: what the names of its tools begin with.",
                },
                "session_id": {
                    "type": "string",
                    "description": "Adds the backend to a session that is there; a new one when absent.",
                },
                "config": { "type": "object", "description": "Settings of this session, if the backend has any." },
                "ttl": {
                    "type": "number",
                    "description": "How many seconds it lives without a call.",
                    "exclusiveMinimum": 0,
                },
            }),
            &["resource_type"],
            ToolAnnotations::new().destructive(false),
        ),
        tool(
            SESSION_DESTROY,
            "End a session and all that is in it. A session also ends by itself when it is not used for long.",
            &json!({
                "session_id": session_id,
                "resource_type": {
                    "type": "string",
                    "description": "End this backend's part of it alone.",
                },
            }),
            &[],
            ToolAnnotations::new().destructive(true).idempotent(true),
        ),
        tool(
            SESSION_LIST,
            "List what is open in a session, and until when.",
            &json!({ "session_id": session_id }),
            &[],
            ToolAnnotations::new().read_only(true),
        ),
    ]
}

fn tool(
    name: &'static str,
    description: &'static str,
    properties: &Value,
    required: &[&str],
    annotations: ToolAnnotations,
) -> Tool {
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.clone());
    schema.insert("required".to_owned(), json!(required));
    schema.insert("additionalProperties".to_owned(), false.into());
    Tool::new(name, description, schema).with_annotations(annotations)
}

/// Calls one of them.
pub(super) async fn call(
    mcp: &Arc<Mcp>,
    visit: &Visit,
    name: &str,
    arguments: JsonObject,
    origin: Origin,
) -> CallToolResult {
    let result = match name {
        SESSION_CREATE => create(mcp, visit, arguments, origin).await.map(reply::done),
        SESSION_LIST => list(mcp, visit, arguments).map(reply::done),
        SESSION_DESTROY => destroy(mcp, visit, arguments).await.map(reply::done),
        CALL_WAIT => wait(mcp, visit, arguments).await,
        _ => cancel(mcp, visit, arguments),
    };
    result.unwrap_or_else(|failure| reply::of_failure(&failure))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    resource_type: String,
    #[serde(default)]
    config: Map<String, Value>,
    ttl: Option<Seconds>,
}

async fn create(
    mcp: &Mcp,
    visit: &Visit,
    mut arguments: JsonObject,
    origin: Origin,
) -> Result<Value, Failure> {
    let owner = visit.caller.owner();
    let handle = match named_handle(mcp, visit, &mut arguments)? {
        Some(handle) => handle,
        None => mcp.handles.issue(owner)?,
    };
    let asked: Create = read(arguments)?;
    let _pass = mcp.sandbox.admit()?;
    let backend = mcp.sandbox.catalog.backend(&asked.resource_type)?;
    let worker = handle.worker();
    let wanted = Wanted {
        config: asked.config,
        ttl: asked.ttl.map(Seconds::duration),
        auto_extend: true,
        origin,
        ..Wanted::default()
    };
    let key = WorkerKey::new(owner, &worker);
    mcp.sandbox.sessions.open(&key, backend, &wanted).await?;
    Ok(shown(mcp, &handle, &key))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn list(mcp: &Mcp, visit: &Visit, mut arguments: JsonObject) -> Result<Value, Failure> {
    let handle = needed_handle(mcp, visit, &mut arguments)?;
    let Nothing {} = read(arguments)?;
    let worker = handle.worker();
    let key = WorkerKey::new(visit.caller.owner(), &worker);
    Ok(shown(mcp, &handle, &key))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Destroy {
    resource_type: Option<String>,
}

async fn destroy(mcp: &Mcp, visit: &Visit, mut arguments: JsonObject) -> Result<Value, Failure> {
    let handle = needed_handle(mcp, visit, &mut arguments)?;
    let asked: Destroy = read(arguments)?;
    let worker = handle.worker();
    let key = WorkerKey::new(visit.caller.owner(), &worker);
    let sessions = &mcp.sandbox.sessions;
    let ended = match asked.resource_type {
        Some(resource_type) => {
            sessions.destroy(&key, &resource_type).await?;
            1
        }
        None => sessions.disconnect(&key).await,
    };
    Ok(json!({ "session_id": handle.text, "ended": ended }))
}

/// A session, with what is open in it.
fn shown(mcp: &Mcp, handle: &Handle, key: &WorkerKey<'_>) -> Value {
    let sessions = mcp.sandbox.sessions.of_worker(key);
    let entry = |session: &Arc<Session>| {
        json!({
            "resource_type": session.backend.name,
            "status": session.status(),
            "created_at": session.created_at(),
            "expires_at": session.expires_at(),
        })
    };
    json!({ "session_id": handle.text, "open": sessions.iter().map(entry).collect::<Vec<_>>() })
}

fn needed_handle(mcp: &Mcp, visit: &Visit, arguments: &mut JsonObject) -> Result<Handle, Failure> {
    named_handle(mcp, visit, arguments)?.ok_or_else(|| {
        let message = "`session_id` is missing: `session_create` gave it";
        Failure::new(ErrorKind::Parameter, message)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    call_id: String,
    seconds: Option<f64>,
}

async fn wait(mcp: &Mcp, visit: &Visit, arguments: JsonObject) -> Result<CallToolResult, Failure> {
    let asked: Wait = read(arguments)?;
    let call = find(mcp, visit, &asked.call_id)?;
    let seconds = asked.seconds.unwrap_or(WAIT).clamp(0.0, LONGEST_WAIT);
    if let Some(result) = call.result(Duration::from_secs_f64(seconds)).await {
        return Ok(result);
    }
    Ok(reply::says(if call.is_cancelled() {
        "The call was cancelled.".to_owned()
    } else {
        let so_far = call.says().map(|so_far| format!(" ({so_far})"));
        format!(
            "The call is still running{}; call `{CALL_WAIT}` again.",
            so_far.unwrap_or_default()
        )
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    call_id: String,
}

fn cancel(mcp: &Mcp, visit: &Visit, arguments: JsonObject) -> Result<CallToolResult, Failure> {
    let asked: Cancel = read(arguments)?;
    find(mcp, visit, &asked.call_id)?.cancel();
    Ok(reply::says("The call is cancelled."))
}

fn find(mcp: &Mcp, visit: &Visit, id: &str) -> Result<Arc<detached::Call>, Failure> {
    mcp.detached.find(id, visit.caller.owner()).ok_or_else(|| {
        let message = "no call has this `call_id`, or its result was kept long enough";
        Failure::new(ErrorKind::Parameter, message)
    })
}

fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| Failure::new(ErrorKind::Parameter, error.to_string()))
}
