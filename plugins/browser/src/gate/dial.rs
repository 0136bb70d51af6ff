//! From a host's name to a connection: resolve it, ask the rules about each address, dial the address that was asked about.
//!
//! Nothing is resolved twice, so a name that changes its address in between (DNS rebinding) gains nothing. Behind an
//! upstream proxy the same holds: it is asked for a tunnel to the address.
#![expect(
    clippy::format_push_string,
    reason = "short texts, and no error to handle"
)]

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use base64::Engine as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::rules::Rules;

/// A server that has not accepted after this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// An upstream proxy's answer to CONNECT is short.
const MAX_ANSWER: usize = 16 * 1024;

/// Makes connections within the rules.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    rules: Arc<Rules>,
    upstream: Option<Arc<Upstream>>,
}

/// The proxy that the operator's network wants.
#[derive(Debug)]
pub(crate) struct Upstream {
    host: String,
    port: u16,
    authorization: Option<String>,
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DialError {
    /// The rules forbid it.
    #[error("{host} may not be reached: {reason}")]
    Forbidden {
        /// Name and port, as the page says them.
        host: String,
        /// Which rule.
        reason: String,
    },
    /// Nobody knows the name.
    #[error("the name {host} cannot be resolved")]
    Unresolved {
        /// The name.
        host: String,
    },
    /// Nobody answers.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// Name and port.
        host: String,
        /// What the system says.
        reason: String,
    },
}

impl Dialer {
    pub(crate) fn new(rules: Rules, upstream: Option<Upstream>) -> Self {
        Self {
            rules: Arc::new(rules),
            upstream: upstream.map(Arc::new),
        }
    }

    /// Whether the rules forbid this host, as far as that is known before its address is.
    pub(crate) fn forbids(&self, host: &str, port: u16) -> Option<DialError> {
        let reason = self.rules.refuse_host(host, port)?;
        Some(forbidden(host, port, reason))
    }

    /// A connection to this host.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        if let Some(error) = self.forbids(host, port) {
            return Err(error);
        }
        let mut failure = None;
        for address in self.resolve(host, port).await? {
            if let Some(reason) = self.rules.refuse_address(host, address.ip(), port) {
                failure.get_or_insert(forbidden(host, port, reason));
                continue;
            }
            match timeout(CONNECT_TIMEOUT, self.connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = Some(unreachable(host, port, &words(&error))),
                Err(_) => failure = Some(unreachable(host, port, "it does not answer")),
            }
        }
        Err(failure.unwrap_or_else(|| unresolved(host)))
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found = lookup_host((bare, port)).await;
        Ok(found.map_err(|_| unresolved(host))?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = match &self.upstream {
            None => TcpStream::connect(address).await?,
            Some(upstream) => upstream.tunnel(address).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Upstream {
    /// Reads `http://user:password@host:port`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        if url.scheme() != "http" || !bare {
            return None;
        }
        let credentials = format!("{}:{}", url.username(), url.password().unwrap_or_default());
        let encoded = || base64::engine::general_purpose::STANDARD.encode(&credentials);
        Some(Self {
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
            authorization: (credentials != ":").then(|| format!("Basic {}", encoded())),
        })
    }

    async fn tunnel(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = TcpStream::connect((host, self.port)).await?;
        let mut request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let status = read_status(&mut stream).await?;
        if status
            .split(' ')
            .nth(1)
            .is_some_and(|code| code.starts_with('2'))
        {
            return Ok(stream);
        }
        Err(io::Error::other(format!(
            "the upstream proxy says {status}"
        )))
    }
}

/// Reads an answer's head byte by byte: what follows it belongs to the tunnel.
async fn read_status(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_ANSWER {
            return Err(io::Error::other("the upstream proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// What the system says, without its error number.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::Other => error.to_string(),
        kind => kind.to_string(),
    }
}

fn forbidden(host: &str, port: u16, reason: String) -> DialError {
    DialError::Forbidden {
        host: format!("{host}:{port}"),
        reason,
    }
}

fn unresolved(host: &str) -> DialError {
    DialError::Unresolved {
        host: host.to_owned(),
    }
}

fn unreachable(host: &str, port: u16, reason: &str) -> DialError {
    DialError::Unreachable {
        host: format!("{host}:{port}"),
        reason: reason.to_owned(),
    }
}
