//! Sends spans to a collector: gathered for a second, tried a few times, and left out when nobody takes them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode, header::CONTENT_TYPE};
use tokio::time::{sleep, timeout};

use super::{Shared, wire};
use crate::config;

/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// How long a collector may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the last spans may take when the server stops.
const PARTING: Duration = Duration::from_secs(2);

/// How often spans are tried that a collector may take later, and the first pause, which doubles.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// How often at most the log hears that spans cannot be sent.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// Sends what is shared with the calls.
pub(super) struct Exporter {
    client: Client,
    endpoint: String,
    headers: http::HeaderMap,
    service: String,
    instance: String,
    shared: Arc<Shared>,
    /// What was taken of each shard; its room goes back and forth.
    spans: Vec<Vec<u8>>,
    complained: Option<Instant>,
}

/// Why spans were not taken.
enum Refused {
    /// Later they may be.
    ForNow(String),
    /// They never will be.
    ForGood(String),
}

impl Exporter {
    pub(super) fn new(
        endpoint: &str,
        config: &config::Traces,
        shared: Arc<Shared>,
    ) -> Result<Self, reqwest::Error> {
        // What cannot be a header was refused with the configuration.
        let headers = config
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
        Ok(Self {
            // What was configured is spoken to, not a proxy from the environment.
            client: Client::builder().no_proxy().timeout(ANSWER).build()?,
            endpoint: endpoint.to_owned(),
            headers: headers
                .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
                .into_iter()
                .collect(),
            service: config.service_name.clone(),
            instance: sandbox_protocol::TraceId::generate().to_string(),
            shared,
            spans: Vec::new(),
            complained: None,
        })
    }

    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let last = tokio::select! {
                biased;
                () = shared.closing.cancelled() => true,
                () = shared.enough.notified() => false,
                () = sleep(GATHER) => false,
            };
            self.send().await;
            if last {
                return;
            }
        }
    }

    async fn send(&mut self) {
        let count = self.shared.take(&mut self.spans);
        if count == 0 {
            return;
        }
        let resource = [
            ("service.name", &*self.service),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &*self.instance),
        ];
        let request = bytes::Bytes::from(wire::request(&resource, &self.spans));
        let (counts, trouble) = match self.deliver(request).await {
            Ok(()) => (&self.shared.counts.sent, None),
            Err(trouble) => (&self.shared.counts.lost, Some(trouble)),
        };
        counts.fetch_add(count, Ordering::Relaxed);
        if let Some(trouble) = trouble {
            self.complain(&trouble, count);
        }
    }

    /// Tries until they are taken, refused for good, or the server stops.
    async fn deliver(&self, request: bytes::Bytes) -> Result<(), String> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let closing = self.shared.closing.is_cancelled();
            let limit = if closing { PARTING } else { ANSWER };
            let posted = timeout(limit, self.post(request.clone())).await;
            let trouble = match posted {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Refused::ForGood(trouble))) => return Err(trouble),
                Ok(Err(Refused::ForNow(trouble))) => trouble,
                Err(_) => "no answer in time".to_owned(),
            };
            if attempt == ATTEMPTS || closing {
                return Err(trouble);
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shared.closing.cancelled() => {}
            }
            pause *= 2;
        }
        Ok(())
    }

    async fn post(&self, request: bytes::Bytes) -> Result<(), Refused> {
        let answer = self
            .client
            .post(&self.endpoint)
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(request)
            .send()
            .await
            .map_err(|error| Refused::ForNow(cause(&error)))?;
        let status = answer.status();
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Refused::ForNow(status.to_string())),
            _ => Err(Refused::ForGood(status.to_string())),
        }
    }

    fn complain(&mut self, trouble: &str, spans: u64) {
        let due = self
            .complained
            .is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY);
        if due {
            self.complained = Some(Instant::now());
            let endpoint = &*self.endpoint;
            tracing::warn!(
                endpoint,
                spans,
                error = trouble,
                "the collector does not take spans"
            );
        }
    }
}

/// The innermost reason, which is the one that says something.
fn cause(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
