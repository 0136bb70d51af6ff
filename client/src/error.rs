//! What can keep a call from having an answer.

use reqwest::StatusCode;
use sandbox_protocol::Code;
use serde_json::Value;
use std::time::Duration;

/// There is no answer of the kind that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the address: the call has not run.
    #[error("cannot reach a server at {url}")]
    Connect {
        /// Where the client looked.
        url: String,
        /// What the system said.
        source: reqwest::Error,
    },
    /// The connection broke after the call was sent: the call may have run.
    #[error("the connection to {url} broke before the answer; the call may have run")]
    Transport {
        /// Where the client had connected to.
        url: String,
        /// What the system said.
        source: reqwest::Error,
    },
    /// No answer came in time: the server cancels a call whose client is gone.
    #[error("no answer from {url} within {} s", limit.as_secs_f64())]
    Timeout {
        /// Where the client had connected to.
        url: String,
        /// How long it waited.
        limit: Duration,
    },
    /// What answered does not speak the protocol: {status} and the start of its answer.
    #[error("{url} answers, but not as a sandbox server does (HTTP {status}): {excerpt}")]
    Protocol {
        /// Where the answer came from.
        url: String,
        /// Its HTTP status.
        status: StatusCode,
        /// How it begins, or what is wrong with it.
        excerpt: String,
    },
    /// The server refused or failed.
    #[error("{message} ({code})")]
    Server {
        /// The code of the envelope.
        code: Code,
        /// The message of the envelope.
        message: String,
        /// The data of the envelope, such as the candidates of an ambiguous name.
        data: Value,
    },
    /// The parameters cannot be written as JSON: the call was not sent.
    #[error("the parameters cannot be written as JSON")]
    Parameters(#[source] serde_json::Error),
}

impl Error {
    /// Whether the call certainly did not run, so that it may be made again without harm.
    pub fn never_ran(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Parameters(_))
    }

    /// The server's code, when it was the server that refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Server { code, .. } => Some(*code),
            _ => None,
        }
    }
}
