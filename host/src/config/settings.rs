//! The configuration that the server runs on: typed, complete and consistent.
//! Owns the types alone; `rules.rs` makes them, `masking.rs` shows them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    address::Host,
    keys::ApiKey,
    observe::Observe,
    seconds,
    written::{Idempotency, Limits, LogLevel, Mcp},
};

/// Everything the server needs to know.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// How the server listens, what it is called, and its limits.
    pub server: Server,
    /// Every resource of the file by name, those that are switched off included.
    pub resources: BTreeMap<String, Resource>,
    /// The settings of API tools by name; nothing reads them yet.
    pub apis: BTreeMap<String, Map<String, Value>>,
    /// The resources to warm up at start; all of them are enabled.
    pub warmup: Vec<String>,
    /// Who may call, from where, and how often.
    pub security: Security,
    /// What the server lets be seen.
    pub observe: Observe,
    /// How the tools are offered to clients of the Model Context Protocol.
    pub mcp: Mcp,
}

impl Config {
    /// The resources to load.
    pub fn enabled(&self) -> impl Iterator<Item = (&str, &Resource)> {
        self.resources
            .iter()
            .filter(|(_, resource)| resource.enabled)
            .map(|(name, resource)| (name.as_str(), resource))
    }
}

/// How the server listens, what it is called, and its limits.
#[derive(Debug, Clone, Serialize)]
pub struct Server {
    /// The address to listen on.
    pub host: Host,
    /// The port; 0 stands for a free one.
    pub port: u16,
    /// Where clients reach the server, if the file says so.
    pub url: Option<String>,
    /// The server's name.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// How long a session lives without a call.
    #[serde(with = "seconds")]
    pub session_ttl: Duration,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Folders in which plugins are looked for first; resolved.
    pub plugin_dirs: Vec<PathBuf>,
    /// Worker threads for each plugin library.
    pub plugin_threads: usize,
    /// How long running calls may go on when the server stops or their session is destroyed.
    #[serde(with = "seconds")]
    pub grace_period: Duration,
    /// How answers are kept for clients that ask again.
    pub idempotency: Idempotency,
    /// What one client may ask for, and how long things may take.
    pub limits: Limits,
}

impl Server {
    /// Where a client on this machine reaches the server: `url`, or host and port.
    pub fn client_url(&self) -> String {
        if let Some(url) = &self.url {
            return url.clone();
        }
        let host = match &self.host {
            // Listening everywhere includes the loopback address; "everywhere" itself cannot be connected to.
            Host::Address(any) if any.is_unspecified() && any.is_ipv4() => "127.0.0.1".to_owned(),
            Host::Address(any) if any.is_unspecified() => "[::1]".to_owned(),
            Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]"),
            other => other.to_string(),
        };
        format!("http://{host}:{}", self.port)
    }
}

/// A backend to load.
#[derive(Debug, Clone, Serialize)]
pub struct Resource {
    /// Whether it is loaded.
    pub enabled: bool,
    /// Which backend, as written; the loader knows the forms.
    pub backend_class: String,
    /// Its settings, the environment expanded, not yet checked against the plugin's schema.
    pub config: Map<String, Value>,
    /// What it is for, instead of the plugin's own words.
    pub description: Option<String>,
    /// Whether the server starts without it when it cannot be loaded.
    pub optional: bool,
    /// The only digest that its library may have, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// How long its sessions live without a call.
    #[serde(with = "seconds")]
    pub session_ttl: Duration,
    /// How many sessions of it may exist at the same time.
    pub max_sessions: Option<usize>,
    /// How long its tools may run, unless the call or the tool says otherwise.
    #[serde(with = "seconds")]
    pub timeout: Duration,
}

/// Who may call, from where, and how often.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Security {
    /// The web pages that may use the server.
    pub allowed_origins: Origins,
    /// How often a key or an address may call.
    pub rate_limit: Option<RateLimit>,
    /// The keys that are accepted; when empty, nobody is asked for one.
    pub keys: Vec<ApiKey>,
}

/// The origins of web pages that may use the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Origins {
    /// Every page.
    Any([&'static str; 1]),
    /// These, in lower case, `scheme://host[:port]`.
    Listed(Vec<String>),
}

impl Origins {
    /// Every page.
    pub const ANY: Self = Self::Any(["*"]);

    /// Whether a request with this `Origin` header may change anything.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any(_) => true,
            Self::Listed(origins) => origins
                .iter()
                .any(|known| known.eq_ignore_ascii_case(origin)),
        }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

/// How often a key or an address may call: a bucket of `burst` that `requests` refill in every `per`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// How many requests come back in `per`.
    pub requests: u32,
    /// The time that `requests` counts for.
    #[serde(with = "seconds")]
    pub per: Duration,
    /// How many may come at once after a pause.
    pub burst: u32,
}
