//! One QEMU process: its folder, its monitor, its end.
//!
//! The monitor and the guest agent are sockets that the process inherits as its standard input and output: no socket
//! file that somebody else could find, nothing to wait for until it listens, and their end is the process's. A task owns
//! the process and its folder; when the [`Process`] is dropped it kills the one and removes the other. After a
//! `kill -9` of the server its reaper does both, by the variable in the environment.

use std::{
    ffi::OsString,
    fs::File,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    End, Error, Result,
    installation::{Installation, environment, runtime_folder},
    qmp::{Qmp, QmpError},
};

/// What QEMU may take for a command. The main loop stands still while a snapshot is written, hence the length.
const LIMIT: Duration = Duration::from_mins(1);

/// What a process that closed its monitor may take to end.
const END: Duration = Duration::from_secs(10);

/// How much of what QEMU wrote goes to the log.
const TAIL: usize = 2000;

/// A running QEMU. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    monitor: Qmp,
    agent: Qmp,
    folder: PathBuf,
    id: Option<u32>,
    life: watch::Receiver<Life>,
    stop: CancellationToken,
}

#[derive(Debug, Clone, Copy)]
enum Life {
    Running,
    Ended(End),
}

/// A folder for a machine, removed with it.
pub(crate) fn folder() -> Result<TempDir> {
    // Closed to other users: tempfile makes it so.
    tempfile::Builder::new()
        .prefix("qemu-")
        .tempdir_in(runtime_folder())
        .map_err(Error::system("make a folder for a virtual machine"))
}

impl Process {
    /// Starts QEMU in `folder` and greets its monitor.
    pub(crate) async fn start(
        installation: &Installation,
        folder: TempDir,
        arguments: Vec<OsString>,
    ) -> Result<Self> {
        let refused = Error::system("start QEMU");
        let (monitor, monitor_end) = StdStream::pair().map_err(&refused)?;
        let (agent, agent_end) = StdStream::pair().map_err(&refused)?;
        let path = folder.path().to_owned();
        let errors = File::create(errors_of(&path)).map_err(&refused)?;
        let child = Command::new(&installation.system)
            .args(arguments)
            .env_clear()
            .envs(environment(&path))
            .current_dir(&path)
            .process_group(0)
            .stdin(OwnedFd::from(monitor_end))
            .stdout(OwnedFd::from(agent_end))
            .stderr(Stdio::from(errors))
            .kill_on_drop(true)
            .spawn()
            .map_err(&refused)?;
        let id = child.id();
        let stop = CancellationToken::new();
        let (sender, life) = watch::channel(Life::Running);
        tokio::spawn(supervise(child, folder, stop.clone(), sender));
        let process = Self {
            monitor: Qmp::over(connected(monitor).map_err(&refused)?),
            agent: Qmp::over(connected(agent).map_err(&refused)?),
            folder: path,
            id,
            life,
            stop,
        };
        process.tell("qmp_capabilities", json!({})).await?;
        Ok(process)
    }

    /// Gives the monitor a command and reads the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        command: &'static str,
        arguments: Value,
    ) -> Result<T> {
        match self.monitor.ask(command, arguments, LIMIT).await {
            Ok(answer) => Ok(answer),
            Err(QmpError::Gone) => Err(self.dead().await),
            Err(QmpError::Timeout(command)) => Err(Error::Timeout(format!(
                "the virtual machine did not answer to `{command}`"
            ))),
            Err(refusal @ QmpError::Refused { .. }) => {
                // What QEMU says may hold paths.
                tracing::warn!(%refusal, "QEMU refused a command");
                Err(Error::Refused(format!(
                    "the virtual machine refused `{command}`"
                )))
            }
        }
    }

    /// Gives the monitor a command whose answer says nothing.
    pub(crate) async fn tell(&self, command: &'static str, arguments: Value) -> Result<()> {
        self.ask::<Value>(command, arguments).await.map(drop)
    }

    /// Gives the monitor a line in the language for people, for what the other has no words for.
    pub(crate) async fn tell_line(&self, line: &str) -> Result<String> {
        self.ask("human-monitor-command", json!({ "command-line": line }))
            .await
    }

    /// What happens to the machine from now on.
    pub(crate) fn events(&self) -> tokio::sync::broadcast::Receiver<crate::qmp::Event> {
        self.monitor.events()
    }

    /// The connection to the guest agent, which answers if the guest has one.
    pub(crate) const fn agent(&self) -> &Qmp {
        &self.agent
    }

    /// The process id.
    pub(crate) const fn id(&self) -> Option<u32> {
        self.id
    }

    /// The folder of this machine.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Why it ended, once it has.
    async fn dead(&self) -> Error {
        let mut life = self.life.clone();
        let ended = timeout(END, life.wait_for(|life| matches!(life, Life::Ended(_)))).await;
        match ended.map(|life| life.map(|life| *life)) {
            Ok(Ok(Life::Ended(end))) => Error::Dead(end),
            _ => Error::Dead(End::Unknown),
        }
    }

    /// Waits until the process has ended by itself and its folder is gone.
    pub(crate) async fn ended(&self) {
        let mut life = self.life.clone();
        // An error means that the task that owns the process is gone, and the process with it.
        let _ = life.wait_for(|life| matches!(life, Life::Ended(_))).await;
    }

    /// Kills the process and returns when nothing of it is left.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.ended().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn connected(stream: StdStream) -> std::io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

async fn supervise(
    mut child: Child,
    folder: TempDir,
    stop: CancellationToken,
    life: watch::Sender<Life>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        () = stop.cancelled() => {
            // It may have ended in the same moment; then there is nothing to kill.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let end = status.map_or(End::Unknown, end_of);
    if !stop.is_cancelled() {
        let said = tail(&errors_of(folder.path())).await;
        tracing::info!(%end, said, "QEMU ended by itself");
    }
    drop(folder);
    // Nobody may be left to learn of it.
    let _ = life.send(Life::Ended(end));
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(0), _) => End::SwitchedOff,
        (Some(code), _) => End::Failed(code),
        (None, Some(signal)) => End::Killed(signal),
        (None, None) => End::Unknown,
    }
}

fn errors_of(folder: &Path) -> PathBuf {
    folder.join("errors.log")
}

async fn tail(file: &Path) -> String {
    let text = tokio::fs::read(file).await.unwrap_or_default();
    let start = text.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&text[start..]).trim().to_owned()
}
