//! The configuration file as operators write it: every key, its type, range, default and description.
//!
//! The JSON Schema, the check of a file and `docs/configuration.md` are all derived from these types, so
//! a doc comment here is what an operator reads. What the values mean together is told in `rules.rs`.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    observe::Observe,
    seconds::{self, Seconds},
};

/// The configuration of a sandbox server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    /// How the server listens, what it is called, and its limits.
    pub(super) server: Server,
    /// The backends to load, each under the name that its tools and sessions carry.
    pub(super) resources: BTreeMap<String, Resource>,
    /// Settings for tools that call web APIs, each under the name of the API. Accepted for those who have them:
    /// this release has no backend that reads them, and says so.
    pub(super) apis: BTreeMap<String, Map<String, Value>>,
    /// Which backends are made ready before the first call.
    pub(super) warmup: Warmup,
    /// Who may call, from where, and how often.
    pub(super) security: Security,
    /// What the server lets be seen: metrics, traces, the audit log.
    pub(super) observe: Observe,
    /// How the tools are offered to clients of the Model Context Protocol, at `/mcp` and by `sandbox mcp`.
    pub(super) mcp: Mcp,
}

/// How the server listens, what it is called, and its limits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    /// The address to listen on; 127.0.0.1 unless `url` names another loopback address. An address that
    /// other machines can reach is refused without keys in `security.auth`, unless `--insecure` is given.
    pub(super) host: Option<String>,
    /// The TCP port; 0 picks a free one. 18890 unless `url` names another one.
    pub(super) port: Option<u16>,
    /// Where clients reach the server, when that is not simply host and port: a proxy before it, say.
    /// With a loopback address it supplies `host` and `port` when those are absent, and must not
    /// contradict them.
    pub(super) url: Option<String>,
    /// The name that the server gives itself.
    pub(super) title: String,
    /// One or two sentences about this server, for those who list it.
    pub(super) description: String,
    /// How long a session lives without a call, in seconds.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub(super) session_ttl: Duration,
    /// Accepted and ignored: a session ends when its time is over, not when somebody looks.
    pub(super) cleanup_interval: Option<f64>,
    /// How much the server logs.
    pub(super) log_level: LogLevel,
    /// Folders in which backends are looked for first, before `SANDBOX_PLUGIN_PATH` and the installed ones.
    /// Relative ones are relative to this file.
    pub(super) plugin_dirs: Vec<String>,
    /// Worker threads for each plugin library; as many as the machine has cores, at most 4, when absent.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) plugin_threads: Option<u16>,
    /// How long running calls may go on when the server stops or their session is destroyed, in seconds.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub(super) grace_period: Duration,
    /// How answers are kept for clients that send an `Idempotency-Key`.
    pub(super) idempotency: Idempotency,
    /// What one client may ask for, and how long things may take.
    pub(super) limits: Limits,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: None,
            port: None,
            url: None,
            title: "Sandbox HTTP Service".to_owned(),
            description: String::new(),
            session_ttl: Duration::from_mins(5),
            cleanup_interval: None,
            log_level: LogLevel::Info,
            plugin_dirs: Vec::new(),
            plugin_threads: None,
            grace_period: Duration::from_secs(10),
            idempotency: Idempotency::default(),
            limits: Limits::default(),
        }
    }
}

/// How answers are kept for clients that send an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Idempotency {
    /// How long an answer is kept, in seconds.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub ttl: Duration,
    /// How long a call with a key goes on when its connection is lost, in seconds: it is cancelled unless its
    /// client has come back by then.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub return_within: Duration,
    /// How many answers are kept at most; the oldest go first.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_answers: usize,
    /// How large all answers that are kept may be together, in bytes; the oldest go first.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    pub max_bytes: usize,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(10),
            return_within: Duration::from_secs(5),
            max_answers: 10_000,
            max_bytes: 64 << 20,
        }
    }
}

/// How much is logged. Written in lower or upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    #[serde(alias = "OFF")]
    Off,
    /// What failed.
    #[serde(alias = "ERROR", alias = "critical", alias = "CRITICAL")]
    #[value(alias = "critical")]
    Error,
    /// And what may need attention.
    #[serde(alias = "WARN", alias = "warning", alias = "WARNING")]
    #[value(alias = "warning")]
    Warn,
    /// And one line per call.
    #[serde(alias = "INFO")]
    Info,
    /// And what happens inside.
    #[serde(alias = "DEBUG")]
    Debug,
    /// Everything.
    #[serde(alias = "TRACE")]
    Trace,
}

impl LogLevel {
    /// The name that `tracing` knows it by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl JsonSchema for LogLevel {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LogLevel".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // Derived, it would list the lower case alone, and editors would mark the customary upper case.
        let lower = [
            "off", "error", "warn", "info", "debug", "trace", "warning", "critical",
        ];
        let upper = lower.map(str::to_uppercase);
        schemars::json_schema!({
            "enum": lower.into_iter().map(str::to_owned).chain(upper).collect::<Vec<_>>(),
        })
    }
}

/// What one client may ask for, and how long things may take. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest request body.
    #[schemars(range(min = 1024, max = 4_294_967_296_u64))]
    pub max_body_bytes: u64,
    /// How deep the JSON of a request may be nested.
    #[schemars(range(min = 8, max = 128))]
    pub max_json_depth: usize,
    /// How many actions a batch may have.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_batch_actions: usize,
    /// How many actions of a parallel batch run at the same time.
    #[schemars(range(min = 1, max = 1024))]
    pub batch_concurrency: usize,
    /// How many connections may be open at the same time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: usize,
    /// How many sessions may exist at the same time, all workers and backends together.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_sessions: usize,
    /// How many sessions one worker may have at the same time; no limit of its own when absent.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_sessions_per_worker: Option<usize>,
    /// How long a client may take to send the head of a request.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub idle_timeout: Duration,
    /// How long a tool may run when neither the call, nor the tool, nor its resource says otherwise.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub request_timeout: Duration,
    /// How long a backend may take to warm up.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub warmup_timeout: Duration,
    /// How long a backend may take to set up a session.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub initialize_timeout: Duration,
    /// How long a backend may take to clean up a session.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub cleanup_timeout: Duration,
    /// How long a backend may take to shut down.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub shutdown_timeout: Duration,
    /// How long a backend may take to say how it is, for `/ready?verbose`; for `/metrics` a second at most.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub probe_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 * 1024 * 1024,
            max_json_depth: 128,
            max_batch_actions: 1000,
            batch_concurrency: 16,
            max_connections: 4096,
            max_sessions: 200_000,
            max_sessions_per_worker: None,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_mins(5),
            warmup_timeout: Duration::from_mins(5),
            initialize_timeout: Duration::from_mins(2),
            cleanup_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(30),
            probe_timeout: Duration::from_secs(5),
        }
    }
}

/// How the tools are offered to clients of the Model Context Protocol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mcp {
    /// Whether the server answers at `/mcp`.
    pub enabled: bool,
    /// The tools that clients see, under either of their names (`bash:run`, `bash_run`), `*` standing for
    /// any text: `["bash_*", "rag:search"]`. All that are not hidden when empty.
    pub tools: Vec<String>,
    /// Whether lists show two tools, `search_tools` and `call_tool`, instead of all: for models with
    /// little room. A client can ask for it itself with `/mcp?compact=true`.
    pub compact: bool,
    /// How a request is answered that needs no more than one message: as JSON, or as a stream of one event.
    pub replies: Replies,
    /// Whether the first call that a client makes in a session of its own opens it, or `session_create` alone.
    pub open_sessions: bool,
    /// The longest text in a result; what is longer is kept for a while and linked.
    #[schemars(range(min = 1024, max = 1_073_741_824_u64))]
    pub max_text_bytes: usize,
    /// The largest picture in a result; a larger one is scaled down, and the result says by how much.
    #[schemars(range(min = 16384, max = 1_073_741_824_u64))]
    pub max_image_bytes: usize,
    /// How long a call may take, in seconds, before the client gets a handle to wait with instead of the
    /// result. Clients often give up after 60 seconds.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub detach_after: Duration,
    /// How many calls may run on after their client got a handle; further ones are waited for.
    #[schemars(range(max = 1_000_000))]
    pub max_detached: usize,
    /// How long a result is kept for a client that comes for it later, in seconds.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub keep_results: Duration,
    /// How many bytes of results are kept; the oldest make room.
    #[schemars(range(max = 1_099_511_627_776_u64))]
    pub max_kept_bytes: usize,
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            enabled: true,
            tools: Vec::new(),
            compact: false,
            replies: Replies::Json,
            open_sessions: true,
            max_text_bytes: 128 * 1024,
            max_image_bytes: 1024 * 1024,
            detach_after: Duration::from_secs(50),
            max_detached: 1000,
            keep_results: Duration::from_mins(10),
            max_kept_bytes: 64 * 1024 * 1024,
        }
    }
}

/// The forms of an answer of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Replies {
    /// `application/json`, unless the call tells of its progress.
    Json,
    /// `text/event-stream`, always.
    EventStream,
}

/// A backend to load.
// `backend_class` is required of the file, yet has to be optional here: the rules look at files without it too.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["backend_class"]))]
pub(super) struct Resource {
    /// Whether it is loaded at all. What is switched off may name environment variables that are not set.
    pub(super) enabled: bool,
    /// Which backend: a path to its library (relative to this file, `#Class` after it when the library has
    /// several), a bare name such as `bash`, or a dotted path that ends in the library's name and the class.
    #[schemars(extend("type" = "string", "minLength" = 1))]
    pub(super) backend_class: Option<String>,
    /// The backend's own settings, as its plugin declares them; also the settings that each of its
    /// sessions starts from.
    pub(super) config: Map<String, Value>,
    /// What it is for, instead of the plugin's own words.
    pub(super) description: Option<String>,
    /// Whether the server starts without it when it cannot be loaded.
    pub(super) optional: bool,
    /// The SHA-256 of the library in hexadecimal; a library with another one is refused.
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    pub(super) sha256: Option<String>,
    /// How long its sessions live without a call, in seconds; `server.session_ttl` when absent.
    #[serde(with = "seconds::optional")]
    #[schemars(with = "Option<Seconds>")]
    pub(super) session_ttl: Option<Duration>,
    /// How many sessions of it may exist at the same time; only the server's limit holds when absent.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(super) max_sessions: Option<usize>,
    /// How long its tools may run, in seconds, when neither the call nor the tool says otherwise.
    #[serde(with = "seconds::optional")]
    #[schemars(with = "Option<Seconds>")]
    pub(super) timeout: Option<Duration>,
}

impl Default for Resource {
    fn default() -> Self {
        Self {
            enabled: true,
            backend_class: None,
            config: Map::new(),
            description: None,
            optional: false,
            sha256: None,
            session_ttl: None,
            max_sessions: None,
            timeout: None,
        }
    }
}

/// Which backends are made ready before the first call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Warmup {
    /// Whether anything is warmed up at start.
    pub(super) enabled: bool,
    /// The names of the resources to warm up at start; the others are warmed up by their first call.
    pub(super) resources: Vec<String>,
}

impl Default for Warmup {
    fn default() -> Self {
        Self {
            enabled: true,
            resources: Vec::new(),
        }
    }
}

/// Who may call, from where, and how often.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Security {
    /// The origins of the web pages that may use the server, such as `https://app.example.org`; `*` lets
    /// every page in.
    pub(super) allowed_origins: Vec<String>,
    /// How often a key, or an address when there are no keys, may call; no limit when absent.
    pub(super) rate_limit: Option<RateLimit>,
    /// The keys that clients must show; without any, everybody who can connect may call.
    pub(super) auth: Auth,
}

/// How often a key or an address may call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RateLimit {
    /// Whether the limit holds.
    pub(super) enabled: bool,
    /// How many requests are let through in `per` seconds.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) requests: Option<u32>,
    /// The time that `requests` counts for, in seconds.
    #[serde(with = "seconds")]
    #[schemars(with = "Seconds")]
    pub(super) per: Duration,
    /// The other way to write it: requests in a minute, instead of `requests` and `per`.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) requests_per_minute: Option<u32>,
    /// How many requests may come at once after a pause; as many as `requests` when absent.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) burst: Option<u32>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            enabled: true,
            requests: None,
            per: Duration::from_secs(1),
            requests_per_minute: None,
            burst: None,
        }
    }
}

/// The keys that clients must show.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    /// Whether keys are asked for; yes when there are any, if absent.
    pub(super) enabled: Option<bool>,
    /// The kind of authentication. There is one.
    #[serde(rename = "type")]
    pub(super) kind: AuthKind,
    /// A single key, for a server that needs no more: the same as one entry `default` of `keys` that is
    /// `admin`.
    #[schemars(length(min = 1))]
    pub(super) api_key: Option<String>,
    /// The keys, each with a name that the log and other messages use.
    pub(super) keys: Vec<Key>,
}

/// The kinds of authentication.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum AuthKind {
    /// `Authorization: Bearer …` or `X-API-Key: …`.
    #[default]
    ApiKey,
}

/// One key. Exactly one of `key`, `key_file` and `sha256` says what it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields are named as in the file"
)]
pub(super) struct Key {
    /// Whose key it is, for logs.
    #[schemars(length(min = 1))]
    pub(super) name: String,
    /// The key itself, best taken from the environment: `${SANDBOX_KEY}`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub(super) key: Option<String>,
    /// A file that holds the key and nothing else. A relative path is relative to this file.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub(super) key_file: Option<String>,
    /// The SHA-256 of the key in hexadecimal, so that the key itself stands nowhere.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    pub(super) sha256: Option<String>,
    /// Whether it may stop the server and see other clients' sessions.
    #[serde(default)]
    pub(super) admin: bool,
}
