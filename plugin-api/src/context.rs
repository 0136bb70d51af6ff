//! What a backend's functions know about the call they serve.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering, fence},
    },
    time::{Duration, Instant},
};

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::{
    abi::{NO_TIMEOUT, Opaque, OperationRequest},
    plugin::host,
};

/// Who calls, and for which trace.
#[derive(Debug)]
pub(crate) struct Ids {
    /// All of them, one behind the other: one allocation. Most calls never look at them, so they are copied as they came
    /// and read as text when asked for.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: [usize; 5],
    tool: &'static str,
}

impl Ids {
    /// The worker, the session's id, the trace id, and the trace context it stands in: `traceparent` and `tracestate`.
    pub(crate) fn new(parts: [&[u8]; 5], tool: &'static str) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        let ends = parts.map(|part| {
            bytes.extend_from_slice(part);
            bytes.len()
        });
        Self { bytes, ends, tool }
    }

    pub(crate) fn worker(&self) -> &str {
        self.text(0)
    }

    pub(crate) fn session(&self) -> &str {
        self.text(1)
    }

    pub(crate) fn trace(&self) -> &str {
        self.text(2)
    }

    pub(crate) fn traceparent(&self) -> &str {
        self.text(3)
    }

    pub(crate) fn tracestate(&self) -> &str {
        self.text(4)
    }

    /// One of them; one that is not UTF-8 is left out, as it only serves the log.
    fn text(&self, part: usize) -> &str {
        let begin = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        str::from_utf8(&self.bytes[begin..self.ends[part]]).unwrap_or_default()
    }

    /// The tool's full name, or the name of a lifecycle function.
    pub(crate) const fn tool(&self) -> &'static str {
        self.tool
    }
}

/// What the context, the operation's handle and the log share about one operation.
#[derive(Debug)]
pub(crate) struct OperationState {
    pub(crate) ids: Ids,
    cancelled: AtomicBool,
    /// Made when somebody asks for it: most calls are over before anybody does.
    token: OnceLock<CancellationToken>,
    /// Whether the host's token is no longer to be used. Looked at only by calls that somebody listens to.
    events_over: RwLock<bool>,
}

impl OperationState {
    pub(crate) const fn new(ids: Ids) -> Self {
        Self {
            ids,
            cancelled: AtomicBool::new(false),
            token: OnceLock::new(),
            events_over: RwLock::new(false),
        }
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        // Pairs with the fence in `token`: either this sees the token, or that sees the flag.
        fence(Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// From now on nothing is told any more; waits for what is being told.
    pub(crate) fn end_events(&self) {
        let mut over = self
            .events_over
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *over = true;
    }

    fn token(&self) -> CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new);
        // A cancel that came before the token was there could not reach it.
        fence(Ordering::SeqCst);
        if self.is_cancelled() {
            token.cancel();
        }
        token.clone()
    }
}

/// The call that a tool or a lifecycle function serves: who asks, until when, and whom to tell.
///
/// A call is cancelled by dropping the function's future at its next `await`, so an `async fn`
/// needs no check of its own. Work that a drop does not reach, on a blocking thread or in a task
/// of its own, asks [`is_cancelled`](Self::is_cancelled) or waits for
/// [`cancellation`](Self::cancellation).
#[derive(Debug)]
pub struct CallContext {
    state: Arc<OperationState>,
    deadline: Option<Instant>,
    token: Token,
}

/// The host's name for the operation; used only while the operation runs.
#[derive(Clone, Copy, Debug)]
struct Token(*mut Opaque);

#[expect(unsafe_code, reason = "the token is a handle of the host's")]
// SAFETY: the token is never dereferenced here, only handed back to the host, whose functions
// may be called from any thread.
unsafe impl Send for Token {}
#[expect(unsafe_code, reason = "the token is a handle of the host's")]
// SAFETY: as above.
unsafe impl Sync for Token {}

impl CallContext {
    pub(crate) fn new(request: &OperationRequest, state: Arc<OperationState>) -> Self {
        let deadline = (request.timeout_ns != NO_TIMEOUT)
            .then(|| Instant::now().checked_add(Duration::from_nanos(request.timeout_ns)))
            .flatten();
        Self {
            state,
            deadline,
            token: Token(request.token),
        }
    }

    /// The worker on whose behalf this happens.
    #[must_use]
    pub fn worker(&self) -> &str {
        self.state.ids.worker()
    }

    /// The session's id; empty when there is none.
    #[must_use]
    pub fn session_id(&self) -> &str {
        self.state.ids.session()
    }

    /// The trace this belongs to: 32 hex digits of a W3C trace id, or what the client sent.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.state.ids.trace()
    }

    /// The W3C `traceparent` to send along with requests to others, so that what they do appears in the
    /// same trace; empty when there is none.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        self.state.ids.traceparent()
    }

    /// The W3C `tracestate` that goes with it.
    #[must_use]
    pub fn tracestate(&self) -> &str {
        self.state.ids.tracestate()
    }

    /// The full name of the running tool; the name of the function for lifecycle functions.
    #[must_use]
    pub fn tool(&self) -> &str {
        self.state.ids.tool()
    }

    /// When the host gives up and cancels.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long there is until the [deadline](Self::deadline).
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether the host has cancelled this operation.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    /// Something to wait for, and to hand to tasks and threads that must end with this operation.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.state.token()
    }

    /// Whether anybody listens to [`progress`](Self::progress) and [`output`](Self::output). Both may be called
    /// in any case; this saves the work of preparing what nobody would read.
    #[must_use]
    pub const fn is_heard(&self) -> bool {
        !self.token.0.is_null()
    }

    /// Tells the caller how far the work is: `done` of `total` (0 when nobody knows).
    pub fn progress(&self, done: f64, total: f64, message: &str) {
        self.tell(|token| host::progress(token, done, total, message));
    }

    /// Hands the caller a part of the result before the rest is there.
    pub fn output(&self, chunk: &str) {
        self.tell(|token| host::output(token, chunk));
    }

    /// Tells something, unless nobody listens or the operation is over. No reference to a context outlives its function,
    /// but whoever implements `Backend` by hand owns one, and may keep it.
    fn tell(&self, tell: impl FnOnce(*mut Opaque)) {
        if self.token.0.is_null() {
            return;
        }
        let over = self.state.events_over.read();
        if !*over.unwrap_or_else(PoisonError::into_inner) {
            tell(self.token.0);
        }
    }
}

/// Which session a function works for, and what it was asked to be.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    ids: Arc<Ids>,
    resource_type: &'static str,
    config: Box<RawValue>,
}

impl SessionInfo {
    pub(crate) fn new(ids: Ids, resource_type: &'static str, config: Box<RawValue>) -> Self {
        Self {
            ids: Arc::new(ids),
            resource_type,
            config,
        }
    }

    /// The session's id.
    #[must_use]
    pub fn session_id(&self) -> &str {
        self.ids.session()
    }

    /// The worker that owns the session.
    #[must_use]
    pub fn worker_id(&self) -> &str {
        self.ids.worker()
    }

    /// The backend's name.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        self.resource_type
    }

    /// The session's configuration: the backend's, overlaid by what the worker asked for.
    #[must_use]
    pub fn config(&self) -> &RawValue {
        &self.config
    }
}

/// What a backend may know about where it lives.
#[derive(Clone, Debug)]
pub struct BackendEnv {
    config_dir: PathBuf,
}

impl BackendEnv {
    pub(crate) fn new(config_dir: impl Into<PathBuf>) -> Self {
        Self {
            config_dir: config_dir.into(),
        }
    }

    /// The directory of the configuration file.
    #[must_use]
    pub fn config_dir(&self) -> &Path {
        &self.config_dir
    }

    /// A path from the configuration: relative ones start at the configuration's directory.
    #[must_use]
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.config_dir.join(path)
    }
}
