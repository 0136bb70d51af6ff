//! The HTTP front: it translates requests into calls of the layers below, and their ends into answers.
//!
//! The way of a request, in reading order: `accept` (connections, and how many) → `connection` (one of
//! them: HTTP/1.1 or HTTP/2, and how long it may be silent) → `front` (what every request passes) →
//! `guard` (who may ask for what) → `routes` (the table) → `asked` (the body) → one of the routes →
//! `answer` (the only place where a failure becomes a status). Owns no tool, no session and no decision
//! about them.

mod accept;
mod activity;
mod answer;
mod aside;
mod asked;
mod batch;
mod body;
mod call;
mod connection;
mod cors;
mod discard;
mod events;
mod execute;
mod from_config;
mod front;
mod guard;
mod health;
mod hosts;
mod init;
mod job;
mod keys;
mod kill;
mod mcp;
mod metrics;
mod once;
mod openapi;
mod operator;
mod own;
mod pages;
mod rate;
mod routes;
mod server;
mod sessions;
mod shutdown;
mod stream;
mod tools;
mod warmup;
mod workers;

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

pub use accept::serve;
pub(crate) use aside::at_once;

/// What the front needs besides the sandbox.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The directory of the configuration file: all that clients may read files from.
    pub config_directory: Option<PathBuf>,
    /// Ends [`serve`]: no further connections, and the open ones end with the answers under way.
    ///
    /// To be cancelled after [`Sandbox::stop`](crate::sandbox::Sandbox::stop), so that clients can ask
    /// for `/ready` while the server drains.
    pub closing: CancellationToken,
}
