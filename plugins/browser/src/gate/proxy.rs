//! The proxy of one session: HTTP/1 with the browser, tunnels for everything that is encrypted or a WebSocket.
//!
//! It listens while the session lives; with it go all of the session's connections. What it refused or could not reach
//! is kept for the answers of the session's next tools.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode, Uri, Version, body::Incoming, header,
    server::conn::http1, service::service_fn, upgrade,
};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    dial::{DialError, Dialer},
    peer::Peer,
};

/// So many troubles are kept for the next answer.
const MAX_TROUBLES: usize = 64;

/// What of a request belongs to this connection alone, and not to the server.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "upgrade",
];

/// A session's proxy.
#[derive(Debug)]
pub(crate) struct Gate {
    address: SocketAddr,
    troubles: Arc<Troubles>,
    dialer: Dialer,
    closed: CancellationToken,
}

/// A request that came to nothing.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// The host with its port.
    pub(crate) host: String,
    /// Why.
    pub(crate) error: DialError,
}

#[derive(Debug, Default)]
struct Troubles(Mutex<VecDeque<Trouble>>);

type Body = BoxBody<Bytes, hyper::Error>;

impl Gate {
    /// Opens a proxy for the browser's connections.
    pub(crate) async fn open(dialer: Dialer, peer: Arc<Peer>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (troubles, closed) = (Arc::default(), CancellationToken::new());
        let server = Server {
            address,
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .build(Connector(dialer.clone())),
            dialer: dialer.clone(),
            troubles: Arc::clone(&troubles),
            closed: closed.clone(),
        };
        let accepting = accept(listener, server, peer);
        tokio::spawn(closed.clone().run_until_cancelled_owned(accepting));
        Ok(Self {
            address,
            troubles,
            dialer,
            closed,
        })
    }

    /// Where the browser finds it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Why this host is out of bounds, as far as that is known without its address.
    pub(crate) fn forbids(&self, host: &str, port: u16) -> Option<DialError> {
        self.dialer.forbids(host, port)
    }

    /// What came to nothing since this was last asked.
    pub(crate) fn take_troubles(&self) -> Vec<Trouble> {
        self.troubles.lock().drain(..).collect()
    }

    /// The last trouble with this host and port.
    pub(crate) fn trouble_with(&self, host: &str) -> Option<DialError> {
        let troubles = self.troubles.lock();
        let last = troubles.iter().rev().find(|trouble| trouble.host == host)?;
        Some(last.error.clone())
    }

    /// The last trouble with any host.
    pub(crate) fn last_trouble(&self) -> Option<DialError> {
        Some(self.troubles.lock().back()?.error.clone())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl Troubles {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, host: String, error: &DialError) {
        let mut troubles = self.lock();
        // Each is told once; the newest stands last.
        troubles.retain(|known| known.error != *error);
        if troubles.len() == MAX_TROUBLES {
            troubles.pop_front();
        }
        troubles.push_back(Trouble {
            host,
            error: error.clone(),
        });
    }
}

#[derive(Clone)]
struct Server {
    address: SocketAddr,
    client: Client<Connector, Incoming>,
    dialer: Dialer,
    troubles: Arc<Troubles>,
    closed: CancellationToken,
}

async fn accept(listener: TcpListener, server: Server, peer: Arc<Peer>) {
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            // Out of files, perhaps: others may give some back.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (server, peer) = (server.clone(), Arc::clone(&peer));
        let closed = server.closed.clone();
        tokio::spawn(async move {
            let serving = async {
                let local = server.address;
                let own = task::spawn_blocking(move || peer.owns(local, remote)).await;
                if own.unwrap_or(false) {
                    server.serve(stream).await;
                } else {
                    tracing::warn!(%remote, "a program that is not the browser knocked at its proxy");
                }
            };
            closed.run_until_cancelled(serving).await;
        });
    }
}

impl Server {
    async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, hyper::Error>(server.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .preserve_header_case(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of the browser's ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let uri = request.uri();
        let default = if request.method() == Method::CONNECT {
            None
        } else {
            Some(80)
        };
        let (Some(host), Some(port)) = (uri.host(), uri.port_u16().or(default)) else {
            return plain(StatusCode::BAD_REQUEST, "this is a proxy");
        };
        let host = host.to_owned();
        let answer = if request.method() == Method::CONNECT {
            self.tunnel(request, &host, port).await
        } else {
            self.forward(request, &host, port).await
        };
        answer.unwrap_or_else(|error| {
            self.troubles.add(format!("{host}:{port}"), &error);
            let status = match error {
                DialError::Forbidden { .. } => StatusCode::FORBIDDEN,
                DialError::Unresolved { .. } | DialError::Unreachable { .. } => {
                    StatusCode::BAD_GATEWAY
                }
            };
            plain(status, &error.to_string())
        })
    }

    async fn tunnel(
        &self,
        request: Request<Incoming>,
        host: &str,
        port: u16,
    ) -> Result<Response<Body>, DialError> {
        let mut server = self.dialer.dial(host, port).await?;
        let tunnel = async move {
            if let Ok(upgraded) = upgrade::on(request).await {
                let _ = copy_bidirectional(&mut TokioIo::new(upgraded), &mut server).await;
            }
        };
        tokio::spawn(self.closed.clone().run_until_cancelled_owned(tunnel));
        Ok(Response::new(empty()))
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        host: &str,
        port: u16,
    ) -> Result<Response<Body>, DialError> {
        for name in HOP_BY_HOP {
            request.headers_mut().remove(name);
        }
        *request.version_mut() = Version::HTTP_11;
        match self.client.request(request).await {
            Ok(mut response) => {
                for name in HOP_BY_HOP {
                    response.headers_mut().remove(name);
                }
                Ok(response.map(http_body_util::BodyExt::boxed))
            }
            Err(error) => {
                Err(dial_error(&error)
                    .cloned()
                    .unwrap_or_else(|| DialError::Unreachable {
                        host: format!("{host}:{port}"),
                        reason: "it broke the connection off".to_owned(),
                    }))
            }
        }
    }
}

/// The dialler's own error among the causes of the client's.
fn dial_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a DialError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<DialError>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{text}\n"))).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn empty() -> Body {
    Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed()
}

/// Dials for the HTTP client, which keeps connections per host and port.
#[derive(Clone)]
struct Connector(Dialer);

impl tower::Service<Uri> for Connector {
    type Response = Dialled;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Dialled, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.0.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().unwrap_or(80);
            Ok(Dialled(TokioIo::new(dialer.dial(host, port).await?)))
        })
    }
}

/// A connection, as the HTTP client wants it.
struct Dialled(TokioIo<TcpStream>);

impl Connection for Dialled {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
