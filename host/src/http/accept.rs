//! Accepting connections: as many as the limit allows, and without a storm when the system has no more.
//! What happens on a connection is told in `connection`.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Options, connection::Connections, front::Front};
use crate::sandbox::Sandbox;

/// How long answers under way may take to reach their clients when the front closes.
const PARTING: Duration = Duration::from_secs(2);

/// The pauses between two attempts to accept when the system refuses: short enough to go on soon,
/// long enough not to burn a core.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often at most the log hears that connections cannot be accepted.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Serves the sandbox on this socket until [`Options::closing`] is cancelled and the answers under way
/// are written.
pub async fn serve(sandbox: Arc<Sandbox>, listener: TcpListener, options: Options) {
    let limits = sandbox.config.server.limits.clone();
    let closing = options.closing.clone();
    let cut = CancellationToken::new();
    let observers = Arc::clone(&sandbox.observers);
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let connections = Arc::new(Connections::new(&limits, closing.clone(), cut.clone()));
    let address = listener.local_addr().ok();
    let front = Front::new(sandbox, address, options);
    let tasks = TaskTracker::new();
    let mut trouble = Trouble::default();
    loop {
        // The place comes first: while all are taken, new connections wait in the system's queue.
        let place = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            accepted = trouble.accept(&listener) => accepted,
        };
        let (front, connections) = (Arc::clone(&front), Arc::clone(&connections));
        let open = observers.connected();
        tasks.spawn(async move {
            let (_place, _open) = (place, open);
            let (stream, peer) = accepted;
            connections.run(front, stream, peer).await;
        });
    }
    drop(listener);
    tasks.close();
    if timeout(PARTING, tasks.wait()).await.is_err() {
        cut.cancel();
        tasks.wait().await;
    }
}

/// What is wrong with accepting, if anything.
#[derive(Default)]
struct Trouble {
    pause: Duration,
    logged: Option<Instant>,
    unlogged: u64,
}

impl Trouble {
    async fn accept(&mut self, listener: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    self.pause = Duration::ZERO;
                    return accepted;
                }
                // That connection is gone already; the next one may be fine.
                Err(error) if is_the_peers(&error) => {}
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Waits a while: out of descriptors, say, accepting fails until a connection ends.
    async fn pause(&mut self, error: &io::Error) {
        if self
            .logged
            .is_none_or(|logged| logged.elapsed() >= LOG_EVERY)
        {
            tracing::error!(%error, failures = self.unlogged + 1, "cannot accept connections");
            self.logged = Some(Instant::now());
            self.unlogged = 0;
        } else {
            self.unlogged += 1;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        sleep(self.pause).await;
    }
}

fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_logged_once_per_period_and_pauses_grow_to_a_second() {
        let mut trouble = Trouble::default();
        let error = io::Error::from_raw_os_error(24);
        for _ in 0..20 {
            trouble.pause(&error).await;
        }
        assert_eq!(trouble.pause, LONGEST_PAUSE);
        assert_eq!(trouble.unlogged, 19);
    }
}
