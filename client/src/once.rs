//! Requests that run tools: sent with an `Idempotency-Key`, and so sent again when the connection is lost.
//!
//! A server that keeps answers says so with every answer to such a request, and names itself. It is only asked again
//! for what it knows (`Idempotency-Repeat`): one that has forgotten the first attempt, or another one at the same
//! address that never saw it, refuses instead of running the tool a second time, and the caller hears that the
//! connection was lost. Whatever else answers in the server's place, a rate limit or a proxy, tells nothing of the call.

use crate::{Client, Error, transport::Answer};
use reqwest::header::HeaderMap;
use sandbox_protocol::TraceId;
use serde::Serialize;
use serde_json::json;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::runtime::Handle;

pub(crate) const KEY: &str = "idempotency-key";
const INSTANCE: &str = "idempotency-instance";
const REPEAT: (&str, &str) = ("idempotency-repeat", "true");
const ABANDON: (&str, &str) = ("idempotency-abandon", "true");

/// How often a request is sent at most, and the pause before the second time; each further one is longer.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// How long it may take to say that nobody waits any more: who gave up has waited long enough.
const FAREWELL: Duration = Duration::from_secs(2);

/// The server that keeps answers, as far as one has been seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Instance(Arc<Mutex<Option<Arc<str>>>>);

impl Instance {
    fn known(&self) -> Option<Arc<str>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn learn(&self, headers: &HeaderMap) {
        let Some(name) = headers.get(INSTANCE).and_then(|name| name.to_str().ok()) else {
            return;
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != Some(name) {
            *known = Some(name.into());
        }
    }
}

/// A call whose answer is waited for. Dropped before that has come, it has the call cancelled.
struct Awaited<'a> {
    client: &'a Client,
    path: &'a str,
    key: &'a str,
    over: bool,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Without a runtime nobody polled the request either.
        if let Ok(runtime) = Handle::try_current() {
            let (client, path, key) = (
                self.client.clone(),
                self.path.to_owned(),
                self.key.to_owned(),
            );
            runtime.spawn(async move { client.abandon(&path, &key).await });
        }
    }
}

impl Client {
    /// Posts a body that runs tools. Dropping the future cancels the call.
    pub(crate) async fn post_once(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let body = serde_json::to_vec(body).map_err(Error::Parameters)?;
        let key = TraceId::generate().to_string();
        let mut awaited = Awaited {
            client: self,
            path,
            key: &key,
            over: false,
        };
        let ended = self.attempts(path, body, &key, limit).await;
        awaited.over = true;
        ended
    }

    /// Sends a request, and again as long as that may bring the first one's answer.
    async fn attempts(
        &self,
        path: &str,
        body: Vec<u8>,
        key: &str,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let known = self.instance.known();
        let first = self
            .post_bytes(path, body.clone(), &[(KEY, key)], limit)
            .await;
        if matches!(first, Err(Error::Timeout { .. })) {
            self.abandon(path, key).await;
        }
        let (Err(Error::Transport { .. }), Some(instance)) = (&first, known) else {
            return first;
        };
        let headers = [(KEY, key), (INSTANCE, &*instance), REPEAT];
        for attempt in 1..ATTEMPTS {
            tokio::time::sleep(PAUSE * attempt).await;
            match self.post_bytes(path, body.clone(), &headers, limit).await {
                Ok(answer) if answer.is_kept() => return Ok(answer),
                // Refused before anybody looked for the call.
                Ok(answer) if answer.is_for_now() => {}
                // Whether it runs nobody knows; it may be back soon.
                Err(Error::Transport { .. } | Error::Connect { .. }) => {}
                Err(Error::Timeout { .. }) => {
                    self.abandon(path, key).await;
                    break;
                }
                Ok(_) | Err(_) => break,
            }
        }
        first
    }

    /// Has a call cancelled whose answer nobody waits for; if that cannot be said, the server finds out by itself.
    async fn abandon(&self, path: &str, key: &str) {
        // Not the request itself: what does not know the header must find nothing in it to run.
        let body = json!({ "worker_id": self.worker_id() }).to_string();
        let headers = [(KEY, key), ABANDON];
        let _ = self
            .post_bytes(path, body.into_bytes(), &headers, FAREWELL)
            .await;
    }
}
