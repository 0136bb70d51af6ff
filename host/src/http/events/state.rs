//! What a console shows of the server, its backends and its sessions.

use sandbox_protocol::{
    Timestamp,
    response::{Readiness, SessionStatus},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::view::View;
use crate::{
    backend::Backend, observe::numbers::ToolNumbers, plugin::Kind, sandbox::Sandbox,
    sessions::Session,
};

/// How many sessions are shown: nobody reads more, and each console gets them every second.
const SHOWN: usize = 200;

/// The server as a whole.
#[derive(Serialize, JsonSchema)]
pub(super) struct Server {
    /// Whether it takes calls.
    readiness: Readiness,
    /// How many tools it serves.
    tools: usize,
    /// How many workers have sessions.
    workers: usize,
    /// How many sessions there are, of all workers; those that are made for one call are seen as calls.
    sessions: usize,
    /// Calls that began, since the start.
    started: u64,
    /// Calls that ended.
    ended: u64,
    /// Calls that ended with another code than 0, or without any.
    failed: u64,
}

impl Server {
    pub(super) fn of(sandbox: &Sandbox) -> Self {
        let unknown = std::iter::once(&sandbox.observers.unknown);
        let tools = sandbox.catalog.tools().map(|tool| &tool.numbers);
        let (mut started, mut ended, mut succeeded) = (0, 0, 0);
        for counts in unknown.chain(tools).map(ToolNumbers::read) {
            started += counts.started;
            ended += counts.ended;
            // The first of the codes is 0.
            succeeded += counts.codes[0];
        }
        Self {
            readiness: sandbox.readiness(),
            tools: sandbox.catalog.visible(),
            workers: sandbox.sessions.workers(),
            sessions: sandbox.sessions.lasting(),
            started,
            ended,
            failed: ended - succeeded,
        }
    }
}

/// How a backend is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Calls run at once.
    Warm,
    /// Its warm-up runs.
    Warming,
    /// Its warm-up failed, or it panicked; the next call warms it up.
    Failed,
    /// The next call warms it up.
    Cold,
    /// It is optional, and its plugin could not be loaded.
    NotLoaded,
}

/// A backend.
#[derive(Serialize, JsonSchema)]
pub(super) struct BackendView {
    name: String,
    description: String,
    state: State,
    /// `shared`, `session` or `hybrid`.
    kind: Option<&'static str>,
    /// The plugin's version.
    version: String,
    /// The ABI that it was built for.
    abi: Option<String>,
    /// Its library's file; for operators.
    library: Option<String>,
    /// What its last failure said; for operators.
    last_error: Option<String>,
    tools: usize,
    sessions: usize,
    max_sessions: Option<usize>,
}

/// Every backend of the configuration.
pub(super) fn backends(sandbox: &Sandbox, view: &View) -> Vec<BackendView> {
    let configured = sandbox.config.enabled().map(|(name, _)| name);
    let missing = configured.filter(|name| sandbox.catalog.backend(name).is_err());
    let loaded = sandbox
        .catalog
        .backends()
        .map(|backend| loaded(backend, view));
    let mut all: Vec<_> = loaded.chain(missing.map(not_loaded)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn loaded(backend: &Backend, view: &View) -> BackendView {
    let last_error = backend.last_error();
    let state = if backend.is_warm() {
        State::Warm
    } else if backend.is_warming() {
        State::Warming
    } else if last_error.is_some() {
        State::Failed
    } else {
        State::Cold
    };
    let plugin = &backend.plugin;
    let abi = plugin.inspection.abi;
    BackendView {
        name: backend.name.to_string(),
        description: backend.description.clone(),
        state,
        kind: Some(kind(backend.kind)),
        version: plugin.description.version.clone(),
        abi: abi.map(|abi| format!("{}.{}", abi.major, abi.minor)),
        library: view
            .operator
            .then(|| plugin.library.to_string_lossy().into_owned()),
        last_error: last_error.filter(|_| view.operator),
        tools: plugin
            .description
            .tools
            .iter()
            .filter(|tool| !tool.hidden)
            .count(),
        sessions: backend.sessions.load(std::sync::atomic::Ordering::Relaxed),
        max_sessions: backend.limits.max_sessions,
    }
}

fn not_loaded(name: &str) -> BackendView {
    BackendView {
        name: name.to_owned(),
        description: String::new(),
        state: State::NotLoaded,
        kind: None,
        version: String::new(),
        abi: None,
        library: None,
        last_error: None,
        tools: 0,
        sessions: 0,
        max_sessions: None,
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Shared => "shared",
        Kind::Session => "session",
        Kind::Hybrid => "hybrid",
    }
}

/// A session.
#[derive(Serialize, JsonSchema)]
pub(super) struct SessionView {
    id: String,
    name: String,
    backend: String,
    worker: String,
    /// The name of the key whose worker it is.
    key: Option<String>,
    status: SessionStatus,
    /// How many calls run in it.
    in_flight: usize,
    created_at: Timestamp,
    last_activity: Timestamp,
    expires_at: Timestamp,
    /// How many seconds it lives without a call.
    ttl: f64,
}

/// The sessions that were used last.
pub(super) fn sessions(sandbox: &Sandbox, view: &View) -> Vec<SessionView> {
    let mut sessions = sandbox
        .sessions
        .latest(SHOWN, |session| view.shows_session(session));
    // In the order that they were made in, so that they do not change places as they are used.
    sessions.sort_by_key(|session| std::cmp::Reverse(session.created_at()));
    sessions.iter().map(|session| shown(session)).collect()
}

fn shown(session: &Session) -> SessionView {
    SessionView {
        id: session.id.to_string(),
        name: session.name().to_owned(),
        backend: session.backend.name.to_string(),
        worker: session.worker().to_owned(),
        key: session.owner().map(str::to_owned),
        status: session.status(),
        in_flight: session.gate.inside(),
        created_at: session.created_at(),
        last_activity: session.last_activity(),
        expires_at: session.expires_at(),
        ttl: session.ttl().as_secs_f64(),
    }
}
