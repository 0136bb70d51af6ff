//! One running Chromium: its process, its profile, the pipe to it, and who of the sessions an event belongs to.
//!
//! It lives as long as somebody holds it. When it dies, everything that waits for it ends with [`CallError::Died`], and
//! whoever wants a browser next starts another. What pages do is not known here.

mod hub;
mod launch;
mod pipe;
mod profile;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chromiumoxide_cdp::cdp::browser_protocol::{browser::GetVersionParams, target};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tempfile::TempDir;
use tokio::{
    process::Child,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{hub::Hub, launch::Process};
pub(crate) use self::{
    hub::{Context, Opened},
    pipe::{CallError, Listener, Pipe},
    profile::below,
};
use crate::{
    config::{Config, SandboxMode},
    gate::Peer,
};

/// A start takes a tenth of a second; on a machine that is busy with other things, some seconds.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A running browser.
pub(crate) struct Chromium {
    pub(crate) pipe: Pipe,
    pub(crate) hub: Arc<Hub>,
    /// The browser, as the owner of connections.
    pub(crate) peer: Arc<Peer>,
    /// How many sessions it has had.
    pub(crate) sessions: AtomicU64,
    /// How many pages there are now, in all browsers of the backend.
    pub(crate) pages: Arc<AtomicUsize>,
    pub(crate) profile: PathBuf,
    pub(crate) user: Option<u32>,
    pub(crate) life: Life,
}

/// Whether a browser runs, and a way to end it; without keeping it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    /// It must end.
    stop: CancellationToken,
    /// Nothing of it is left.
    stopped: CancellationToken,
}

impl Life {
    /// Whether nothing is left of the browser.
    pub(crate) fn is_over(&self) -> bool {
        self.stopped.is_cancelled()
    }

    /// Ends it, and waits until nothing of it is left.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

/// Why there is no browser.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// Something is not there.
    #[error("{0}")]
    Missing(String),
    /// The operating system refused.
    #[error("the browser cannot be started")]
    Io(#[from] std::io::Error),
    /// It started and ended, or never answered.
    #[error("the browser does not start{0}")]
    Silent(&'static str),
}

impl Chromium {
    /// Starts a browser, and waits until it answers.
    pub(crate) async fn launch(
        config: &Config,
        pages: &Arc<AtomicUsize>,
    ) -> Result<Arc<Self>, LaunchError> {
        let program = launch::program(config).map_err(LaunchError::Missing)?;
        let rootless = !rustix::process::geteuid().is_root() || launch::user(config).is_some();
        let sandbox = config.sandbox != SandboxMode::Off && rootless;
        if config.sandbox == SandboxMode::On && !sandbox {
            return Err(LaunchError::Missing(
                "sandbox is on, but Chromium's sandbox does not work for root: set run_as to another user".to_owned(),
            ));
        }
        match Self::start(config, &program, sandbox, pages).await {
            Err(LaunchError::Silent(_)) if sandbox && config.sandbox == SandboxMode::BestEffort => {
                tracing::warn!(
                    "Chromium does not start in its own sandbox; starting it without. The sandbox needs user \
                     namespaces (sysctl kernel.unprivileged_userns_clone=1)"
                );
                Self::start(config, &program, false, pages).await
            }
            Err(LaunchError::Silent(_)) if sandbox => Err(LaunchError::Silent(
                ": its sandbox needs user namespaces (sysctl kernel.unprivileged_userns_clone=1); `sandbox` can be \
                 set to best_effort. The server's log at level debug has what it says",
            )),
            other => other,
        }
    }

    async fn start(
        config: &Config,
        program: &Path,
        sandbox: bool,
        pages: &Arc<AtomicUsize>,
    ) -> Result<Arc<Self>, LaunchError> {
        let user = launch::user(config);
        let folder = profile::folder("browser-", user)?;
        let profile = folder.path().to_owned();
        let Process {
            child,
            input,
            output,
        } = launch::start(config, program, &profile, sandbox)?;
        let process = child.id().unwrap_or_default();
        let hub = Arc::new(Hub::default());
        let pipe = Pipe::open(output, input, Arc::clone(&hub) as Arc<dyn Listener>);
        hub.attach(&pipe);
        let life = Life::default();
        let watch = Watch {
            child,
            process,
            folder,
            pipe: pipe.clone(),
        };
        tokio::spawn(watch.until_ended(life.clone()));
        let browser = Arc::new(Self {
            pipe,
            hub,
            peer: Arc::new(Peer::new(process)),
            sessions: AtomicU64::new(0),
            pages: Arc::clone(pages),
            profile,
            user,
            life,
        });
        match timeout(START_TIMEOUT, browser.greet()).await {
            Ok(Ok(version)) => {
                tracing::info!(version, sandbox, "the browser runs");
                Ok(browser)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, sandbox, "the browser does not start");
                Err(LaunchError::Silent(
                    "; the server's log at level debug has what it says",
                ))
            }
            Err(_) => Err(LaunchError::Silent(": it does not answer")),
        }
    }

    /// Asks who it is, and to be told of every page before that begins to load.
    async fn greet(&self) -> Result<String, CallError> {
        let version = self.pipe.call("", &GetVersionParams::default()).await?;
        let pages = |exclude: bool, kind: Option<&str>| target::FilterEntry {
            exclude: Some(exclude),
            r#type: kind.map(str::to_owned),
        };
        let attach = target::SetAutoAttachParams {
            auto_attach: true,
            wait_for_debugger_on_start: true,
            flatten: Some(true),
            filter: Some(target::TargetFilter::new(vec![
                pages(false, Some("page")),
                pages(true, None),
            ])),
        };
        self.pipe.call("", &attach).await?;
        Ok(version.product)
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.pipe.gone().is_cancelled()
    }

    /// Whether a fresh one should take over.
    pub(crate) async fn is_worn(&self, config: &Config) -> bool {
        let Some(recycle) = config.recycle_after else {
            return false;
        };
        let sessions = self.sessions.load(Ordering::Relaxed);
        if recycle.contexts().is_some_and(|most| sessions >= most) {
            return true;
        }
        let Some(most) = recycle.mib() else {
            return false;
        };
        let peer = Arc::clone(&self.peer);
        let memory = tokio::task::spawn_blocking(move || peer.memory()).await;
        memory.is_ok_and(|memory| memory >= most)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.life.stop.cancel();
    }
}

/// What must go when the browser goes.
struct Watch {
    child: Child,
    process: u32,
    folder: TempDir,
    pipe: Pipe,
}

impl Watch {
    async fn until_ended(mut self, life: Life) {
        let Life { stop, stopped } = life;
        let gone = self.pipe.gone().clone();
        let ordered = tokio::select! {
            () = stop.cancelled() => true,
            () = gone.cancelled() => stop.is_cancelled(),
            _ = self.child.wait() => stop.is_cancelled(),
        };
        self.pipe.close();
        // Nothing in it is worth an orderly end. Its helpers are in its group.
        let group = i32::try_from(self.process).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = self.child.wait().await;
        // The helpers are the system's to bury; their profile is in use until they are dead.
        let mut looks = 0;
        while let Some(group) = group
            && test_kill_process_group(group).is_ok()
            && looks < 200
        {
            looks += 1;
            sleep(Duration::from_millis(5)).await;
        }
        if !ordered {
            tracing::error!(?status, "the browser died");
        }
        let folder = self.folder;
        let _ = tokio::task::spawn_blocking(move || {
            if let Err(error) = folder.close() {
                tracing::warn!(%error, "the browser's profile could not be removed");
            }
        })
        .await;
        stopped.cancel();
    }
}
