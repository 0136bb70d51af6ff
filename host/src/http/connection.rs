//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2, whichever the client begins with.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustix::net::sockopt;
use tokio::{net::TcpStream, time::sleep};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    activity::{Activity, Patience, Watched},
    front::Front,
};
use crate::config::Limits;

/// The largest head of an HTTP/2 request: several times what real clients send. One of HTTP/1.1
/// ends with hyper's buffer, after 400 kB.
const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// Requests at the same time on one HTTP/2 connection; more of them wait at the client.
const MAX_STREAMS: u32 = 256;

/// How often a silent client is asked whether it is still there, and how long one of HTTP/2 may take to
/// say so: a machine that lost its network does not close its connections, and its calls go on.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WITHIN: Duration = Duration::from_secs(20);

/// How long a connection that was told to go may take: what the client sent just before arrives in that time.
const PARTING: Duration = Duration::from_secs(1);

/// What a request may know of its connection. One reference to it is all that a request takes: what
/// all connections share would be counted by all threads at once.
pub(super) struct Link {
    /// Where its requests go.
    pub(super) front: Arc<Front>,
    /// Who is at the other end.
    pub(super) peer: SocketAddr,
    /// What the connection is doing.
    pub(super) activity: Activity,
    /// Set when the connection is to go.
    leave: OnceLock<Leave>,
}

/// Why a connection is to go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// It used up its time.
    Expired,
    /// The front closes.
    Closing,
}

impl Link {
    fn new(front: Arc<Front>, peer: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            front,
            peer,
            activity: Activity::new(),
            leave: OnceLock::new(),
        })
    }
}

/// What all connections have in common.
pub(super) struct Connections {
    builder: auto::Builder<TokioExecutor>,
    patience: Patience,
    closing: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    pub(super) fn new(limits: &Limits, closing: CancellationToken, cut: CancellationToken) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // The times of heads and of silence are kept by `activity`, which tells them apart.
        builder.http1().header_read_timeout(None);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WITHIN);
        let patience = Patience {
            head: limits.header_timeout,
            idle: limits.idle_timeout,
        };
        Self {
            builder,
            patience,
            closing,
            cut,
        }
    }

    /// Serves a connection until its client goes, its time is up, or the front closes.
    pub(super) async fn run(&self, front: Arc<Front>, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%peer, %error, "the socket does not take its options");
        }
        let link = Link::new(front, peer);
        let io = TokioIo::new(Watched {
            stream,
            link: Arc::clone(&link),
        });
        let service = service_fn({
            let link = Arc::clone(&link);
            // A box, since hyper moves the future into its place.
            move |request| {
                Box::pin(Front::answer(Arc::clone(&link), request)).map(Ok::<_, Infallible>)
            }
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));
        // A task of its own: tokens and timers cost locks, and requests wake the connection all the time. It leaves word
        // in the link and wakes this task, whose waker stays the same: asking the other task, as often as
        // this one wakes, costs more.
        let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        let watching = tokio::spawn({
            let (closing, patience) = (self.closing.clone(), self.patience);
            let link = Arc::clone(&link);
            async move {
                let leave = tokio::select! {
                    () = closing.cancelled() => Leave::Closing,
                    () = link.activity.expired(patience) => Leave::Expired,
                };
                // In this order, or it would be seen only when the connection wakes again.
                let _ = link.leave.set(leave);
                waker.wake();
            }
        });
        let watching = AbortOnDropHandle::new(watching);
        // The connection first: a request that has arrived is still answered.
        let ended = poll_fn(|context| match connection.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Ok(ended)),
            Poll::Pending => match link.leave.get() {
                Some(leave) => Poll::Ready(Err(*leave)),
                None => Poll::Pending,
            },
        });
        let expired = match ended.await {
            Ok(ended) => return log(peer, ended),
            Err(leave) => leave == Leave::Expired,
        };
        drop(watching);
        connection.as_mut().graceful_shutdown();
        let parting = async {
            if expired {
                sleep(PARTING).await;
                // A request that came in that very moment runs to its end.
                link.activity.expired(Patience::equal(PARTING)).await;
            } else {
                self.cut.cancelled().await;
            }
        };
        tokio::select! {
            ended = connection => log(peer, ended),
            () = parting => tracing::debug!(%peer, expired, "connection cut"),
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Answers are written whole; waiting for more to send would only delay them.
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PING_EVERY)?;
    sockopt::set_tcp_keepintvl(stream, PING_EVERY / 3)?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

/// Clients break connections all the time: that is for those who look for it.
fn log(peer: SocketAddr, ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &*error, "connection broke");
    }
}
