//! One request, one answer: sending, and telling apart what came back.

use crate::{Client, Error};
use reqwest::{Method, Response, StatusCode, Url, header};
use sandbox_protocol::Envelope;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::time::Duration;

/// Set on answers of requests with an `Idempotency-Key`, when they were run or had been.
const REPLAYED: &str = "idempotency-replayed";

/// How much of an answer that is not ours is shown.
const EXCERPT: usize = 200;

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    url: Url,
    body: Vec<u8>,
    kept: bool,
}

impl Client {
    /// The address of a route.
    pub(crate) fn route(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    pub(crate) async fn get(&self, url: Url) -> Result<Answer, Error> {
        self.send(self.http.get(url.clone()), url, self.timeout)
            .await
    }

    /// Posts a body and reads a bare answer.
    pub(crate) async fn post_bare<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.post(path, body, self.timeout).await?.bare()
    }

    /// Posts a body and reads the data of an envelope.
    pub(crate) async fn post_for_data<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.post(path, body, self.timeout).await?.data()
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let body = serde_json::to_vec(body).map_err(Error::Parameters)?;
        self.post_bytes(path, body, &[], limit).await
    }

    /// Posts JSON that is written already, with headers of its own.
    pub(crate) async fn post_bytes(
        &self,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Answer, Error> {
        let url = self.route(path);
        let response = self.respond(url.clone(), body, headers, limit).await?;
        Self::read(response, url, limit).await
    }

    /// Posts, and returns when the head of the answer is there.
    pub(crate) async fn respond(
        &self,
        url: Url,
        body: Vec<u8>,
        headers: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Response, Error> {
        let mut request = self
            .http
            .request(Method::POST, url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .timeout(limit);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let failed = |error: reqwest::Error| failure(&url, limit, error.without_url());
        let response = request.send().await.map_err(failed)?;
        self.instance.learn(response.headers());
        Ok(response)
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        url: Url,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let failed = |error: reqwest::Error| failure(&url, limit, error.without_url());
        let response = request.timeout(limit).send().await.map_err(failed)?;
        Self::read(response, url, limit).await
    }

    async fn read(response: Response, url: Url, limit: Duration) -> Result<Answer, Error> {
        let failed = |error: reqwest::Error| failure(&url, limit, error.without_url());
        let status = response.status();
        let kept = response.headers().contains_key(REPLAYED);
        let body = response.bytes().await.map_err(failed)?.into();
        Ok(Answer {
            status,
            url,
            body,
            kept,
        })
    }
}

pub(crate) fn failure(url: &Url, limit: Duration, source: reqwest::Error) -> Error {
    let url = url.origin().ascii_serialization();
    if source.is_connect() {
        Error::Connect { url, source }
    } else if source.is_timeout() {
        Error::Timeout { url, limit }
    } else {
        Error::Transport { url, source }
    }
}

impl Answer {
    /// Whether the server keeps it for who asks again.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Whether it was refused because of when it came.
    pub(crate) fn is_for_now(&self) -> bool {
        matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
    }

    /// The envelope, whatever its code.
    pub(crate) fn envelope(&self) -> Result<Envelope, Error> {
        serde_json::from_slice(&self.body).map_err(|_| self.stranger())
    }

    /// The data of an envelope that says success.
    fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let envelope = self.envelope()?;
        if envelope.is_success() {
            serde_json::from_value(envelope.data).map_err(|error| self.misfit(&error))
        } else {
            Err(refusal(envelope))
        }
    }

    /// A bare answer, when the status says success.
    pub(crate) fn bare<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if self.status.is_success() {
            self.bare_whatever_status()
        } else {
            Err(refusal(self.envelope()?))
        }
    }

    /// A bare answer of a route that gives one with an error's status too.
    pub(crate) fn bare_whatever_status<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| match self.envelope() {
            Ok(envelope) => refusal(envelope),
            Err(_) if serde_json::from_slice::<Value>(&self.body).is_ok() => self.misfit(&error),
            Err(stranger) => stranger,
        })
    }

    /// It does not speak the protocol at all.
    fn stranger(&self) -> Error {
        let text = String::from_utf8_lossy(&self.body);
        let excerpt = match text.trim() {
            "" => "an empty answer".to_owned(),
            text => text.chars().take(EXCERPT).collect(),
        };
        self.protocol(excerpt)
    }

    /// It is JSON, of another shape than the route's.
    pub(crate) fn misfit(&self, error: &serde_json::Error) -> Error {
        self.protocol(format!("its answer does not fit: {error}"))
    }

    fn protocol(&self, excerpt: String) -> Error {
        Error::Protocol {
            url: self.url.origin().ascii_serialization(),
            status: self.status,
            excerpt,
        }
    }
}

/// An envelope that says no.
pub(crate) fn refusal(envelope: Envelope) -> Error {
    Error::Server {
        code: envelope.code,
        message: envelope.message,
        data: envelope.data,
    }
}
