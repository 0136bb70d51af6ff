//! Requests that run tools: sent with an `Idempotency-Key`, and so sent again when the connection is lost.
//!
//! A server that keeps answers says so with every answer to such a request, and names itself. Only the server that
//! was named may be asked again: another one, or the same one started anew, knows nothing of the first attempt and
//! would run the tool a second time. It refuses, and the caller hears that the connection was lost.

use crate::{Client, Error, transport::Answer};
use reqwest::{StatusCode, header::HeaderMap};
use sandbox_protocol::TraceId;
use serde::Serialize;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub(crate) const KEY: &str = "idempotency-key";
const INSTANCE: &str = "idempotency-instance";

/// How often a request is sent at most, and the pause before the second time; each further one is longer.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);

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

impl Client {
    /// Posts a body that runs tools.
    pub(crate) async fn post_once(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let body = serde_json::to_vec(body).map_err(Error::Parameters)?;
        let key = TraceId::generate().to_string();
        let known = self.instance.known();
        let first = self
            .post_bytes(path, body.clone(), &[(KEY, &key)], limit)
            .await;
        let (Err(Error::Transport { .. }), Some(instance)) = (&first, known) else {
            return first;
        };
        let headers = [(KEY, &*key), (INSTANCE, &*instance)];
        for attempt in 1..ATTEMPTS {
            tokio::time::sleep(PAUSE * attempt).await;
            match self.post_bytes(path, body.clone(), &headers, limit).await {
                // Not the server that was asked: it refuses to run what may have run.
                Ok(answer) if answer.status == StatusCode::CONFLICT && !answer.is_kept() => break,
                // Whether it runs nobody knows; it may be back soon.
                Err(Error::Transport { .. } | Error::Connect { .. }) => {}
                other => return other,
            }
        }
        first
    }
}
