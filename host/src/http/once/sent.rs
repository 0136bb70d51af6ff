//! How a request with a key was sent: for the first time, again, or to say that nobody waits for its answer any more.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that names this server: on all answers to requests with a key, and on a request that was sent before,
/// so that a server that knows nothing of the first attempt does not run it a second time.
pub(super) const INSTANCE: HeaderName = HeaderName::from_static("idempotency-instance");

/// On a request that was sent before, and may have run: it is answered if it is known, and never run. Who sends it
/// again cannot know which server the first attempt reached, nor whether that one has forgotten it.
static REPEAT: HeaderName = HeaderName::from_static("idempotency-repeat");

/// On a request whose key names a call to be cancelled. Of the body, only the worker matters.
static ABANDON: HeaderName = HeaderName::from_static("idempotency-abandon");

/// What a request with a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Run, unless it is known.
    First,
    /// Run, unless it is known or may have been forgotten: it was sent before, and to this server.
    Here,
    /// Only be answered, if it is known.
    Again,
    /// Cancel what is known, and keep what is not from ever running.
    Abandoned,
    /// Nothing: it was sent to another server before.
    Elsewhere,
}

impl Sent {
    pub(super) fn of(headers: &HeaderMap, instance: &HeaderValue) -> Self {
        let says = |name: &HeaderName| headers.get(name).is_some_and(|value| value == "true");
        if says(&ABANDON) {
            return Self::Abandoned;
        }
        if says(&REPEAT) {
            return Self::Again;
        }
        match headers.get(&INSTANCE) {
            None => Self::First,
            Some(meant) if meant == instance => Self::Here,
            Some(_) => Self::Elsewhere,
        }
    }
}
