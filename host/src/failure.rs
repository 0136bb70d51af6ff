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
    /// Whether a tool had begun, and may have done a part of its work.
    pub begun: bool,
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
            begun: false,
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

    /// The same without the places of files on the server: what remains of a path is its last part.
    ///
    /// For what a backend's life says, which operators read whole in the log. A tool's own answer passes unchanged: its
    /// paths are those of the session.
    #[must_use]
    pub fn for_callers(mut self) -> Self {
        self.message = without_places(&self.message);
        self
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

    /// Says that a tool had begun.
    #[must_use]
    pub const fn having_begun(mut self) -> Self {
        self.begun = true;
        self
    }
}

/// `/usr/lib/libx.so` becomes `…/libx.so`; what is no absolute path (`and/or`, `https://host/page`) stays.
fn without_places(message: &str) -> String {
    let mut told = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find('/') {
        let (before, from) = rest.split_at(at);
        let (path, after) = from.split_at(from.find(ends_path).unwrap_or(from.len()));
        told.push_str(before);
        let begins = told
            .chars()
            .next_back()
            .is_none_or(|c| ends_path(c) || "([{=:".contains(c));
        match path.trim_end_matches('/').rsplit_once('/') {
            Some((place, last)) if begins && !path.starts_with("//") && !place.is_empty() => {
                told.push_str("…/");
                told.push_str(last);
            }
            _ => told.push_str(path),
        }
        rest = after;
    }
    told.push_str(rest);
    told
}

/// Whether a path that stands in a sentence is over.
fn ends_path(c: char) -> bool {
    c.is_whitespace() || "\"'`,;)]}<>".contains(c)
}

/// What is left when a task of the host's own died: a mistake in the host, which its panic hook logged.
pub fn internal() -> Failure {
    Failure::new(
        ErrorKind::Internal,
        "internal error; the server's log says more",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_for_callers_names_files_and_not_their_places() {
        for (message, told) in [
            (
                "no model in /srv/models/tiny: see /srv",
                "no model in …/tiny: see /srv",
            ),
            (
                "`/opt/x/bwrap` (https://x.org/a/b)",
                "`…/bwrap` (https://x.org/a/b)",
            ),
            (
                "TMPDIR=/var/tmp/a/ and/or apt-get",
                "TMPDIR=…/a and/or apt-get",
            ),
            ("group:/sys/fs/cgroup/a.slice, 3/4", "group:…/a.slice, 3/4"),
            ("", ""),
        ] {
            assert_eq!(without_places(message), told);
        }
    }
}
