//! The task that owns a session's shell: takes one request after another, and starts the shell anew when it has ended.
//!
//! Between requests it reads and drops what background commands print, so that they never wait for a reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox_isolation::{Machine, Policy, Tree};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::console::{Answer, Console, Outputs};
use super::interrupt::{Aftermath, Running, interrupt, now};
use super::job::{Job, Prepared};
use super::printed::Listener;
use super::{Error, Output, script};
use crate::config::{Config, Start};

/// The exit code of a shell that a signal ended is this and the signal's number.
const SIGNALLED: i32 = 128;
/// The largest number of a signal.
const LAST_SIGNAL: i32 = 64;
/// A shell that is asked where it is, or to start something, answers at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What a session's shell is asked.
#[derive(Debug)]
pub(super) enum Request {
    Run(Run),
    /// Where are you?
    Pwd(oneshot::Sender<Result<String, Error>>),
    /// Start a long command.
    Start {
        name: String,
        command: String,
        pty: bool,
        answer: oneshot::Sender<Result<Job, Error>>,
    },
    /// End, and say when nothing is left.
    Close(oneshot::Sender<std::io::Result<()>>),
}

/// A command to run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) command: String,
    pub(super) stdin: Option<String>,
    pub(super) limit: usize,
    /// When its turn came.
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) listener: Option<Listener>,
    /// Dropped by a caller that has gone: the command is stopped then.
    pub(super) answer: oneshot::Sender<Result<Output, Error>>,
}

pub(super) struct Session {
    machine: Arc<Machine>,
    policy: Policy,
    start: Start,
    /// Empty after the sandbox ended; the next request starts another.
    console: Option<Console>,
    /// The directory that the shell was in at its last answer.
    cwd: String,
    /// `$?` for the next command.
    status: i32,
    out_of_memory_kills: u64,
    /// The processes that earlier requests left behind.
    left_behind: Vec<i32>,
    /// What happened to the shell between two requests, for the next caller to know.
    obituary: Option<Error>,
    job_buffer: usize,
}

impl Session {
    /// Starts the shell.
    pub(super) async fn begin(
        machine: Arc<Machine>,
        config: &Config,
        start: Start,
    ) -> Result<Self, Error> {
        let policy = config.policy();
        let (console, cwd) = Console::start(&machine, &policy, &start).await?;
        Ok(Self {
            machine,
            policy,
            start,
            console: Some(console),
            cwd,
            status: 0,
            out_of_memory_kills: 0,
            left_behind: Vec::new(),
            obituary: None,
            job_buffer: config.job_buffer_bytes,
        })
    }

    /// Serves requests until told to close, or until nobody can send any.
    pub(super) async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = self.next(&mut requests).await {
            match request {
                Request::Run(run) => self.run(run).await,
                Request::Pwd(answer) => drop(answer.send(self.pwd().await)),
                Request::Start {
                    name,
                    command,
                    pty,
                    answer,
                } => {
                    // A job whose caller is gone is dropped here, and its processes with it.
                    drop(answer.send(self.start_job(name, &command, pty).await));
                }
                Request::Close(answer) => {
                    let ended = match self.console.take() {
                        Some(console) => console.sandbox.kill().await,
                        None => Ok(()),
                    };
                    drop(answer.send(ended));
                    return;
                }
            }
            // Looked up now, while the caller reads the answer, rather than when the next one waits.
            let tree = self.console.as_ref().map(Console::tree);
            self.left_behind = tree.map(Tree::offspring).unwrap_or_default();
        }
    }

    /// Waits for a request while dropping what background commands print.
    async fn next(&mut self, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let mut outputs = Outputs::new(0);
        loop {
            let Some(console) = &mut self.console else {
                return requests.recv().await;
            };
            tokio::select! {
                biased;
                request = requests.recv() => return request,
                answer = console.hear(&mut outputs) => match answer {
                    // A late answer to a question that was given up.
                    Answer::Mark { .. } => {}
                    Answer::Exit(_) => self.mourn().await,
                    Answer::Gone => self.obituary = Some(self.lost(None)),
                },
            }
        }
    }

    /// Remembers that the shell ended while it had nothing to do, and prepares the one in its place.
    async fn mourn(&mut self) {
        let mut output = Output::default();
        drop(self.recover(Aftermath::Ended, &mut output).await);
        let what = "the shell was ended between two calls, perhaps by a background command".into();
        self.obituary = Some(Error::Died {
            what,
            files_lost: self.console.is_none(),
            output: None,
        });
    }

    async fn run(&mut self, mut run: Run) {
        if run.answer.is_closed() {
            return;
        }
        let running = match self.start_run(&run).await {
            Ok(running) => running,
            Err(error) => return drop(run.answer.send(Err(error))),
        };
        let Some(console) = &mut self.console else {
            return drop(run.answer.send(Err(Error::closed())));
        };
        let mut outputs = Outputs::told_to(run.listener.take(), run.limit);
        let ended = tokio::select! {
            ended = hear_end(console, &mut outputs, &running.nonce, run.deadline) => ended,
            () = run.answer.closed() => Ended::Cancelled,
        };
        let result = self.conclude(ended, outputs, run.started, &running).await;
        drop(run.answer.send(result));
    }

    /// Hands the command to the shell.
    async fn start_run(&mut self, run: &Run) -> Result<Running, Error> {
        let status = self.status;
        let spared = std::mem::take(&mut self.left_behind);
        let console = self.living().await?;
        let folder = console.folder();
        std::fs::write(folder.join("command"), &run.command)?;
        if let Some(stdin) = &run.stdin {
            // A new file: a background command may still be reading the one before.
            let path = folder.join("stdin");
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error.into());
            }
            std::fs::write(path, stdin)?;
        }
        let nonce = super::console::nonce();
        let lines = script::run(console.folder_inside(), run.stdin.is_some(), status, &nonce);
        let since = now();
        if console.send(&lines).await.is_err() {
            return Err(self.lost(None));
        }
        Ok(Running {
            since,
            spared,
            nonce,
        })
    }

    async fn conclude(
        &mut self,
        ended: Ended,
        mut outputs: Outputs,
        started: Instant,
        running: &Running,
    ) -> Result<Output, Error> {
        let Some(console) = &mut self.console else {
            return Err(Error::closed());
        };
        let answer = match ended {
            Ended::Answered(answer) => Some(answer),
            Ended::TimedOut | Ended::Cancelled => None,
        };
        let after = started.elapsed();
        let aftermath = match &answer {
            Some(Answer::Mark { cwd, .. }) => Aftermath::Kept { cwd: cwd.clone() },
            Some(Answer::Exit(_)) => Aftermath::Ended,
            Some(Answer::Gone) => Aftermath::Gone,
            None => interrupt(console, &mut outputs, running).await,
        };
        console.drain(&mut outputs).await;
        let mut output = Output::new(&outputs, after);
        let restarted = self.recover(aftermath, &mut output).await;
        output.cwd.clone_from(&self.cwd);
        let gone = self.console.is_none();
        match answer {
            Some(Answer::Mark { status, .. }) => {
                self.status = status;
                output.exit_code = Some(status);
                output.note = self.memory_note(status);
                Ok(output)
            }
            Some(Answer::Exit(code))
                if (SIGNALLED + 1..=SIGNALLED + LAST_SIGNAL).contains(&code) =>
            {
                let what = format!("the shell was killed by signal {}", code - SIGNALLED);
                Err(Error::Died {
                    what,
                    files_lost: gone,
                    output: Some(Box::new(output)),
                })
            }
            Some(Answer::Exit(code)) => {
                restarted?;
                output.exit_code = Some(code);
                output.note = Some(
                    "the command ended the shell; a new one runs in its place: working directory, variables, functions \
                     and options are as at the start, files and background commands are as they were"
                        .into(),
                );
                Ok(output)
            }
            Some(Answer::Gone) => Err(self.lost(Some(Box::new(output)))),
            None => {
                self.status = SIGNALLED + 2;
                Err(Error::TimedOut {
                    after: after.as_secs_f64(),
                    output: Box::new(output),
                })
            }
        }
    }

    /// Gets the shell ready for the next command, as far as that is possible.
    async fn recover(&mut self, aftermath: Aftermath, output: &mut Output) -> Result<(), Error> {
        match aftermath {
            Aftermath::Kept { cwd } => {
                self.cwd = cwd;
                Ok(())
            }
            Aftermath::Gone => {
                self.console = None;
                self.cwd.clone_from(&self.start.cwd);
                Ok(())
            }
            Aftermath::Ended => {
                output.shell_restarted = true;
                self.status = 0;
                let Some(console) = &mut self.console else {
                    return Ok(());
                };
                match console.prepare_shell(&self.start.shell).await {
                    Ok(ready) => self.cwd = ready.cwd,
                    Err(error) => {
                        self.console = None;
                        return Err(error);
                    }
                }
                Ok(())
            }
        }
    }

    async fn pwd(&mut self) -> Result<String, Error> {
        let console = self.living().await?;
        let nonce = console.ask().await;
        self.wait_for_mark(nonce.ok()).await
    }

    async fn start_job(&mut self, name: String, command: &str, pty: bool) -> Result<Job, Error> {
        let capacity = self.job_buffer;
        let console = self.living().await?;
        let prepared = Prepared::new(console, name, command, pty)?;
        let nonce = super::console::nonce();
        let lines = script::start(
            console.folder_inside(),
            prepared.name(),
            prepared.terminal(),
            &nonce,
        );
        let sent = console.send(&lines).await;
        let job = prepared.follow(capacity);
        self.wait_for_mark(sent.ok().map(|()| nonce)).await?;
        timeout_at((Instant::now() + ANSWER_LIMIT).into(), job.started())
            .await
            .map_err(|_| self.lost(None))?;
        Ok(job)
    }

    async fn wait_for_mark(&mut self, nonce: Option<String>) -> Result<String, Error> {
        let (Some(nonce), Some(console)) = (nonce, &mut self.console) else {
            return Err(self.lost(None));
        };
        let mut outputs = Outputs::new(0);
        match hear_end(console, &mut outputs, &nonce, Instant::now() + ANSWER_LIMIT).await {
            Ended::Answered(Answer::Mark { cwd, .. }) => {
                self.cwd.clone_from(&cwd);
                Ok(cwd)
            }
            // A shell that does not answer when it has nothing to do is of no use any more.
            _ => Err(self.lost(None)),
        }
    }

    /// The console; after the sandbox ended, a new one.
    async fn living(&mut self) -> Result<&mut Console, Error> {
        if let Some(obituary) = self.obituary.take() {
            return Err(obituary);
        }
        if self.console.is_none() {
            let (console, cwd) = Console::start(&self.machine, &self.policy, &self.start).await?;
            (self.status, self.cwd, self.out_of_memory_kills) = (0, cwd, 0);
            return Ok(self.console.insert(console));
        }
        self.console.as_mut().ok_or_else(Error::closed)
    }

    fn lost(&mut self, output: Option<Box<Output>>) -> Error {
        self.console = None;
        Error::Died {
            what: "the session's shell and its sandbox ended".into(),
            files_lost: true,
            output,
        }
    }

    /// Why a command may have been killed, when the kernel says so.
    fn memory_note(&mut self, status: i32) -> Option<String> {
        const KILLED: i32 = SIGNALLED + 9;
        if status != KILLED {
            return None;
        }
        let kills = self.console.as_ref()?.sandbox.usage().out_of_memory_kills?;
        let before = std::mem::replace(&mut self.out_of_memory_kills, kills);
        (kills > before).then(|| {
            format!(
                "the session's memory ({}) was used up",
                self.policy.limits.memory
            )
        })
    }
}

enum Ended {
    Answered(Answer),
    TimedOut,
    Cancelled,
}

/// Waits until the shell has come to the mark, has ended, or the time is over.
async fn hear_end(
    console: &mut Console,
    outputs: &mut Outputs,
    nonce: &str,
    deadline: Instant,
) -> Ended {
    let heard = timeout_at(deadline.into(), async {
        loop {
            match console.hear(outputs).await {
                Answer::Mark { nonce: heard, .. } if heard != nonce => {}
                answer => return answer,
            }
        }
    });
    heard.await.map_or(Ended::TimedOut, Ended::Answered)
}
