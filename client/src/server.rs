//! The server as a whole: its health, its tools, warm-up and shutdown.

use crate::{Client, Error};
use sandbox_protocol::{
    request::{Shutdown, Warmup},
    response::{
        Health, Readiness, Ready, ReadyOrNot, ShutdownStarted, ToolDescription, ToolList,
        WarmupOutcome, WarmupStatus,
    },
    routes,
};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often [`Client::wait_until_ready`] asks.
const POLL: Duration = Duration::from_millis(25);

/// All methods fail alike.
///
/// # Errors
///
/// [`Error::Server`] when the server refuses, else as [`Error`] says.
impl Client {
    /// Whether the process lives.
    pub async fn health(&self) -> Result<Health, Error> {
        self.get(self.route(routes::HEALTH)).await?.bare()
    }

    /// Whether the server takes calls. That it does not is an answer too.
    pub async fn ready(&self) -> Result<Ready, Error> {
        let answer = self.get(self.route(routes::READY)).await?;
        answer.bare_whatever_status()
    }

    /// Whether the server takes calls, what it does without, and how each backend is.
    pub async fn ready_verbose(&self) -> Result<ReadyOrNot, Error> {
        let mut url = self.route(routes::READY);
        url.set_query(Some("verbose"));
        self.get(url).await?.bare_whatever_status()
    }

    /// Waits until a server that is being started takes calls.
    ///
    /// # Errors
    ///
    /// With the last answer's error when the time is up.
    pub async fn wait_until_ready(&self, limit: Duration) -> Result<Ready, Error> {
        let deadline = Instant::now() + limit;
        loop {
            let error = match timeout_at(deadline, self.ready()).await {
                Ok(Ok(ready)) if ready.status == Readiness::Ready => return Ok(ready),
                Ok(Ok(_)) | Err(_) => Error::Timeout {
                    url: self.base.origin().ascii_serialization(),
                    limit,
                },
                // Nobody listens yet.
                Ok(Err(error @ (Error::Connect { .. } | Error::Transport { .. }))) => error,
                Ok(Err(error)) => return Err(error),
            };
            if Instant::now() + POLL >= deadline {
                return Err(error);
            }
            sleep(POLL).await;
        }
    }

    /// Describes every tool.
    pub async fn tools(&self, include_hidden: bool) -> Result<ToolList, Error> {
        let mut url = self.route(routes::TOOLS);
        if include_hidden {
            url.set_query(Some("include_hidden=true"));
        }
        self.get(url).await?.bare()
    }

    /// Describes one tool.
    pub async fn tool(&self, name: &str) -> Result<ToolDescription, Error> {
        let mut url = self.route(routes::TOOLS);
        // A base URL of http has segments; and the name is escaped where it must be.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(name).push("schema");
        }
        self.get(url).await?.bare()
    }

    /// Warms backends up: those named, or all.
    pub async fn warmup(&self, backends: Option<&[&str]>) -> Result<WarmupOutcome, Error> {
        let backends = backends.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        self.post_bare(routes::WARMUP, &Warmup { backends }).await
    }

    /// Which backends are warm.
    pub async fn warmup_status(&self) -> Result<WarmupStatus, Error> {
        self.get(self.route(routes::WARMUP_STATUS)).await?.bare()
    }

    /// Drains and stops the server.
    pub async fn shutdown(&self, request: &Shutdown) -> Result<ShutdownStarted, Error> {
        self.post_bare(routes::SHUTDOWN, request).await
    }
}
