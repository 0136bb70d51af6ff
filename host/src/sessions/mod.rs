//! The sessions of all workers: found without waiting, made once, ended once.
//!
//! `session` is one session, `map` finds it, `open` makes it with what `config` says, `close` ends it, `expiry` ends it in
//! time. `seen` is what its worker sees of it.

mod clock;
mod close;
mod config;
mod counts;
mod expiry;
mod map;
mod open;
mod seen;
mod session;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio_util::task::TaskTracker;

pub use clock::Clock;
pub use counts::{Counts, States};
pub use map::{Slot, WorkerKey};
pub use open::{Opened, Wanted};
pub use seen::{Coming, Seen};
pub use session::{Lease, Session};

use crate::{backend::Backend, failure::Failure, observe::Observers};
use expiry::Expiry;
use map::Map;

/// What bounds all sessions together.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Sessions at the same time.
    pub total: usize,
    /// Sessions of one worker.
    pub per_worker: Option<usize>,
    /// How long calls may go on in a session that is destroyed.
    pub grace: Duration,
}

/// All sessions.
pub struct Sessions {
    map: Map,
    clock: Clock,
    bounds: Bounds,
    count: AtomicUsize,
    /// As many of them are made for one call.
    brief: AtomicUsize,
    expiry: Expiry,
    tasks: TaskTracker,
    observers: Arc<Observers>,
}

impl Sessions {
    /// No sessions yet; starts the task that ends them in time.
    pub fn start(bounds: Bounds, tasks: TaskTracker, observers: Arc<Observers>) -> Arc<Self> {
        let sessions = Arc::new(Self {
            map: Map::default(),
            clock: Clock::start(),
            bounds,
            count: AtomicUsize::new(0),
            brief: AtomicUsize::new(0),
            expiry: Expiry::default(),
            tasks,
            observers,
        });
        expiry::spawn(&sessions);
        sessions
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many there are that outlive a call: those that their workers can see.
    pub fn lasting(&self) -> usize {
        let brief = self.brief.load(Ordering::Relaxed);
        self.count().saturating_sub(brief)
    }

    /// How many workers have one.
    pub fn workers(&self) -> usize {
        self.map.workers()
    }

    /// Begins to use the worker's session of this backend, waiting for one that is being made.
    ///
    /// `None` when the worker has none.
    ///
    /// # Errors
    ///
    /// Code 1003 when the session is closing, or a tool panicked in it.
    pub async fn lease(
        &self,
        key: &WorkerKey<'_>,
        backend: &Backend,
    ) -> Result<Option<Lease>, Failure> {
        // What is shared by all has hardly ever sessions to look for.
        if backend.sessions.load(Ordering::Relaxed) == 0 {
            return Ok(None);
        }
        let session = match self.map.find(key, &backend.name) {
            None => return Ok(None),
            Some(Slot::Active(session)) => session,
            Some(Slot::Closing(..)) => return Err(close::closing(&backend.name)),
            Some(Slot::Creating(_, flight)) => match Box::pin(flight.wait()).await {
                Some(Ok(session)) => session,
                // The one who asked for the session hears why there is none.
                _ => return Ok(None),
            },
        };
        if session.is_poisoned() {
            return Err(open::poisoned(&session));
        }
        match Lease::begin(&session) {
            Some(lease) => Ok(Some(lease)),
            None => Err(close::closing(&backend.name)),
        }
    }

    /// Restarts the time to live of the worker's session of this type, waiting for one that is being made.
    ///
    /// # Errors
    ///
    /// Code 1003 when there is none, or it is closing.
    pub async fn refresh(
        &self,
        key: &WorkerKey<'_>,
        resource_type: &str,
    ) -> Result<Arc<Session>, Failure> {
        let found = match self.map.find(key, resource_type) {
            Some(Slot::Creating(_, flight)) => flight.wait().await.and_then(Result::ok),
            Some(Slot::Active(session)) => Some(session),
            Some(Slot::Closing(..)) => return Err(close::closing(resource_type)),
            None => None,
        };
        match found {
            None => Err(close::none(key.worker(), resource_type)),
            Some(session) if session.refresh() => Ok(session),
            Some(_) => Err(close::closing(resource_type)),
        }
    }

    /// The worker's sessions that calls can run in.
    pub fn of_worker(&self, key: &WorkerKey<'_>) -> Vec<Arc<Session>> {
        let slots = self.map.slots(key).into_iter();
        let active = slots.filter_map(|(_, slot)| match slot {
            Slot::Active(session) => Some(session),
            Slot::Creating(..) | Slot::Closing(..) => None,
        });
        active.collect()
    }

    /// All that the worker has, also what is on its way in or out.
    pub fn seen(&self, key: &WorkerKey<'_>) -> Vec<Seen> {
        let slots = self.map.slots(key).into_iter();
        let seen = slots.map(|(resource_type, slot)| match slot {
            Slot::Creating(coming, _) => Seen::coming(resource_type, &coming, &self.clock),
            Slot::Active(session) | Slot::Closing(session, _) => Seen::of(&session),
        });
        seen.collect()
    }

    /// The sessions that `may` lets through, of all workers, at most `most`: those that were used last.
    ///
    /// It looks at every session there is: for operators, not for calls.
    pub fn latest(&self, most: usize, may: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let mut kept = BinaryHeap::new();
        self.map.each_active(|session| {
            let used = session.last_used_ms();
            let full = kept.len() >= most;
            if full
                && kept
                    .peek()
                    .is_none_or(|Reverse(Used(least, _))| *least >= used)
            {
                return;
            }
            if may(session) {
                if full {
                    kept.pop();
                }
                kept.push(Reverse(Used(used, Arc::clone(session))));
            }
        });
        kept.into_iter()
            .map(|Reverse(Used(_, session))| session)
            .collect()
    }

    /// The session with this id, of whatever worker.
    pub fn by_id(&self, id: &str) -> Option<Arc<Session>> {
        let mut found = None;
        self.map.each_active(|session| {
            if *session.id == *id {
                found = Some(Arc::clone(session));
            }
        });
        found
    }

    /// One session of the worker, if it is there and not closing.
    pub fn find(&self, key: &WorkerKey<'_>, resource_type: &str) -> Option<Arc<Session>> {
        match self.map.find(key, resource_type) {
            Some(Slot::Active(session)) => Some(session),
            _ => None,
        }
    }
}

/// A place among the counted sessions, given back when it is dropped.
pub(crate) struct Place {
    sessions: Arc<Sessions>,
    backend: Arc<Backend>,
    /// Whether it is made for one call.
    brief: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.brief {
            self.sessions.brief.fetch_sub(1, Ordering::Relaxed);
        }
        self.sessions.count.fetch_sub(1, Ordering::Relaxed);
        self.backend.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A session and when it was last used, in the order of that.
struct Used(u64, Arc<Session>);

impl PartialEq for Used {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Used {}

impl PartialOrd for Used {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Used {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
