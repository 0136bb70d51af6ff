//! What is told to those who watch. All of it is borrowed: who wants to keep something copies it.

use std::{borrow::Cow, cell::OnceCell, net::IpAddr, time::Duration};

use sandbox_protocol::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{backend::Backend, catalog::Tool, sessions::Session};

/// Where a call came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Front {
    /// `execute`.
    #[default]
    Http,
    /// `execute`, answered as a stream of events.
    Stream,
    /// One action of `execute/batch`.
    Batch,
    /// MCP, over HTTP or standard input and output.
    Mcp,
    /// The console's own page.
    Console,
}

impl Front {
    /// Its name in logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stream => "stream",
            Self::Batch => "batch",
            Self::Mcp => "mcp",
            Self::Console => "console",
        }
    }
}

/// The span of the caller that a call belongs to, as W3C trace context spells it. Read only when
/// traces are kept; nonsense counts as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parent<'a> {
    /// `traceparent`: a header, or MCP's `_meta`.
    pub traceparent: Option<&'a str>,
    /// `tracestate`, likewise.
    pub tracestate: Option<&'a str>,
}

/// The trace that a session is made in: it may outlive the request that asked for it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The trace; empty when nobody said one.
    pub trace: String,
    /// The span that it happens in: the caller's, or the call's own.
    pub traceparent: Option<String>,
}

impl Origin {
    /// In this trace, inside this span.
    pub fn new(trace: &str, traceparent: Option<&str>) -> Self {
        Self {
            trace: trace.to_owned(),
            traceparent: traceparent.map(str::to_owned),
        }
    }
}

/// A function of a backend's life that has ended.
pub struct LifeRecord<'a> {
    /// `initialize` or `warmup`.
    pub function: &'static str,
    /// The backend.
    pub backend: &'a Backend,
    /// Whose session it made.
    pub worker: Option<&'a str>,
    /// The session it made.
    pub session: Option<&'a str>,
    /// How long it took.
    pub elapsed: Duration,
    /// Why it failed, if it did.
    pub error: Option<&'a str>,
}

/// A call that has ended, or is about to be forgotten.
pub struct CallRecord<'a> {
    /// Its number: unique in this process.
    pub id: u64,
    /// Its trace.
    pub trace: &'a str,
    /// Where it came in.
    pub front: Front,
    /// The name of the caller's key.
    pub key: Option<&'a str>,
    /// The caller's address, when it came over the network.
    pub peer: Option<IpAddr>,
    /// The worker.
    pub worker: &'a str,
    /// The tool's name as the caller wrote it.
    pub action: &'a str,
    /// The tool, when the name meant one.
    pub tool: Option<&'a Tool>,
    /// The session it ran in.
    pub session: Option<&'a Session>,
    /// The parameters, not parsed.
    pub params: Option<&'a RawValue>,
    /// How long it took.
    pub elapsed: Duration,
    /// When it ended, for the first who asks and all after: a clock takes its time.
    pub ended: OnceCell<Timestamp>,
    /// How it ended.
    pub end: End<'a>,
}

impl CallRecord<'_> {
    /// When it ended.
    pub fn ended(&self) -> Timestamp {
        *self.ended.get_or_init(Timestamp::now)
    }

    /// The tool's name; as much of the caller's own as there is room for when it means none.
    pub fn name(&self) -> &str {
        self.tool
            .map_or_else(|| shown(self.action), |tool| &tool.name)
    }
}

/// How a call ended.
pub enum End<'a> {
    /// With an answer or a failure.
    Answered {
        /// The code of the envelope.
        code: i32,
        /// What the caller reads about it; empty when all went well.
        message: Cow<'a, str>,
        /// The bytes of the answer's data.
        bytes: usize,
    },
    /// The caller went away, which cancelled it.
    Abandoned,
}

impl End<'_> {
    /// The code of the envelope, if there was one.
    pub const fn code(&self) -> Option<i32> {
        match self {
            Self::Answered { code, .. } => Some(*code),
            Self::Abandoned => None,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its worker, or an operator, asked for it.
    Destroyed,
    /// Its time was up.
    Expired,
    /// It was made for one call, which is over.
    CallOver,
    /// A tool panicked in it, and another takes its place.
    Poisoned,
    /// The server stops.
    Stopping,
}

impl Why {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Destroyed,
        Self::Expired,
        Self::CallOver,
        Self::Poisoned,
        Self::Stopping,
    ];

    /// Its name in logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Destroyed => "destroyed",
            Self::Expired => "expired",
            Self::CallOver => "call_over",
            Self::Poisoned => "poisoned",
            Self::Stopping => "stopping",
        }
    }
}

/// Something that only operators do.
#[derive(Clone, Debug)]
pub struct Admin<'a> {
    /// What: `server:shutdown`, `warmup`, `session:kill`.
    pub action: &'a str,
    /// The name of the key that asked.
    pub key: Option<&'a str>,
    /// What it was done to, or empty.
    pub target: Cow<'a, str>,
    /// What went wrong, if anything.
    pub error: Option<&'a str>,
}

/// As much of a name that is no tool's as a log has room for.
pub fn shown(action: &str) -> &str {
    &action[..action.floor_char_boundary(80)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_no_room_for_long_names() {
        assert_eq!(shown("vm:click"), "vm:click");
        assert_eq!(shown(&"\u{4e16}".repeat(1000)).len(), 78);
    }
}
