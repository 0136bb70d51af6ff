//! Ends sessions whose time is up: one queue ordered by time, one task that sleeps until the next.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::{sleep_until, timeout},
};

use super::{Session, Sessions, Slot};
use crate::{flight::Flight, observe::Why};

/// How many expired sessions begin to end at the same time: few enough to leave the processors to calls
/// when thousands expire together.
const AT_ONCE: usize = 64;

/// How long one that ends keeps the next from beginning: clean-ups that wait take nothing from anybody.
const HOLD: Duration = Duration::from_millis(10);

/// A queue of fewer entries is not worth tidying.
const FEW: usize = 1024;

/// The queue. Calls do not touch it: a session that was used is put back when its old time comes.
#[derive(Default)]
pub(super) struct Expiry {
    queue: Mutex<BinaryHeap<Reverse<Due>>>,
    changed: Notify,
}

struct Due {
    at_ms: u64,
    session: Weak<Session>,
}

impl Expiry {
    /// Watches a session, one of so many.
    pub(super) fn add(&self, session: &Arc<Session>, sessions: usize) {
        self.tidy(sessions);
        let due = Due {
            at_ms: session.expires_ms(),
            session: Arc::downgrade(session),
        };
        if self.push(due) {
            self.changed.notify_one();
        }
    }

    /// Puts an entry in; whether it is now the first.
    fn push(&self, due: Due) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let first = queue
            .peek()
            .is_none_or(|Reverse(first)| due.at_ms < first.at_ms);
        queue.push(Reverse(due));
        first
    }

    /// Forgets sessions that were destroyed before their time, once they are most of what is here.
    fn tidy(&self, sessions: usize) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() > FEW + 2 * sessions {
            queue.retain(|Reverse(due)| due.session.strong_count() > 0);
        }
    }

    /// Takes the first entry if its time has come; else says when that will be.
    fn pop(&self, now_ms: u64) -> Result<Due, Option<u64>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.peek() {
            Some(Reverse(first)) if first.at_ms <= now_ms => {}
            later => return Err(later.map(|Reverse(first)| first.at_ms)),
        }
        queue.pop().map(|Reverse(due)| due).ok_or(None)
    }
}

/// Starts the task that ends expired sessions; it ends with the last reference to them.
pub(super) fn spawn(sessions: &Arc<Sessions>) {
    let sessions = Arc::downgrade(sessions);
    tokio::spawn(async move {
        let ending = Arc::new(Semaphore::new(AT_ONCE));
        while let Some(sessions) = sessions.upgrade() {
            let changed = sessions.expiry.changed.notified();
            match sessions.expiry.pop(sessions.clock.now_ms()) {
                Ok(due) => sessions.look_at(due, &ending).await,
                Err(next) => {
                    let until = sessions.clock.instant(next.unwrap_or(u64::MAX));
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(until.into()) => {}
                    }
                }
            }
        }
    });
}

impl Sessions {
    async fn look_at(self: &Arc<Self>, mut due: Due, ending: &Arc<Semaphore>) {
        let Some(session) = due.session.upgrade() else {
            return;
        };
        if let Some(later) = session.next_look() {
            due.at_ms = later;
            self.expiry.push(due);
            return;
        }
        let Ok(permit) = Arc::clone(ending).acquire_owned().await else {
            return;
        };
        let Some(closed) = self.expire(&session) else {
            // Used while there was a wait for the permit, unless somebody else closes it.
            if !session.gate.is_closed() {
                self.expiry.push(due);
            }
            return;
        };
        tracing::debug!(session = &*session.id, "session expired");
        tokio::spawn(async move {
            let _ = timeout(HOLD, closed.wait()).await;
            drop(permit);
        });
    }

    /// Begins to end a session whose time is up, unless somebody uses it.
    fn expire(self: &Arc<Self>, session: &Arc<Session>) -> Option<Flight<()>> {
        self.map.decide(
            &session.key,
            &session.backend.name,
            |slot, _, _| match slot {
                Some(Slot::Active(active))
                    if Arc::ptr_eq(active, session) && session.close_if_expired() =>
                {
                    let flight = self.start_end(session, Duration::ZERO, Why::Expired);
                    let closing = Slot::Closing(Arc::clone(session), flight.clone());
                    (Some(closing), Some(flight))
                }
                _ => (None, None),
            },
        )
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at_ms == other.at_ms
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at_ms.cmp(&other.at_ms)
    }
}
