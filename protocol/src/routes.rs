//! The paths of the routes, for the server's router and the client alike.

/// Whether the process lives.
pub const HEALTH: &str = "/health";
/// Whether the server takes calls.
pub const READY: &str = "/ready";
/// What the server counts, for Prometheus.
pub const METRICS: &str = "/metrics";
/// Runs one tool.
pub const EXECUTE: &str = "/api/v1/execute";
/// Runs several tools.
pub const EXECUTE_BATCH: &str = "/api/v1/execute/batch";
/// Creates a session.
pub const SESSION_CREATE: &str = "/api/v1/session/create";
/// Destroys a session.
pub const SESSION_DESTROY: &str = "/api/v1/session/destroy";
/// Lists a worker's sessions.
pub const SESSION_LIST: &str = "/api/v1/session/list";
/// Restarts the time to live of one or all sessions of a worker.
pub const SESSION_REFRESH: &str = "/api/v1/session/refresh";
/// A worker's sign of life.
pub const HEARTBEAT: &str = "/api/v1/lifecycle/heartbeat";
/// A worker's state.
pub const STATUS: &str = "/api/v1/lifecycle/status";
/// Takes leave of a worker and of its sessions.
pub const DISCONNECT: &str = "/api/v1/worker/disconnect";
/// Initialises one resource.
pub const INIT_RESOURCE: &str = "/api/v1/init/resource";
/// Initialises several resources.
pub const INIT_BATCH: &str = "/api/v1/init/batch";
/// Reads a configuration file of the server.
pub const INIT_FROM_CONFIG: &str = "/api/v1/init/from-config";
/// Describes every tool.
pub const TOOLS: &str = "/api/v1/tools";
/// Describes one tool; `{name}` may hold a colon.
pub const TOOL_SCHEMA: &str = "/api/v1/tools/{name}/schema";
/// Runs one tool whose parameters are the whole body; `{name}` may hold a colon.
pub const TOOL_CALL: &str = "/api/v1/tools/{name}/call";
/// Warms backends up.
pub const WARMUP: &str = "/api/v1/warmup";
/// Which backends are warm.
pub const WARMUP_STATUS: &str = "/api/v1/warmup/status";
/// The OpenAPI description of all routes.
pub const OPENAPI: &str = "/openapi.json";
/// The OpenAPI description of all tools.
pub const OPENAPI_TOOLS: &str = "/openapi/tools.json";
/// What happens in the server, as a stream of events.
pub const EVENTS: &str = "/api/v1/events";
/// Ends a session by its id, whoever's it is.
pub const SESSION_KILL: &str = "/api/v1/session/kill";
/// The console, for people.
pub const UI: &str = "/ui";
/// The page that describes all that, for people.
pub const DOCS: &str = "/docs";
/// What the pages are made of.
pub const ASSET: &str = "/assets/{name}";
/// Drains and stops the server.
pub const SHUTDOWN: &str = "/api/v1/server/shutdown";
