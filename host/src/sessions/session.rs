//! One session: whose it is, how long it lives, and who is using it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use sandbox_plugin_api::host::SessionHandle;
use sandbox_protocol::{Timestamp, response::SessionStatus};
use tokio_util::sync::CancellationToken;

use super::{Clock, Place};
use crate::{backend::Backend, gate::Gate};

/// A session of a worker. Most of its life it is only looked up, so all of it is readable without a lock.
pub struct Session {
    /// `{type}_{worker}_{NNN}[_{custom}]`.
    pub name: Box<str>,
    /// The name and eight random hex digits.
    pub id: Box<str>,
    /// The worker.
    pub worker: Box<str>,
    /// The name of the key whose worker it is.
    pub owner: Option<Box<str>>,
    /// The backend.
    pub backend: Arc<Backend>,
    /// The configuration of a session without a handle, of a shared backend; else empty.
    pub config: Box<str>,
    /// Made by the host for one call alone.
    pub temporary: bool,
    /// Who is inside.
    pub gate: Gate,
    /// Calls off what runs in it.
    pub called_off: CancellationToken,
    /// Whether calls restart the time to live.
    auto_extend: bool,
    ttl: Duration,
    created_at: SystemTime,
    clock: Clock,
    last_activity: AtomicU64,
    expires_at: AtomicU64,
    poisoned: AtomicBool,
    handle: Option<SessionHandle>,
    /// Given back with the session.
    _place: Place,
}

/// What a session is made of.
pub struct Parts {
    /// See [`Session::name`].
    pub name: Box<str>,
    /// See [`Session::id`].
    pub id: Box<str>,
    /// See [`Session::worker`].
    pub worker: Box<str>,
    /// See [`Session::owner`].
    pub owner: Option<Box<str>>,
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
    pub fn new(parts: Parts, clock: Clock) -> Self {
        let now = clock.now_ms();
        Self {
            name: parts.name,
            id: parts.id,
            worker: parts.worker,
            owner: parts.owner,
            called_off: parts.backend.called_off.child_token(),
            backend: parts.backend,
            config: parts.config,
            temporary: parts.temporary,
            gate: Gate::default(),
            auto_extend: parts.auto_extend,
            ttl: parts.ttl,
            created_at: SystemTime::now(),
            clock,
            last_activity: AtomicU64::new(now),
            expires_at: AtomicU64::new(now.saturating_add(milliseconds(parts.ttl))),
            poisoned: AtomicBool::new(false),
            handle: parts.handle,
            _place: parts.place,
        }
    }

    /// The plugin's handle.
    pub fn handle(&self) -> Option<&SessionHandle> {
        self.handle.as_ref()
    }

    /// A call begins or ends.
    pub fn touch(&self) {
        let now = self.clock.now_ms();
        self.last_activity.store(now, Ordering::Relaxed);
        if self.auto_extend {
            self.expire_after_ttl(now);
        }
    }

    /// Restarts the time to live because somebody asked for it.
    pub fn refresh(&self) {
        self.expire_after_ttl(self.clock.now_ms());
    }

    fn expire_after_ttl(&self, now: u64) {
        let at = now.saturating_add(milliseconds(self.ttl));
        self.expires_at.fetch_max(at, Ordering::Relaxed);
    }

    /// When it is time to look whether the session has expired; `None` when it has.
    pub fn next_look(&self) -> Option<u64> {
        /// How soon to look again at a session whose time is up and whose call still runs.
        const IN_USE_MS: u64 = 250;
        let now = self.clock.now_ms();
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
        self.clock.at(self.expires_ms())
    }

    /// When it was last used.
    pub fn last_activity(&self) -> Timestamp {
        self.clock.at(self.last_activity.load(Ordering::Relaxed))
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        self.created_at.into()
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

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
