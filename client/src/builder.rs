//! Where the server is, and who calls it.

use crate::Client;
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
    redirect, retry,
};
use sandbox_protocol::names::{BadWorkerId, WorkerId};
use std::time::Duration;

/// Where a server listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:18890";

/// How long a call waits for its answer, unless told otherwise. The server bounds what it runs; this
/// is for a server that has gone silent, and must not cut short a tool that is slow by nature.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(5);

/// How long connecting may take: a server is near, and callers want to know soon that it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept. Well below the time after which servers and proxies close
/// theirs, for a call sent into a closing connection is lost and must not be repeated.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// Describes a [`Client`].
#[derive(Clone, Default)]
#[must_use]
pub struct ClientBuilder {
    url: Option<String>,
    api_key: Option<String>,
    worker_id: Option<String>,
    timeout: Option<Duration>,
}

/// Why there can be no such client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The address is none.
    #[error("`{0}` is not the address of a server; one looks like {DEFAULT_URL}")]
    Url(String),
    /// The address needs TLS, which this build lacks.
    #[error("`{0}` needs TLS, which this program was built without (feature `tls`)")]
    NoTls(String),
    /// The key cannot stand in a header.
    #[error("the API key has characters that no header can carry")]
    ApiKey,
    /// The worker's name is none.
    #[error(transparent)]
    WorkerId(#[from] BadWorkerId),
    /// The transport could not be set up.
    #[error("cannot set up the HTTP client")]
    Http(#[source] reqwest::Error),
}

impl ClientBuilder {
    /// Where the server is; [`DEFAULT_URL`], when left out.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The key that the server asks for.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Whom the calls are made for; a random name, when left out.
    pub fn worker_id(mut self, worker: impl Into<String>) -> Self {
        self.worker_id = Some(worker.into());
        self
    }

    /// How long a call waits for its answer; one with a timeout of its own waits longer when it must.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Makes the client. It connects with the first call.
    ///
    /// # Errors
    ///
    /// When the address, the key or the worker's name cannot be used.
    pub fn build(self) -> Result<Client, BuildError> {
        let base = parse_url(self.url.as_deref().unwrap_or(DEFAULT_URL))?;
        let worker = self.worker_id.unwrap_or_else(random_worker);
        WorkerId::check(&worker)?;
        let mut http = reqwest::Client::builder()
            .default_headers(headers(self.api_key.as_deref())?)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            // A server never redirects; whatever does must not be handed the key.
            .redirect(redirect::Policy::none())
            // A call is never sent twice, whatever the transport believes.
            .retry(retry::never());
        if is_loopback(&base) {
            // A proxy for the outside world cannot reach this machine's own server.
            http = http.no_proxy();
        }
        Ok(Client {
            http: http.build().map_err(BuildError::Http)?,
            base,
            worker: worker.into(),
            timeout: self.timeout.unwrap_or(DEFAULT_TIMEOUT),
            instance: Default::default(),
        })
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of logs.
        f.debug_struct("ClientBuilder")
            .field("url", &self.url)
            .field("worker_id", &self.worker_id)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn parse_url(text: &str) -> Result<Url, BuildError> {
    let bad = || BuildError::Url(text.to_owned());
    let mut url = Url::parse(text).map_err(|_| bad())?;
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return Err(BuildError::NoTls(text.to_owned())),
        _ => return Err(bad()),
    }
    if url.host().is_none() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad());
    }
    // Paths are appended, so that a server may stand below a prefix of a proxy's.
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn headers(api_key: Option<&str>) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
            .map_err(|_| BuildError::ApiKey)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// A name that no other worker has by chance.
fn random_worker() -> String {
    let id = sandbox_protocol::TraceId::generate();
    format!("sandbox_{}", &id.as_str()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(builder: ClientBuilder) -> BuildError {
        builder.build().unwrap_err()
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let url = |url| refusal(Client::builder().url(url));
        assert!(matches!(url("127.0.0.1:18890"), BuildError::Url(_)));
        assert!(matches!(url("ftp://host"), BuildError::Url(_)));
        assert!(matches!(url("http://host/?x=1"), BuildError::Url(_)));
        let key = refusal(Client::builder().api_key("a\nb"));
        assert!(matches!(key, BuildError::ApiKey));
        let worker = refusal(Client::builder().worker_id(""));
        assert!(matches!(worker, BuildError::WorkerId(BadWorkerId::Empty)));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_that_is_not_built_in_is_said() {
        assert!(matches!(
            refusal(Client::builder().url("https://host")),
            BuildError::NoTls(_)
        ));
    }

    #[test]
    fn workers_without_a_name_get_different_ones() {
        let worker = || Client::builder().build().unwrap().worker_id().to_owned();
        assert_ne!(worker(), worker());
    }

    #[test]
    fn a_key_is_never_printed() {
        let builder = Client::builder().api_key("hush");
        assert!(!format!("{builder:?}").contains("hush"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("hush"));
    }

    #[test]
    fn this_machine_is_recognised() {
        for (url, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://localhost.example.com", false),
            ("http://192.168.1.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }
}
