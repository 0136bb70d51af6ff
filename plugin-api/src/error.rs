//! How a backend says that something went wrong: a code of the protocol, and a message for the caller.

use std::{error::Error as StdError, fmt};

use serde::Serialize;
use serde_json::Value;

/// What a backend's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The codes of the protocol that a backend may answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// 1002: a parameter is missing, of the wrong type, or out of its range.
    Param,
    /// 1003: the session is not usable any more.
    Session,
    /// 1006: the caller may not do this.
    Forbidden,
    /// 1007: a quota is used up.
    TooMany,
    /// 2001: the backend, or what it drives, failed.
    Failed,
    /// 2002: it took longer than it may.
    Timeout,
    /// 2004: something that is needed is not there, a program or a device for example.
    Unavailable,
    /// 5000: an error that nobody foresaw.
    Internal,
    /// 5001: the configuration cannot work.
    Config,
    /// A code of the backend's own; 4000 to 4999 become HTTP 400, others HTTP 500. 0 would say that all went well, and is
    /// sent as 5000.
    Other(i32),
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Param => 1002,
            Self::Session => 1003,
            Self::Forbidden => 1006,
            Self::TooMany => 1007,
            Self::Failed => 2001,
            Self::Timeout => 2002,
            Self::Unavailable => 2004,
            Self::Internal | Self::Other(0) => 5000,
            Self::Config => 5001,
            Self::Other(number) => number,
        }
    }
}

/// A failure, as the caller of a tool reads it.
///
/// Everything that implements [`std::error::Error`] becomes one with `?`, with code 5000. The
/// message and the data reach the client: they must not hold secrets or paths of the server.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    data: Option<Box<Value>>,
}

impl Error {
    /// An error with this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// 1002: the parameter at this JSON pointer cannot be used.
    pub fn param(pointer: &str, message: impl fmt::Display) -> Self {
        Self::new(Code::Param, format!("parameter {pointer}: {message}"))
            .with_data(serde_json::json!({ "pointer": pointer }))
    }

    /// 1003: the session is not usable any more.
    pub fn session(message: impl Into<String>) -> Self {
        Self::new(Code::Session, message)
    }

    /// 1006: the caller may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    /// 2001: the backend, or what it drives, failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::Failed, message)
    }

    /// 2002: it took longer than it may.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(Code::Timeout, message)
    }

    /// 2004: something that is needed is not there; say how to get it.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// 5001: the configuration cannot work.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Code::Config, message)
    }

    /// Adds data for the caller: what was done before it failed, for example.
    ///
    /// Data that cannot be written as JSON is left out.
    #[must_use]
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        self.data = serde_json::to_value(data).ok().map(Box::new);
        self
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What the caller reads.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The data for the caller, if any.
    #[must_use]
    pub fn data(&self) -> Option<&Value> {
        self.data.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.message, self.code.number())
    }
}

/// Like `anyhow::Error`, [`Error`] is itself no [`std::error::Error`]: that is what makes this possible.
impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Many errors repeat their source in their own text; say each thing once.
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self::new(Code::Internal, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_has_the_code_of_success() {
        assert_eq!(Code::Other(0).number(), 5000);
        let outcome = crate::reply::error_outcome(&Error::new(Code::Other(0), "no"));
        assert_eq!(outcome.code, 5000);
        assert_eq!(Code::Other(4001).number(), 4001);
    }

    #[test]
    fn any_error_becomes_5000_with_its_causes() {
        let parse = "x".parse::<i32>().map_err(Error::from).unwrap_err();
        assert_eq!(parse.code().number(), 5000);
        assert_eq!(parse.message(), "invalid digit found in string");
    }
}
