//! What can go wrong while a page is driven, and what the caller reads then: the one place where faults become codes.

use std::fmt;

use sandbox_plugin_api::prelude::*;

use crate::{chromium::CallError, gate::DialError};

/// Why a tool did not do what it was asked.
///
/// It is no [`std::error::Error`]: every one of those becomes code 5000 with `?`.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The browser is gone, and the session with it.
    Died,
    /// The page's process is gone; the session has a new, empty page.
    Crashed,
    /// The tab was closed under the call.
    TabClosed,
    /// It took too long.
    TimedOut(String),
    /// A parameter cannot be used.
    Param {
        /// Which.
        pointer: &'static str,
        /// Why.
        message: String,
    },
    /// The rules of the server forbid it.
    Forbidden(String),
    /// Too many of something.
    TooMany(String),
    /// The page, or the network, did not do it.
    Failed(String),
    /// The system refused something; the words are for the log alone.
    Io(&'static str, std::io::Error),
}

/// What driving a page gives.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// A parameter cannot be used.
    pub(crate) fn param(pointer: &'static str, message: impl Into<String>) -> Self {
        Self::Param {
            pointer,
            message: message.into(),
        }
    }

    /// The page did not do it.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// It took too long.
    pub(crate) fn timed_out(message: impl Into<String>) -> Self {
        Self::TimedOut(message.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Died => "the browser died, create the session again",
            Self::Crashed => {
                "the page crashed: its tab was replaced by an empty one, \
                 open the address again with browser:goto"
            }
            Self::TabClosed => "the tab was closed",
            Self::Param { message, .. }
            | Self::TimedOut(message)
            | Self::Forbidden(message)
            | Self::TooMany(message)
            | Self::Failed(message) => message,
            Self::Io(what, _) => {
                return write!(f, "the server could not {what}; its log says more");
            }
        })
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Died => Self::Died,
            CallError::Refused { message } => Self::Failed(message),
            CallError::Unreadable { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl From<DialError> for Fault {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Forbidden { .. } => Self::Forbidden(error.to_string()),
            DialError::Unresolved { .. } | DialError::Unreachable { .. } => {
                Self::Failed(error.to_string())
            }
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        match fault {
            Fault::Param { pointer, message } => Self::param(pointer, message),
            Fault::Died => Self::session(message),
            Fault::TimedOut(_) => Self::timeout(message),
            Fault::Forbidden(_) => Self::forbidden(message),
            Fault::TooMany(_) => Self::new(Code::TooMany, message),
            Fault::Crashed | Fault::TabClosed | Fault::Failed(_) => Self::failed(message),
            Fault::Io(what, error) => {
                tracing::error!(what, %error, "the browser backend failed");
                Self::failed(message)
            }
        }
    }
}
