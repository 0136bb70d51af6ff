//! What the server lets be seen: every call, session, warm-up, panic and admin action, told once, to all who watch.
//!
//! The layers that do the work know only [`Observers`] and its hooks. Behind them stand the counters
//! ([`numbers`], read by `/metrics`) and the [`feed`] (running and recent calls, the log's tail, live
//! events: read by the console).
//!
//! In reading order: [`record`] is what is told, [`watch`] follows one call from start to end whatever
//! ends it, [`numbers`] counts, [`feed`] remembers the latest and tells whoever listens.
//!
//! Owns no lock that two calls on different threads would meet at: counters and rings are split by thread.

pub mod audit;
pub mod feed;
pub mod metrics;
pub mod numbers;
pub mod record;
pub mod traces;
pub mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

pub use feed::Feed;
pub use record::{Admin, CallRecord, End, Front, LifeRecord, Origin, Parent, Why};
pub use traces::SpanContext;
pub use watch::Watch;

use crate::{
    backend::Backend,
    config,
    dispatch::Call,
    failure::Failure,
    observe::{
        feed::{BackendChange, Event, SessionChange},
        numbers::ToolNumbers,
    },
    sessions::Session,
};

/// All who watch. One per server, shared by everything that has something to tell.
#[derive(Default)]
pub struct Observers {
    /// Running and recent calls, the log's tail, and live events.
    pub feed: Arc<Feed>,
    /// The audit log, if there is one.
    pub audit: Option<audit::Audit>,
    /// The traces, if they go anywhere.
    pub traces: Option<traces::Traces>,
    /// Calls whose name was no tool's.
    pub unknown: ToolNumbers,
    /// Open connections.
    pub connections: AtomicUsize,
    /// What is kept for clients that ask again.
    pub kept: Kept,
}

/// What is kept for clients that ask again with the same `Idempotency-Key`.
#[derive(Debug, Default)]
pub struct Kept {
    /// Answers that are kept.
    pub answers: AtomicUsize,
    /// How large they are together.
    pub bytes: AtomicUsize,
    /// Requests that were answered with one of them.
    pub replays: AtomicU64,
}

impl Kept {
    /// A request was answered with one of them.
    pub fn replayed(&self) {
        self.replays.fetch_add(1, Ordering::Relaxed);
    }

    /// So many are kept now, so large together.
    pub fn stand(&self, answers: usize, bytes: usize) {
        self.answers.store(answers, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Observers {
    /// Observers that tell this feed, and whatever the configuration names. Needs a tokio runtime around it.
    ///
    /// # Errors
    ///
    /// When the audit log cannot be opened.
    pub fn start(config: &config::Observe, feed: Arc<Feed>) -> Result<Self, String> {
        Ok(Self {
            feed,
            audit: audit::Audit::start(&config.audit)?,
            traces: traces::Traces::start(&config.traces)?,
            ..Self::default()
        })
    }

    /// Writes and sends what waits. The last thing that happens to a server.
    pub async fn close(&self) {
        if let Some(traces) = &self.traces {
            traces.close().await;
        }
        if let Some(audit) = &self.audit {
            audit.close();
        }
    }

    /// A connection was accepted; it is open until the guard is dropped.
    pub fn connected(self: &Arc<Self>) -> impl Drop + Send + use<> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(self))
    }

    /// A call begins. What is returned tells its end, even when it is dropped before there is one.
    pub fn watch<'a, 'c>(&'a self, call: &'c Call<'c>) -> Watch<'a, 'c> {
        Watch::begin(self, call)
    }

    /// The span of a function of a backend's life that begins, if it is to be traced.
    pub fn life(&self, origin: &Origin) -> Option<SpanContext> {
        let traces = self.traces.as_ref()?;
        traces.life(origin)
    }

    /// It has ended.
    pub fn lived(&self, span: Option<&SpanContext>, record: &LifeRecord<'_>) {
        if let (Some(traces), Some(span)) = (&self.traces, span) {
            traces.lived(span, record);
        }
    }

    /// A call has ended: told by its [`Watch`] alone.
    fn call_ended(&self, record: &CallRecord<'_>) {
        let numbers = record.tool.map_or(&self.unknown, |tool| &tool.numbers);
        numbers.ended(record.end.code(), record.elapsed);
        if let Some(audit) = &self.audit {
            audit.call(record);
        }
    }

    /// A session was made.
    pub fn session_opened(&self, session: &Session, took: Duration) {
        session.backend.numbers.session_opened(took);
        if let Some(audit) = &self.audit {
            audit.opened(session, took);
        }
        self.feed
            .tell(|| Event::Session(SessionChange::opened(session, took)));
    }

    /// A session could not be made.
    pub fn session_failed(&self, backend: &Backend, worker: &str, failure: &Failure) {
        backend.numbers.session_failed();
        if let Some(audit) = &self.audit {
            audit.failed(backend, worker, failure);
        }
        self.feed
            .tell(|| Event::Session(SessionChange::failed(backend, worker, failure)));
    }

    /// A session is gone.
    pub fn session_closed(&self, session: &Session, why: Why) {
        session.backend.numbers.session_closed(why);
        if let Some(audit) = &self.audit {
            audit.closed(session, why);
        }
        self.feed
            .tell(|| Event::Session(SessionChange::closed(session, why)));
    }

    /// A warm-up has ended.
    pub fn warmed_up(&self, backend: &Backend, took: Duration, result: &Result<(), Failure>) {
        backend.numbers.warmed_up(took, result.is_ok());
        self.feed.tell(|| {
            let error = result.as_ref().err().map(|failure| &*failure.message);
            Event::Backend(BackendChange::warmed(backend, took, error))
        });
    }

    /// A plugin panicked while it did `doing`: a tool, or a function of its life.
    pub fn panicked(&self, backend: &Backend, doing: &str) {
        backend.numbers.panicked();
        self.feed
            .tell(|| Event::Backend(BackendChange::panicked(backend, doing)));
    }

    /// Somebody did what only operators do.
    pub fn admin(&self, action: &Admin<'_>) {
        if let Some(audit) = &self.audit {
            audit.admin(action);
        }
        self.feed.tell(|| Event::Admin(action.into()));
    }
}

/// An open connection.
struct Connected(Arc<Observers>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
