//! A session's shell, as its tools use it: one command at a time, in the order of the calls, and long commands beside.
//!
//! Reading order: `session` (the task that owns the shell), `console` (the running shell), `script` (what it is told),
//! `interrupt` (how a command is stopped and the shell kept), `printed` (what a command prints), `job` (long commands).

mod console;
mod error;
mod interrupt;
mod job;
mod printed;
mod script;
mod session;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sandbox_isolation::Machine;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

pub(crate) use error::Error;
pub(crate) use job::{Job, Progress, State};
pub(crate) use printed::Listener;

use crate::config::{Config, SessionConfig, Start};
use sandbox_isolation::Text;
use session::{Request, Run, Session};

/// What a command did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Output {
    /// Its standard output.
    pub(crate) stdout: Text,
    /// Its standard error.
    pub(crate) stderr: Text,
    /// Its exit code, if it ended by itself.
    pub(crate) exit_code: Option<i32>,
    /// The directory that the shell is in now.
    pub(crate) cwd: String,
    /// How long it ran.
    pub(crate) duration: Duration,
    /// Whether the shell is another one now.
    pub(crate) shell_restarted: bool,
    /// What else the caller should know.
    pub(crate) note: Option<String>,
}

/// A command to run.
#[derive(Debug)]
pub(crate) struct Command {
    /// What bash reads.
    pub(crate) lines: String,
    /// What the command reads.
    pub(crate) stdin: Option<String>,
    /// How many bytes of each output are kept.
    pub(crate) limit: usize,
    /// How long it may run.
    pub(crate) time: Duration,
    /// Who hears what it prints, both outputs as they come.
    pub(crate) listener: Option<Listener>,
}

impl Output {
    fn new(outputs: &console::Outputs, duration: Duration) -> Self {
        Self {
            stdout: outputs.stdout.text(),
            stderr: outputs.stderr.text(),
            duration,
            ..Self::default()
        }
    }
}

/// A session's shell. Dropping it ends everything that was started in it.
#[derive(Debug)]
pub struct Shell {
    requests: mpsc::Sender<Request>,
    /// Held by the call whose turn it is; those that wait get it in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    jobs: Mutex<BTreeMap<u64, Arc<Job>>>,
    next_job: AtomicU64,
    max_jobs: usize,
}

impl Shell {
    /// Starts the shell of a session; returns when it is ready.
    ///
    /// # Errors
    /// What of the session's configuration cannot be used, or why the shell does not start.
    pub(crate) async fn start(
        machine: Arc<Machine>,
        config: &Config,
        session: SessionConfig,
    ) -> Result<Self, Error> {
        let start = Start::new(config, session, machine.has_namespaces())?;
        let session = Session::begin(machine, config, start).await?;
        // One request at a time, and one more from a caller that closes.
        let (requests, receiver) = mpsc::channel(2);
        tokio::spawn(session.serve(receiver));
        Ok(Self {
            requests,
            turn: tokio::sync::Mutex::default(),
            jobs: Mutex::default(),
            next_job: AtomicU64::new(1),
            max_jobs: config.max_jobs,
        })
    }

    /// Runs a command for at most `time`, and not beyond `deadline`. Dropping the future stops the command.
    ///
    /// # Errors
    /// When it takes too long, and when the shell does not survive it against its will.
    pub(crate) async fn run(
        &self,
        Command {
            lines: command,
            stdin,
            limit,
            time,
            listener,
        }: Command,
        deadline: Option<Instant>,
    ) -> Result<Output, Error> {
        if command.contains('\0') {
            let message = "a command cannot hold a zero byte".into();
            return Err(Error::Param {
                pointer: "/command".into(),
                message,
            });
        }
        let _turn = self.turn(deadline).await?;
        // One beginning for the time that it has and the time that it took, or it would seem to be stopped too early.
        let started = Instant::now();
        let end = started + time;
        let deadline = deadline.map_or(end, |deadline| deadline.min(end));
        self.ask(|answer| {
            Request::Run(Run {
                command,
                stdin,
                limit,
                started,
                deadline,
                listener,
                answer,
            })
        })
        .await?
    }

    /// The directory that the shell is in.
    ///
    /// # Errors
    /// When the shell is gone.
    pub(crate) async fn pwd(&self, deadline: Option<Instant>) -> Result<String, Error> {
        let _turn = self.turn(deadline).await?;
        self.ask(Request::Pwd).await?
    }

    /// Starts a long command in the shell's directory and environment.
    ///
    /// # Errors
    /// When there are too many, and when the shell is gone.
    pub(crate) async fn start_job(
        &self,
        command: String,
        pty: bool,
        deadline: Option<Instant>,
    ) -> Result<Arc<Job>, Error> {
        if command.contains('\0') {
            let message = "a command cannot hold a zero byte".into();
            return Err(Error::Param {
                pointer: "/command".into(),
                message,
            });
        }
        let _turn = self.turn(deadline).await?;
        self.make_room()?;
        let number = self.next_job.fetch_add(1, Ordering::Relaxed);
        let name = format!("job-{number}");
        let job = self
            .ask(|answer| Request::Start {
                name,
                command,
                pty,
                answer,
            })
            .await??;
        let job = Arc::new(job);
        self.jobs().insert(number, Arc::clone(&job));
        Ok(job)
    }

    /// The long command with this handle.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn job(&self, handle: &str) -> Result<Arc<Job>, Error> {
        let jobs = self.jobs();
        jobs.values()
            .find(|job| job.name() == handle)
            .cloned()
            .ok_or_else(|| {
                let known: Vec<&str> = jobs.values().map(|job| job.name()).collect();
                let message = if known.is_empty() {
                    "this session has no long command; bash:start gives a handle".into()
                } else {
                    format!("there is no {handle:?}; there are {}", known.join(", "))
                };
                Error::Param {
                    pointer: "/handle".into(),
                    message,
                }
            })
    }

    /// Ends the shell and everything that was started in it; returns when nothing is left.
    ///
    /// # Errors
    /// When a process does not go.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.jobs().clear();
        self.ask(Request::Close).await?.map_err(Error::from)
    }

    async fn turn(
        &self,
        deadline: Option<Instant>,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        match deadline {
            Some(deadline) => timeout_at(deadline.into(), self.turn.lock())
                .await
                .map_err(|_| Error::Busy),
            None => Ok(self.turn.lock().await),
        }
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Error> {
        let (answer, result) = oneshot::channel();
        self.requests
            .send(request(answer))
            .await
            .map_err(|_| Error::closed())?;
        result.await.map_err(|_| Error::closed())
    }

    /// Forgets the oldest ended job when there are as many as there may be.
    fn make_room(&self) -> Result<(), Error> {
        let mut jobs = self.jobs();
        if jobs.len() < self.max_jobs {
            return Ok(());
        }
        let ended = jobs
            .iter()
            .find(|(_, job)| matches!(job.state(), State::Ended(_)))
            .map(|(number, _)| *number);
        let number = ended.ok_or(Error::TooManyJobs(self.max_jobs))?;
        jobs.remove(&number);
        Ok(())
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
