//! What listeners hear. Each serialises to one flat JSON object whose `type` says what it is.

use std::time::Duration;

use sandbox_protocol::Timestamp;
use serde::Serialize;

use super::LogLine;
use crate::{
    backend::Backend,
    failure::Failure,
    observe::record::{Admin, Front, Why},
    sessions::Session,
};

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A call of a tool began.
    CallStarted(CallView),
    /// A call ended.
    CallEnded(CallView),
    /// A session was made, could not be made, or ended.
    Session(SessionChange),
    /// A backend was warmed up, could not be, or panicked.
    Backend(BackendChange),
    /// An operator did something.
    Admin(AdminAction),
    /// A line of the log.
    Log(LogLine),
    /// Events that were not told: too many at once, or the listener was too slow.
    Missed {
        /// How many.
        count: u64,
    },
}

/// A call, running or ended.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CallView {
    /// Its number.
    pub id: u64,
    /// Where it came in.
    pub front: Front,
    /// The tool's full name, or what the caller wrote when that is no tool.
    pub tool: String,
    /// The tool's backend.
    pub backend: Option<String>,
    /// The worker.
    pub worker: String,
    /// The name of the caller's key.
    pub key: Option<String>,
    /// The session, once the call has ended.
    pub session: Option<String>,
    /// The trace id.
    pub trace: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How long it took, or has been running.
    pub elapsed_ms: f64,
    /// Whether it still runs.
    pub running: bool,
    /// The code of its envelope; none while it runs, and when its caller went away.
    pub code: Option<i32>,
    /// What its caller read, when it failed.
    pub message: Option<String>,
}

/// What happened to a session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionChange {
    /// `opened`, `failed` or `closed`.
    pub change: &'static str,
    /// When.
    pub at: Timestamp,
    /// Its id; none when it could not be made.
    pub session: Option<String>,
    /// Its backend.
    pub backend: String,
    /// Its worker.
    pub worker: String,
    /// The name of the key whose worker it is.
    pub key: Option<String>,
    /// Made for one call alone.
    pub temporary: bool,
    /// How long making it took.
    pub took_ms: Option<f64>,
    /// Why it ended.
    pub why: Option<Why>,
    /// Why it could not be made.
    pub error: Option<String>,
}

impl SessionChange {
    pub(in crate::observe) fn opened(session: &Session, took: Duration) -> Self {
        Self {
            took_ms: Some(took.as_secs_f64() * 1e3),
            ..Self::of("opened", session)
        }
    }

    pub(in crate::observe) fn closed(session: &Session, why: Why) -> Self {
        Self {
            why: Some(why),
            ..Self::of("closed", session)
        }
    }

    pub(in crate::observe) fn failed(backend: &Backend, worker: &str, failure: &Failure) -> Self {
        Self {
            change: "failed",
            at: Timestamp::now(),
            session: None,
            backend: backend.name.to_string(),
            worker: worker.to_owned(),
            key: None,
            temporary: false,
            took_ms: None,
            why: None,
            error: Some(failure.message.clone()),
        }
    }

    fn of(change: &'static str, session: &Session) -> Self {
        Self {
            change,
            at: Timestamp::now(),
            session: Some(session.id.to_string()),
            backend: session.backend.name.to_string(),
            worker: session.worker().to_owned(),
            key: session.owner().map(str::to_owned),
            temporary: session.temporary,
            took_ms: None,
            why: None,
            error: None,
        }
    }
}

/// What happened to a backend.
#[derive(Clone, Debug, Serialize)]
pub struct BackendChange {
    /// `warm`, `failed` or `panicked`.
    pub change: &'static str,
    /// When.
    pub at: Timestamp,
    /// Its name.
    pub backend: String,
    /// How long the warm-up took.
    pub took_ms: Option<f64>,
    /// What it panicked in.
    pub doing: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

impl BackendChange {
    pub(in crate::observe) fn warmed(
        backend: &Backend,
        took: Duration,
        error: Option<&str>,
    ) -> Self {
        Self {
            change: if error.is_none() { "warm" } else { "failed" },
            at: Timestamp::now(),
            backend: backend.name.to_string(),
            took_ms: Some(took.as_secs_f64() * 1e3),
            doing: None,
            error: error.map(str::to_owned),
        }
    }

    pub(in crate::observe) fn panicked(backend: &Backend, doing: &str) -> Self {
        Self {
            change: "panicked",
            at: Timestamp::now(),
            backend: backend.name.to_string(),
            took_ms: None,
            doing: Some(doing.to_owned()),
            error: None,
        }
    }
}

/// What an operator did.
#[derive(Clone, Debug, Serialize)]
pub struct AdminAction {
    /// When.
    pub at: Timestamp,
    /// What: see [`Admin::action`].
    pub action: String,
    /// The name of the key that asked.
    pub key: Option<String>,
    /// What it was done to.
    pub target: String,
    /// What went wrong.
    pub error: Option<String>,
}

impl From<&Admin<'_>> for AdminAction {
    fn from(admin: &Admin<'_>) -> Self {
        Self {
            at: Timestamp::now(),
            action: admin.action.to_owned(),
            key: admin.key.map(str::to_owned),
            target: admin.target.to_string(),
            error: admin.error.map(str::to_owned),
        }
    }
}
