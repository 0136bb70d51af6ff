//! What a console shows: which calls run, the latest calls, the end of the log, and what happens while it looks.
//!
//! ```text
//! let mut live = sandbox.observers.feed.subscribe();   // first, so that nothing falls between
//! let running = sandbox.observers.feed.running();      // then what there is
//! let recent = sandbox.observers.feed.recent();
//! let log = sandbox.observers.feed.log_tail();
//! while let Some(event) = live.next().await { … }      // serialises to {"type": "call_ended", …}
//! ```
//!
//! Nobody listening costs a call two uncontended locks and no allocation; a listener costs it an event.
//! A listener that is too slow, or a server that is too fast for anybody to read along, gets
//! [`Event::Missed`] with a number, and looks at [`Feed::recent`] again.

mod calls;
mod event;
mod log;
mod texts;

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use sandbox_protocol::Timestamp;
use tokio::sync::broadcast::{self, error::RecvError};

pub use calls::{KEY, Place};
pub use event::{AdminAction, BackendChange, CallView, Event, SessionChange};
pub use log::{LogLine, TailLayer};

use super::record::CallRecord;
use crate::{catalog::Tool, dispatch::Call};
use calls::Calls;
use log::Tail;

/// How many events a listener may be behind.
const BACKLOG: usize = 1024;

/// How many events about calls are told in a second: nobody reads more, and the broadcast is one queue.
const CALLS_A_SECOND: u32 = 200;

/// The feed of one server.
pub struct Feed {
    calls: Calls,
    tail: Tail,
    listeners: AtomicUsize,
    sender: broadcast::Sender<Arc<Event>>,
    budget: Budget,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            calls: Calls::default(),
            tail: Tail::default(),
            listeners: AtomicUsize::new(0),
            sender: broadcast::Sender::new(BACKLOG),
            budget: Budget::default(),
        }
    }
}

impl Feed {
    /// Listens from now on.
    pub fn subscribe(self: &Arc<Self>) -> Subscription {
        self.listeners.fetch_add(1, Ordering::AcqRel);
        Subscription {
            receiver: self.sender.subscribe(),
            missed: self.budget.missed(),
            feed: Arc::clone(self),
        }
    }

    /// The calls that run, the oldest first.
    pub fn running(&self) -> Vec<CallView> {
        self.calls.running()
    }

    /// The latest calls that ended, the latest first.
    pub fn recent(&self) -> Vec<CallView> {
        self.calls.recent()
    }

    /// The last lines of the log, the oldest first, without the line per call.
    pub fn log_tail(&self) -> Vec<LogLine> {
        self.tail.lines()
    }

    /// A layer for the log that keeps its tail here.
    pub fn log_layer(self: &Arc<Self>) -> TailLayer {
        TailLayer::new(Arc::clone(self))
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.listeners() > 0
    }

    /// Tells an event to those who listen; when nobody does, it is not even made.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        if self.is_heard() {
            // Nobody left: the last listener went away just now.
            let _ = self.sender.send(Arc::new(event()));
        }
    }

    /// A call of this tool began, or of none.
    pub(super) fn call_started(&self, call: &Call<'_>, tool: Option<&Tool>) -> Place {
        let place = self.calls.started(call, tool);
        if tool.is_some() && self.is_heard() && self.budget.take() {
            let view = self.calls.view(&place);
            self.tell(|| Event::CallStarted(view));
        }
        place
    }

    pub(super) fn call_ended(&self, place: &Place, record: &CallRecord<'_>) {
        let heard = self.is_heard() && self.budget.take();
        if let Some(view) = self.calls.ended(place, record, heard) {
            self.tell(|| Event::CallEnded(view));
        }
    }

    fn log_line(&self, line: LogLine) {
        self.tell(|| Event::Log(line.clone()));
        self.tail.push(line);
    }
}

/// Somebody who listens.
pub struct Subscription {
    receiver: broadcast::Receiver<Arc<Event>>,
    /// How many untold events it knows of.
    missed: u64,
    feed: Arc<Feed>,
}

impl Subscription {
    /// The next event; `None` when the server is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        let missed = self.feed.budget.missed();
        if missed > self.missed {
            let count = missed - std::mem::replace(&mut self.missed, missed);
            return Some(Arc::new(Event::Missed { count }));
        }
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(Arc::new(Event::Missed { count })),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.listeners.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many events about calls this second has left.
#[derive(Default)]
struct Budget {
    second: AtomicU64,
    used: AtomicU32,
    missed: AtomicU64,
}

impl Budget {
    fn take(&self) -> bool {
        let now = u64::try_from(Timestamp::now().unix_seconds()).unwrap_or(0);
        if self.second.swap(now, Ordering::Relaxed) != now {
            self.used.store(0, Ordering::Relaxed);
        }
        let within = self.used.fetch_add(1, Ordering::Relaxed) < CALLS_A_SECOND;
        if !within {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        within
    }

    /// How many events were not told so far.
    fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_hears_what_happens_from_then_on() {
        let feed = Arc::new(Feed::default());
        feed.tell(|| panic!("nobody listens"));
        let mut live = feed.subscribe();
        feed.tell(|| Event::Missed { count: 7 });
        assert!(matches!(
            *live.next().await.unwrap(),
            Event::Missed { count: 7 }
        ));
        drop(live);
        assert!(!feed.is_heard());
    }

    #[tokio::test]
    async fn who_is_too_slow_learns_how_much_was_missed() {
        let feed = Arc::new(Feed::default());
        let mut live = feed.subscribe();
        for count in 0..BACKLOG as u64 + 10 {
            feed.tell(|| Event::Missed { count });
        }
        assert!(matches!(
            *live.next().await.unwrap(),
            Event::Missed { count: 10 }
        ));
    }
}
