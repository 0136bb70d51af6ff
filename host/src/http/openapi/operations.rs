//! The table of routes in words. A test compares it with the router: neither has one that the other lacks.

use sandbox_protocol::{
    Envelope,
    ErrorKind::{
        BackendFailed, ConfigurationNotFound, Forbidden, NoSession, Parameter, ResourceNotFound,
        SessionClosing, SessionCreationFailed, TimedOut, TooManyRequests, ToolAmbiguous,
        ToolNotFound, Unavailable, WarmupFailed,
    },
    request::{
        BatchRequest, CreateSession, ExecuteRequest, InitBatch, InitFromConfig, InitResource,
        KillSession, RefreshSession, Shutdown, Warmup, WorkerRequest, WorkerResource,
    },
    response::{
        BatchResults, ConfigLoaded, Disconnected, Health, Heartbeat, InitBatchResults, ReadyOrNot,
        SessionCreated, SessionDestroyed, SessionList, ShutdownStarted, ToolDescription, ToolList,
        WarmupOutcome, WarmupStatus, WorkerStatus,
    },
    routes as path,
};
use serde_json::{Map, Value, json};

use super::{
    head,
    write::{Paths, content},
};
use crate::{http::sessions::Refreshed, sandbox::Sandbox};

const DESCRIPTION: &str = "\
Tools for AI agents behind one HTTP interface: JSON in, JSON out. Most answers are an *envelope*: `code` (0 is success), \
`message`, `data`, and `meta` with facts about the call. In requests `null` counts as absent and unknown fields are ignored; \
`worker_id` may stand in the header `X-Worker-ID` instead. The tools themselves are described in `openapi/tools.json`.";

/// The description of all routes.
pub(super) fn document(sandbox: &Sandbox) -> Value {
    let mut document = head(sandbox, DESCRIPTION);
    document["tags"] = json!([
        { "name": "tools", "description": "Run tools, and find out which there are." },
        { "name": "sessions", "description": "A worker's state in a backend: a shell, a desktop, a browser." },
        { "name": "workers", "description": "All sessions of one agent together." },
        { "name": "resources", "description": "Sessions for programs that speak of initialising resources." },
        { "name": "server", "description": "The server and its backends as a whole." },
    ]);
    paths().finish(&mut document, Map::new());
    document
}

fn paths() -> Paths {
    let mut paths = Paths::new();
    tools(&mut paths);
    sessions(&mut paths);
    workers(&mut paths);
    resources(&mut paths);
    server(&mut paths);
    paths
}

fn tools(paths: &mut Paths) {
    let traced = json!({ "$ref": "#/components/parameters/Traceparent" });
    let worker = json!({ "$ref": "#/components/parameters/Worker" });
    let key = json!({ "$ref": "#/components/parameters/IdempotencyKey" });
    paths.post(path::EXECUTE, "execute", "tools")
        .does("Run a tool", "In the worker's session when it has one, else in a session made for this call alone. \
            Closing the connection cancels the call, unless it has an `Idempotency-Key`. `data` is the tool's own; so are \
            the codes that are not listed here. With `Accept: text/event-stream` progress and output come as they happen, \
            and the envelope as the last event, `result`.")
        .with(&[worker.clone(), traced.clone(), key.clone()])
        .takes::<ExecuteRequest<'_>>(json!({ "worker_id": "agent-1", "action": "bash:run", "params": { "command": "echo hello" } }))
        .answers::<Value>()
        .refuses_keys()
        .streams("event: progress\ndata: {\"done\":1.0,\"total\":3.0,\"message\":\"page 1\"}\n\n\
            event: output\ndata: {\"chunk\":\"first lines\\n\"}\n\n\
            event: result\ndata: {\"code\":0,\"message\":\"success\",\"data\":null,\"meta\":{}}\n\n")
        .fails(&[ToolNotFound, ToolAmbiguous, Parameter, SessionClosing, BackendFailed, TimedOut, WarmupFailed, Unavailable]);
    let batch = content(&json!({ "$ref": "#/components/schemas/BatchResultsEnvelope" }));
    paths
        .post(path::EXECUTE_BATCH, "executeBatch", "tools")
        .does(
            "Run several tools",
            "One after the other, or with `parallel` several at a time.",
        )
        .with(&[worker.clone(), traced.clone(), key.clone()])
        .takes::<BatchRequest<'_>>(json!({ "worker_id": "agent-1", "parallel": true,
            "actions": [{ "action": "bash:run", "params": { "command": "date" } }] }))
        .answers::<BatchResults<Envelope>>()
        .also("207", "Code 2005: some actions failed.", &batch)
        .also("500", "Code 2006: every action failed.", &batch)
        .refuses_keys()
        .fails(&[Parameter]);
    paths.get(path::TOOLS, "listTools", "tools")
        .does("List the tools", "With their descriptions and the JSON Schemas of their parameters.")
        .with(&[json!({ "name": "include_hidden", "in": "query", "schema": { "type": "boolean", "default": false },
            "description": "Whether to list tools that are not meant for agents, and other names of tools, as well." })])
        .answers_bare::<ToolList>()
        .fails(&[Parameter]);
    let name = json!({ "name": "name", "in": "path", "required": true, "schema": { "type": "string" },
        "description": "The tool, as `resource:action`.", "example": "bash:run" });
    paths
        .get(path::TOOL_SCHEMA, "describeTool", "tools")
        .does("Describe one tool", "")
        .with(std::slice::from_ref(&name))
        .answers_bare::<ToolDescription>()
        .fails(&[ToolNotFound, ToolAmbiguous]);
    paths
        .post(path::TOOL_CALL, "callTool", "tools")
        .does(
            "Run a tool, by its own address",
            "As `execute`; the body is the tool's parameters and nothing else. \
            `openapi/tools.json` describes this route for each tool.",
        )
        .with(&[name, worker, traced, key, timeout()])
        .takes_schema(
            &json!({ "type": "object" }),
            false,
            Some(json!({ "command": "echo hello" })),
        )
        .answers::<Value>()
        .refuses_keys()
        .fails(&[
            ToolNotFound,
            ToolAmbiguous,
            Parameter,
            SessionClosing,
            BackendFailed,
            TimedOut,
            WarmupFailed,
            Unavailable,
        ]);
}

/// How long a tool that is called by its own address may run.
pub(super) fn timeout() -> Value {
    json!({ "name": "timeout", "in": "query", "schema": { "type": "number", "exclusiveMinimum": 0 },
        "description": "How many seconds the tool may run." })
}

fn sessions(paths: &mut Paths) {
    let worker = [json!({ "$ref": "#/components/parameters/Worker" })];
    paths.post(path::SESSION_CREATE, "createSession", "sessions")
        .does("Create a session", "A worker has at most one of each resource type: when it is there already, `status` is `exists`.")
        .with(&worker)
        .takes::<CreateSession>(json!({ "worker_id": "agent-1", "resource_type": "bash", "session_config": {} }))
        .answers::<SessionCreated>()
        .fails(&[ResourceNotFound, Parameter, TooManyRequests, SessionCreationFailed, TimedOut, WarmupFailed, Unavailable]);
    paths
        .post(path::SESSION_DESTROY, "destroySession", "sessions")
        .does(
            "Destroy a session",
            "Running calls may end for a grace period, then they are cancelled.",
        )
        .with(&worker)
        .takes::<WorkerResource>(json!({ "worker_id": "agent-1", "resource_type": "bash" }))
        .answers::<SessionDestroyed>()
        .fails(&[NoSession, SessionClosing, Parameter]);
    paths
        .post(path::SESSION_LIST, "listSessions", "sessions")
        .does("List a worker's sessions", "")
        .with(&worker)
        .takes::<WorkerRequest>(json!({ "worker_id": "agent-1" }))
        .answers::<SessionList>()
        .fails(&[Parameter]);
    paths
        .post(path::SESSION_KILL, "killSession", "sessions")
        .does("Kill a session", "By its id; running calls are cancelled at once. Operators may kill every session, others those of their own key.")
        .takes::<KillSession>(json!({ "session_id": "bash_agent-1_001_9f0c1d2e" }))
        .answers::<SessionDestroyed>()
        .fails(&[NoSession, Parameter]);
    paths
        .post(path::SESSION_REFRESH, "refreshSession", "sessions")
        .does(
            "Restart the time to live",
            "Of one session, or of all that the worker has.",
        )
        .with(&worker)
        .takes::<RefreshSession>(json!({ "worker_id": "agent-1", "resource_type": "bash" }))
        .answers::<Refreshed>()
        .fails(&[NoSession, Parameter]);
}

fn workers(paths: &mut Paths) {
    let worker = [json!({ "$ref": "#/components/parameters/Worker" })];
    let example = || json!({ "worker_id": "agent-1" });
    paths
        .post(path::HEARTBEAT, "heartbeat", "workers")
        .does(
            "Show a sign of life",
            "It tells which sessions there are, and does not extend them.",
        )
        .with(&worker)
        .takes::<WorkerRequest>(example())
        .answers::<Heartbeat>()
        .fails(&[Parameter]);
    paths
        .post(path::STATUS, "workerStatus", "workers")
        .does("Tell a worker's state", "")
        .with(&worker)
        .takes::<WorkerRequest>(example())
        .answers::<WorkerStatus>()
        .fails(&[Parameter]);
    paths
        .post(path::DISCONNECT, "disconnectWorker", "workers")
        .does("End all sessions of a worker", "")
        .with(&worker)
        .takes::<WorkerRequest>(example())
        .answers::<Disconnected>()
        .fails(&[Parameter]);
}

fn resources(paths: &mut Paths) {
    let worker = [json!({ "$ref": "#/components/parameters/Worker" })];
    paths
        .post(path::INIT_RESOURCE, "initResource", "resources")
        .does(
            "Initialise a resource",
            "As `createSession`, without a name.",
        )
        .with(&worker)
        .takes::<InitResource>(
            json!({ "worker_id": "agent-1", "resource_type": "bash", "init_config": {} }),
        )
        .answers::<SessionCreated>()
        .fails(&[
            ResourceNotFound,
            Parameter,
            TooManyRequests,
            SessionCreationFailed,
            TimedOut,
            WarmupFailed,
            Unavailable,
        ]);
    let results = content(&json!({ "$ref": "#/components/schemas/InitBatchResultsEnvelope" }));
    paths
        .post(path::INIT_BATCH, "initBatch", "resources")
        .does("Initialise several resources", "")
        .with(&worker)
        .takes::<InitBatch>(
            json!({ "worker_id": "agent-1", "resource_configs": { "bash": { "content": {} } } }),
        )
        .answers::<InitBatchResults>()
        .also("207", "Code 2005: some resources failed.", &results)
        .also("500", "Code 2006: every resource failed.", &results)
        .fails(&[Parameter]);
    paths
        .post(path::INIT_FROM_CONFIG, "initFromConfig", "resources")
        .does(
            "Read a configuration file",
            "Below the directory of the server's own configuration; secrets in it are masked.",
        )
        .with(&worker)
        .takes::<InitFromConfig>(json!({ "worker_id": "agent-1", "config_path": "config.json" }))
        .answers::<ConfigLoaded>()
        .fails(&[ConfigurationNotFound, Forbidden, Parameter]);
}

fn server(paths: &mut Paths) {
    paths
        .get(path::HEALTH, "health", "server")
        .does("Does the process live?", "")
        .open()
        .answers_bare::<Health>();
    let ready = content(&json!({ "$ref": "#/components/schemas/ReadyOrNot" }));
    paths
        .get(path::READY, "ready", "server")
        .does("Does the server take calls?", "")
        .open()
        .answers_bare::<ReadyOrNot>()
        .also("503", "It is starting or stopping.", &ready);
    paths
        .post(path::WARMUP, "warmUp", "server")
        .does(
            "Warm backends up",
            "So that the first call does not wait for it.",
        )
        .may_take::<Warmup>(json!({ "backends": ["bash"] }))
        .answers_bare::<WarmupOutcome>()
        .fails(&[Parameter]);
    paths
        .get(path::WARMUP_STATUS, "warmUpStatus", "server")
        .does("Which backends are warm?", "")
        .answers_bare::<WarmupStatus>();
    paths.post(path::SHUTDOWN, "shutDown", "server")
        .does("Stop the server", "Needs a key that is marked `admin`; without keys, a connection from the server's own machine.")
        .may_take::<Shutdown>(json!({ "force": false, "cleanup_sessions": true }))
        .answers_bare::<ShutdownStarted>()
        .fails(&[Forbidden, Parameter]);
    let metrics = json!({ "text/plain": { "schema": { "type": "string" } } });
    paths
        .get(path::METRICS, "metrics", "server")
        .does(
            "Count",
            "Calls, times, sessions, warm-ups and more, in the text form that Prometheus reads.",
        )
        .also("200", "The metrics.", &metrics)
        .also(
            "404",
            "They are switched off.",
            &content(&json!({ "$ref": "#/components/schemas/AnyValueEnvelope" })),
        );
    let event = json!({ "text/event-stream": { "schema": { "type": "string" } } });
    paths
        .get(path::EVENTS, "events", "server")
        .does("Hear what happens", "As server-sent events: each is one JSON object whose `type` says what it is. First `hello`, \
            `server`, `backends`, `sessions` and `calls` (those that run, and the latest); the middle three again whenever they \
            differ, at most once a second. Then `call_started`, `call_ended`, `session`, `backend`, and for operators `log_tail`, \
            `log` and `admin`, as they happen. Operators see everything, others what belongs to their key.")
        .also("200", "The stream; it ends with the server.", &event)
        .fails(&[TooManyRequests]);
    let document = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    paths
        .get(path::OPENAPI, "openapi", "server")
        .does("Describe all routes", "This document.")
        .answers_schema(&document);
    paths.get(path::OPENAPI_TOOLS, "openapiTools", "server")
        .does("Describe all tools", "As this document describes the routes: one operation for each tool, with its own schema.")
        .answers_schema(&document);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes::router;

    /// Pages for people and what they are made of: nothing that a program would call.
    const FOR_PEOPLE: &[&str] = &["/docs", "/ui", "/assets/{name}"];

    /// Where another protocol is spoken, which describes itself.
    const OF_MCP: &[&str] = &[
        "/mcp",
        "/mcp/{backend}",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/{*path}",
    ];

    /// What the router has, as its `Debug` form shows it: axum has no other way to ask. If that form changes,
    /// this finds nothing and fails.
    fn routed() -> BTreeSet<String> {
        let shown = format!("{:?}", router());
        let texts = shown.split('"').filter(|text| text.starts_with('/'));
        texts
            .filter(|path| *path != "/" && !path.starts_with("/{*"))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn routes_and_descriptions_are_the_same() {
        let mut routed = routed();
        for page in FOR_PEOPLE.iter().chain(OF_MCP) {
            routed.remove(*page);
        }
        let described: BTreeSet<_> = paths().names().map(str::to_owned).collect();
        assert_eq!(routed, described);
    }
}
