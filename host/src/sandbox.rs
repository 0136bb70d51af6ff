//! The running server without its fronts: catalog, sessions, and whether it is open for calls.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use sandbox_plugin_api::sharded::{Apart, Sharded};
use sandbox_protocol::{ErrorKind, response::Readiness};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backend::Backend,
    catalog::Catalog,
    config::Config,
    failure::Failure,
    gate::{Gate, Pass},
    observe::Observers,
    sessions::Sessions,
};

/// How long what was called off may take to leave when the server stops.
const LEAVE: Duration = Duration::from_secs(2);

/// Who calls.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The name of the key, when keys are in use.
    pub key: Option<Arc<str>>,
    /// Whether this caller may stop the server and see other keys' workers.
    pub admin: bool,
    /// Its address, when it came over the network.
    pub peer: Option<IpAddr>,
}

impl Caller {
    /// Whose workers these are.
    pub fn owner(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// The running server without its fronts.
pub struct Sandbox {
    /// The configuration it runs on.
    pub config: Config,
    /// Backends and tools.
    pub catalog: Catalog,
    /// All sessions.
    pub sessions: Arc<Sessions>,
    /// All who watch.
    pub observers: Arc<Observers>,
    /// Asks the command to stop the server.
    pub stop_asked: CancellationToken,
    /// Calls off everything that runs.
    pub called_off: CancellationToken,
    state: AtomicU8,
    /// One per few threads: all calls go through here.
    calls: Sharded<Arc<Apart<Gate>>>,
    tasks: TaskTracker,
}

/// What a sandbox is made of.
pub struct Parts {
    /// See [`Sandbox::config`].
    pub config: Config,
    /// See [`Sandbox::catalog`].
    pub catalog: Catalog,
    /// See [`Sandbox::sessions`].
    pub sessions: Arc<Sessions>,
    /// See [`Sandbox::observers`].
    pub observers: Arc<Observers>,
    /// See [`Sandbox::called_off`].
    pub called_off: CancellationToken,
    /// Counts what runs in the background.
    pub tasks: TaskTracker,
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

impl Sandbox {
    /// A server that is starting.
    pub fn new(parts: Parts) -> Self {
        Self {
            config: parts.config,
            catalog: parts.catalog,
            sessions: parts.sessions,
            observers: parts.observers,
            stop_asked: CancellationToken::new(),
            called_off: parts.called_off,
            state: AtomicU8::new(STARTING),
            calls: Sharded::default(),
            tasks: parts.tasks,
        }
    }

    /// What `/ready` says.
    pub fn readiness(&self) -> Readiness {
        match self.state.load(Ordering::Acquire) {
            STARTING => Readiness::Starting,
            READY => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }

    /// Opens the server for calls, unless it is being stopped already; whether it did.
    pub fn open(&self) -> bool {
        self.state
            .compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Lets a call, or anything that makes or ends sessions, in.
    ///
    /// # Errors
    ///
    /// Code 5002 while the server is draining. While it is starting, a call waits for its own backend alone.
    pub fn admit(&self) -> Result<Pass, Failure> {
        Pass::enter(self.calls.mine().1).ok_or_else(stopping)
    }

    /// Lets in a part of `whole`, which was let in before: a server that drains lets it end.
    ///
    /// # Errors
    ///
    /// Code 5002 once everything that runs is called off.
    pub fn admit_part(&self, whole: &Pass) -> Result<Pass, Failure> {
        if self.called_off.is_cancelled() {
            return Err(stopping());
        }
        Ok(whole.clone())
    }

    /// Warms up the backends that the configuration names; failures are logged and tried again later.
    pub async fn warm_up(&self) {
        let backends = self
            .config
            .warmup
            .iter()
            .filter_map(|name| self.catalog.backend(name).ok());
        join_all(backends.map(Backend::warm_up)).await;
    }

    /// How many calls, and requests that make or end sessions, are under way.
    pub fn under_way(&self) -> usize {
        self.calls.iter().map(|gate| gate.inside()).sum()
    }

    /// From now on nothing new is let in.
    pub fn drain(&self) {
        self.state.store(DRAINING, Ordering::Release);
        for gate in self.calls.iter() {
            gate.close();
        }
    }

    /// Lets running calls end within `grace`, ends every session and shuts every backend down.
    ///
    /// Returns how many sessions were ended.
    pub async fn stop(&self, grace: Duration) -> usize {
        self.drain();
        let emptied = || join_all(self.calls.iter().map(|gate| gate.emptied()));
        if timeout(grace, emptied()).await.is_err() {
            tracing::warn!(calls = self.under_way(), "calling off what still runs");
        }
        self.called_off.cancel();
        let _ = timeout(LEAVE, emptied()).await;
        let ended = self.sessions.close_all(Duration::ZERO).await;
        // Temporary sessions end in tasks of their own.
        self.tasks.close();
        let limits = &self.config.server.limits;
        let _ = timeout(limits.cleanup_timeout + LEAVE, self.tasks.wait()).await;
        join_all(self.catalog.backends().map(|backend| backend.shut_down())).await;
        ended
    }
}

fn stopping() -> Failure {
    let failure = Failure::new(ErrorKind::ServiceUnavailable, "the server is stopping");
    failure.retry_after(Duration::from_secs(1))
}
