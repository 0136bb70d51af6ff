//! The backend and its tools: reads parameters, bounds them by the configuration, and asks the session's shell.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sandbox_isolation::{Machine, Signal};
use sandbox_plugin_api::prelude::*;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::answer::{Directory, Ran, Read, Started, Status, Written, failure};
use crate::config::{Config, SessionConfig};
use crate::shell::{Command, Shell};

/// The part of a call's time that is kept for stopping the command and handing over what it printed.
const HANDOVER: f64 = 0.1;
/// Stopping a stubborn command takes a second and more; waiting longer than this helps nobody.
const LONGEST_HANDOVER: Duration = Duration::from_millis(2_500);
/// The time for what should be done at once: writing to a command, or finding the shell idle.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A shell per session.
#[derive(Debug)]
pub struct Bash {
    config: Config,
    /// What the machine can give; known after the warm-up.
    machine: Mutex<Option<Arc<Machine>>>,
}

#[backend(
    name = "bash",
    description = "Run shell commands in a session whose directory, environment and files last from call to call."
)]
impl Bash {
    fn new(config: Config) -> Result<Self> {
        config.check().map_err(Error::config)?;
        Ok(Self {
            config,
            machine: Mutex::default(),
        })
    }

    async fn warmup(&self) -> Result<()> {
        let machine = Machine::probe(&self.config.policy())
            .await
            .map_err(|missing| Error::unavailable(missing.to_string()))?;
        *self.machine.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(machine));
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        // The folder of this server on disk goes with the last session.
        self.machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Ok(())
    }

    async fn initialize(&self, config: SessionConfig) -> Result<Shell> {
        let machine = self
            .machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let machine =
            machine.ok_or_else(|| Error::unavailable("the bash backend is not warmed up"))?;
        Shell::start(machine, &self.config, config)
            .await
            .map_err(failure)
    }

    async fn cleanup(&self, shell: &Shell) -> Result<()> {
        shell.close().await.map_err(failure)
    }

    /// Run a shell command and wait until it ends. Working directory, variables, functions and shell options last until
    /// the next call. Commands run one after another. A command that needs no end (a server) or that asks questions
    /// belongs to bash:start. A caller that listens hears what is printed while the command runs.
    #[tool(
        destructive,
        title = "Run a command",
        example = r#"{"command": "echo hi"}"#
    )]
    async fn run(
        &self,
        shell: &Shell,
        ctx: &CallContext,
        /// The command: anything that bash understands, of one or many lines.
        command: String,
        /// Seconds after which the command is stopped, with everything it started; the answer is then an error that
        /// holds what was printed so far.
        timeout: Option<f64>,
        /// What the command reads from standard input; nothing when left out.
        stdin: Option<String>,
    ) -> Result<Ran> {
        let time = self.seconds("/timeout", timeout, self.config.default_timeout)?;
        let (listener, printed) = mpsc::unbounded_channel();
        let command = Command {
            lines: command,
            stdin,
            limit: self.config.max_output_bytes,
            time,
            listener: ctx.is_heard().then_some(listener),
        };
        let running = shell.run(command, deadline(ctx));
        let output = telling(ctx, printed, running).await;
        output.map(Ran::from).map_err(failure)
    }

    /// Tell the shell's working directory.
    #[tool(read_only, title = "Show the working directory", example = "{}")]
    async fn pwd(&self, shell: &Shell, ctx: &CallContext) -> Result<Directory> {
        let cwd = shell.pwd(deadline(ctx)).await.map_err(failure)?;
        Ok(Directory { cwd })
    }

    /// Start a long command (a server, a watcher, a program that asks questions) in the shell's directory and environment
    /// and return a handle at once. Read what it prints with bash:read, answer it with bash:write, end it with bash:stop.
    #[tool(
        destructive,
        title = "Start a long command",
        example = r#"{"command": "cat"}"#
    )]
    async fn start(
        &self,
        shell: &Shell,
        ctx: &CallContext,
        /// The command.
        command: String,
        /// Give it a terminal, as programs that draw, colour or ask for passwords want.
        #[serde(default)]
        pty: bool,
    ) -> Result<Started> {
        let job = shell
            .start_job(command, pty, deadline(ctx))
            .await
            .map_err(failure)?;
        Ok(Started {
            handle: job.name().to_owned(),
        })
    }

    /// Read what a long command has printed, standard output and standard error together.
    #[tool(
        title = "Read a long command",
        example = r#"{"handle": "job-1", "wait": 0.1}"#
    )]
    async fn read(
        &self,
        shell: &Shell,
        ctx: &CallContext,
        /// The handle from bash:start.
        handle: String,
        /// The number of the first byte wanted, counted from the command's start; left out: where the last read ended.
        offset: Option<u64>,
        /// Seconds to wait for something new when there is nothing yet.
        wait: Option<f64>,
    ) -> Result<Read> {
        let wait = match wait {
            None | Some(0.0) => Duration::ZERO,
            Some(_) => self.seconds("/wait", wait, 0.0)?,
        };
        let job = shell.job(&handle).map_err(failure)?;
        let progress = job
            .read(offset, self.config.max_output_bytes, earlier(ctx, wait))
            .await;
        Ok(Read::new(handle, progress))
    }

    /// Write to the input of a long command. One that has ended takes none.
    #[tool(
        destructive,
        title = "Write to a long command",
        example = r#"{"handle": "job-1", "input": "hello\n"}"#
    )]
    async fn write(
        &self,
        shell: &Shell,
        ctx: &CallContext,
        /// The handle from bash:start.
        handle: String,
        /// The text, with the line ends that the command waits for.
        input: String,
        /// End the input afterwards, as Ctrl-D does.
        #[serde(default)]
        eof: bool,
    ) -> Result<Written> {
        let job = shell.job(&handle).map_err(failure)?;
        let written = job
            .write(&input, eof, earlier(ctx, AT_ONCE))
            .await
            .map_err(failure)?;
        Ok(Written { handle, written })
    }

    /// Send a signal to a long command. TERM, INT, HUP, QUIT and KILL end it: what is left of it after two seconds is
    /// killed. Any other is only sent, and needs a command that has not ended.
    #[tool(
        destructive,
        idempotent,
        title = "Stop a long command",
        example = r#"{"handle": "job-1"}"#
    )]
    async fn stop(
        &self,
        shell: &Shell,
        /// The handle from bash:start.
        handle: String,
        /// The signal's name: TERM unless given.
        signal: Option<String>,
    ) -> Result<Status> {
        let signal = signal_named(signal.as_deref().unwrap_or("TERM"))?;
        let job = shell.job(&handle).map_err(failure)?;
        let state = job.stop(signal).await.map_err(failure)?;
        Ok(Status::new(handle, state))
    }

    /// A number of seconds that a caller asked for.
    fn seconds(&self, pointer: &str, asked: Option<f64>, default: f64) -> Result<Duration> {
        let seconds = asked.unwrap_or(default);
        let most = self.config.max_timeout;
        if !(seconds > 0.0 && seconds <= most) {
            return Err(Error::param(
                pointer,
                format!("expected more than 0 and at most {most} seconds, found {seconds}"),
            ));
        }
        Ok(Duration::from_secs_f64(seconds))
    }
}

/// Waits for a command and hands the caller what it prints meanwhile.
async fn telling<T>(
    ctx: &CallContext,
    mut printed: UnboundedReceiver<String>,
    running: impl Future<Output = T>,
) -> T {
    let mut running = pin!(running);
    loop {
        tokio::select! {
            // What was printed before the end comes before it.
            biased;
            Some(text) = printed.recv() => ctx.output(&text),
            ended = &mut running => return ended,
        }
    }
}

/// When a call has to be done, so that its answer still reaches the caller before the host gives up.
fn deadline(ctx: &CallContext) -> Option<Instant> {
    let left = ctx.time_left()?;
    Some(Instant::now() + left.saturating_sub(left.mul_f64(HANDOVER).min(LONGEST_HANDOVER)))
}

/// The end of `wait`, or of the call if that is earlier.
fn earlier(ctx: &CallContext, wait: Duration) -> Instant {
    let end = Instant::now() + wait;
    deadline(ctx).map_or(end, |deadline| deadline.min(end))
}

fn signal_named(name: &str) -> Result<Signal> {
    let upper = name.to_ascii_uppercase();
    let known = [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("KILL", Signal::KILL),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("STOP", Signal::STOP),
        ("CONT", Signal::CONT),
    ];
    let wanted = upper.strip_prefix("SIG").unwrap_or(&upper);
    known
        .iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, signal)| *signal)
        .ok_or_else(|| {
            let names = known.map(|(name, _)| name).join(", ");
            Error::param(
                "/signal",
                format!("expected one of {names}, found {name:?}"),
            )
        })
}
