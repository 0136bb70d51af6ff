//! Why the host could not do what it was asked: one type for every layer above the plugins.
//!
//! A tool's own error is not a [`Failure`] but an answer, and passes through unchanged.

use std::time::Duration;

use sandbox_plugin_api::host::{Answer, Status};
use sandbox_protocol::{Code, ErrorKind};
use serde_json::Value;

/// A refusal or a failure, as the caller may read it. What only the log may know is logged where it happens.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code of the envelope.
    pub code: Code,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and what to do about it.
    pub message: String,
    /// Facts for programs, if any.
    pub data: Option<Value>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            code: kind.code(),
            status: kind.status(),
            message: message.into(),
            data: None,
            retry_after: None,
        }
    }

    /// The failure that a plugin's answer stands for, where the host cannot go on without success.
    ///
    /// The codes that say something to the caller stay; any other becomes `kind`.
    pub fn of_answer(answer: &Answer, kind: ErrorKind, doing: &str) -> Self {
        let reason = answer.message();
        let reason = if reason.is_empty() {
            "no reason given"
        } else {
            &reason
        };
        let message = match answer.status() {
            Status::Panicked => format!("{doing} failed: the backend panicked"),
            Status::Completed | Status::Cancelled => format!("{doing} failed: {reason}"),
        };
        let telling = [
            Code::PARAMETER,
            Code::NOT_PERMITTED,
            Code::TOO_MANY,
            Code::TIMED_OUT,
            Code::UNAVAILABLE,
        ];
        let mut failure = Self::new(kind, message);
        let code = Code(answer.code());
        if answer.status() == Status::Completed && telling.contains(&code) {
            failure.code = code;
            failure.status = code.http_status();
        }
        failure.data = serde_json::from_slice(answer.data()).ok();
        failure
    }

    /// Adds facts for programs.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// Says when trying again makes sense.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

/// What is left when a task of the host's own died: a mistake in the host, which its panic hook logged.
pub fn internal() -> Failure {
    Failure::new(
        ErrorKind::Internal,
        "internal error; the server's log says more",
    )
}
