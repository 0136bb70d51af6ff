//! One session: whose it is, how long it lives, and who is using it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sandbox_plugin_api::host::SessionHandle;
use sandbox_protocol::{Timestamp, response::SessionStatus};
use tokio::sync::Notify;

use super::{Clock, Place, WorkerKey};
use crate::{backend::Backend, gate::Gate};

/// A session of a worker. Most of its life it is only looked up, so all of it is readable without a lock.
///
/// There may be a hundred thousand, so it holds nothing twice: the worker's key is shared with the map,
/// the name is a part of the id, and there is no cancellation token, which is a tree node with a lock.
pub struct Session {
    /// The name and eight random hex digits.
    pub id: Box<str>,
    /// Whose it is.
    pub key: WorkerKey<'static>,
    /// The backend.
    pub backend: Arc<Backend>,
    /// The configuration of a session without a handle, of a shared backend; else empty.
    pub config: Box<str>,
    /// Made by the host for one call alone.
    pub temporary: bool,
    /// Who is inside.
    pub gate: Gate,
    /// Whether calls restart the time to live.
    auto_extend: bool,
    poisoned: AtomicBool,
    called_off: AtomicBool,
    /// Told when it is called off.
    recall: Notify,
    /// All times in milliseconds of the clock.
    ttl: u64,
    created_at: u64,
    last_activity: AtomicU64,
    expires_at: AtomicU64,
    handle: Option<SessionHandle>,
    /// Given back with the session.
    place: Place,
}

/// What a session is made of.
pub struct Parts {
    /// See [`Session::id`].
    pub id: Box<str>,
    /// See [`Session::key`].
    pub key: WorkerKey<'static>,
    /// See [`Session::backend`].
    pub backend: Arc<Backend>,
    /// See [`Session::config`].
    pub config: Box<str>,
    /// See [`Session::temporary`].
    pub temporary: bool,
    /// How long it lives without a call.
    pub ttl: Duration,
    /// Whether calls restart that time.
    pub auto_extend: bool,
    /// The session's handle, when its backend has one.
    pub handle: Option<SessionHandle>,
    /// Its place among the counted sessions.
    pub(super) place: Place,
}

impl Session {
    /// A session that is active from now on.
    pub fn new(parts: Parts) -> Self {
        let now = parts.place.sessions.clock.now_ms();
        let ttl = u64::try_from(parts.ttl.as_millis()).unwrap_or(u64::MAX);
        Self {
            id: parts.id,
            key: parts.key,
            backend: parts.backend,
            config: parts.config,
            temporary: parts.temporary,
            gate: Gate::default(),
            auto_extend: parts.auto_extend,
            poisoned: AtomicBool::new(false),
            called_off: AtomicBool::new(false),
            recall: Notify::new(),
            ttl,
            created_at: now,
            last_activity: AtomicU64::new(now),
            expires_at: AtomicU64::new(now.saturating_add(ttl)),
            handle: parts.handle,
            place: parts.place,
        }
    }

    /// `{type}_{worker}_{NNN}[_{custom}]`.
    pub fn name(&self) -> &str {
        name_of(&self.id)
    }

    /// The worker.
    pub fn worker(&self) -> &str {
        self.key.worker()
    }

    /// The name of the key whose worker it is.
    pub fn owner(&self) -> Option<&str> {
        self.key.owner()
    }

    fn clock(&self) -> &Clock {
        &self.place.sessions.clock
    }

    /// Calls off what runs in it.
    pub fn call_off(&self) {
        self.called_off.store(true, Ordering::Release);
        self.recall.notify_waiters();
    }

    /// Waits until what runs in it is called off: it ends, or the server stops.
    pub async fn called_off(&self) {
        // Registered before the look, so that a call in between is not missed.
        let recalled = self.recall.notified();
        if self.called_off.load(Ordering::Acquire) {
            return;
        }
        tokio::select! {
            () = recalled => {}
            () = self.backend.called_off.cancelled() => {}
        }
    }

    /// The plugin's handle.
    pub fn handle(&self) -> Option<&SessionHandle> {
        self.handle.as_ref()
    }

    /// A call begins or ends.
    pub fn touch(&self) {
        let now = self.clock().now_ms();
        self.last_activity.store(now, Ordering::Relaxed);
        if self.auto_extend {
            self.expire_after_ttl(now);
        }
    }

    /// Restarts the time to live because somebody asked for it; `false` when it is closing.
    pub fn refresh(&self) -> bool {
        // Inside, as calls do it: so it cannot expire between the two.
        let enters = self.gate.enter();
        if enters {
            self.expire_after_ttl(self.clock().now_ms());
            self.gate.leave();
        }
        enters
    }

    /// Closes it if its time is up and nobody uses it: one step, so that a use that began in time counts.
    pub(super) fn close_if_expired(&self) -> bool {
        self.gate.close_if_idle(|| self.next_look().is_none())
    }

    fn expire_after_ttl(&self, now: u64) {
        let at = now.saturating_add(self.ttl);
        self.expires_at.fetch_max(at, Ordering::Relaxed);
    }

    /// When it is time to look whether the session has expired; `None` when it has.
    pub fn next_look(&self) -> Option<u64> {
        /// How soon to look again at a session whose time is up and whose call still runs.
        const IN_USE_MS: u64 = 250;
        let now = self.clock().now_ms();
        let expires = self.expires_at.load(Ordering::Relaxed);
        if expires > now {
            return Some(expires);
        }
        (self.gate.inside() > 0).then(|| now + IN_USE_MS)
    }

    /// When it expires, in milliseconds of the clock.
    pub fn expires_ms(&self) -> u64 {
        self.expires_at.load(Ordering::Relaxed)
    }

    /// When it expires.
    pub fn expires_at(&self) -> Timestamp {
        self.clock().at(self.expires_ms())
    }

    /// When it was last used.
    pub fn last_activity(&self) -> Timestamp {
        self.clock().at(self.last_activity.load(Ordering::Relaxed))
    }

    /// How long it lives without a call.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl)
    }

    /// When it was last used, in milliseconds of the clock.
    pub(super) fn last_used_ms(&self) -> u64 {
        self.last_activity.load(Ordering::Relaxed)
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        self.clock().at(self.created_at)
    }

    /// A tool panicked in it: nobody knows what state it is in.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Whether a tool panicked in it.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Its state, as clients see it.
    pub fn status(&self) -> SessionStatus {
        if self.gate.is_closed() {
            SessionStatus::Closing
        } else if self.is_poisoned() {
            SessionStatus::Error
        } else {
            SessionStatus::Active
        }
    }
}

/// The name in an id: all but its last part.
pub(super) fn name_of(id: &str) -> &str {
    id.rsplit_once('_').map_or(id, |(name, _random)| name)
}

/// One who uses a session; while there is one, the session stays.
pub struct Lease(Arc<Session>);

impl Lease {
    /// Begins to use a session, unless it is closing.
    pub fn begin(session: &Arc<Session>) -> Option<Self> {
        if !session.gate.enter() {
            return None;
        }
        session.touch();
        Some(Self(Arc::clone(session)))
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.touch();
        self.0.gate.leave();
    }
}
