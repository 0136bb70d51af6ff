//! The Rust client of a sandbox server.
//!
//! A [`Client`] has one method for each route of the server, with typed answers; it is cheap to
//! clone and serves thousands of calls at a time. A tool's own error is not an error here: it comes
//! back in the envelope. An [`Error`] means that there is no such answer.
//!
//! No tool ever runs twice for one call: [`execute`](Client::execute) is sent again when its connection is lost, but
//! only to a server that knows by its `Idempotency-Key` whether it ran already, and gives the first answer then.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sandbox_client::Client;
//! use serde_json::json;
//!
//! let client = Client::builder().worker_id("agent-1").build()?;
//! let answer = client.execute("bash:run", &json!({"command": "echo hello"}), None).await?;
//! if answer.is_success() {
//!     println!("{}", answer.data["stdout"]);
//! } else {
//!     println!("{} ({})", answer.message, answer.code);
//! }
//! client.disconnect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! It does not start a server; [`Client::wait_until_ready`] waits for one that was just started.

mod builder;
mod error;
mod execute;
mod once;
mod server;
mod sessions;
mod stream;
mod transport;

pub use builder::{BuildError, ClientBuilder, DEFAULT_URL};
pub use error::Error;
pub use execute::{BatchAction, BatchOptions};
pub use sandbox_protocol as protocol;
pub use stream::{ExecuteStream, StreamEvent};

use reqwest::Url;
use std::{sync::Arc, time::Duration};

/// A connection to a server, on behalf of one worker.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    worker: Arc<str>,
    timeout: Duration,
    instance: once::Instance,
}

impl Client {
    /// Starts to describe a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The worker that the calls are made for.
    pub fn worker_id(&self) -> &str {
        &self.worker
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// The connections beneath, for routes that this crate does not know. Every request has the key; none is repeated or
    /// redirected.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The same connection, on behalf of another worker.
    #[must_use]
    pub fn for_worker(&self, worker: &str) -> Self {
        Self {
            worker: worker.into(),
            ..self.clone()
        }
    }
}
