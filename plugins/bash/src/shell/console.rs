//! A running shell in its sandbox: starts it, sends it lines, hears its answers, and reads what commands print.
//!
//! What a call means, and what happens when it takes too long, is in `session` and `interrupt`.

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use sandbox_isolation::{Machine, Policy, Sandbox, Stdio3, Tree, USER, children};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::time::timeout;

use super::printed::{Listener, Printed};
use super::{Error, script};
use crate::config::Start;

/// A shell is ready in some 20 ms; on a machine under heavy load it may take seconds.
const START_LIMIT: Duration = Duration::from_secs(20);
/// The size of a pipe: one read takes all of it.
const READ_SIZE: usize = 64 * 1024;
/// An answer is short; a shell that sends more without an end has lost its way.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Where the outputs of the running command go; without one they are dropped.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) stdout: Printed,
    pub(super) stderr: Printed,
}

impl Outputs {
    pub(super) fn new(limit: usize) -> Self {
        Self::told_to(None, limit)
    }

    /// The same, told to a listener while they come.
    pub(super) fn told_to(listener: Option<Listener>, limit: usize) -> Self {
        Self {
            stdout: Printed::new(listener.clone(), limit),
            stderr: Printed::new(listener, limit),
        }
    }
}

/// What the shell says on its socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has come to the line that asked with this nonce.
    Mark {
        nonce: String,
        status: i32,
        cwd: String,
    },
    /// It ended with this code, and its supervisor is starting another.
    Exit(i32),
    /// The supervisor is gone, and so is the sandbox.
    Gone,
}

/// A shell that waits for commands.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) cwd: String,
    /// Whether it is in the directory that it was to start in.
    pub(super) where_asked: bool,
}

/// A shell in its sandbox, and the ends of its pipes.
#[derive(Debug)]
pub(super) struct Console {
    pub(super) sandbox: Sandbox,
    /// The process id of the shell as the server sees it.
    pub(super) shell_pid: i32,
    folder_inside: String,
    control: UnixStream,
    heard: Vec<u8>,
    stdout: Stream<ChildStdout>,
    stderr: Stream<ChildStderr>,
}

/// One output pipe with its buffer.
#[derive(Debug)]
struct Stream<T> {
    pipe: Option<T>,
    buffer: Box<[u8]>,
}

impl<T: AsyncRead + AsFd + Unpin> Stream<T> {
    fn new(pipe: Option<T>) -> Self {
        Self {
            pipe,
            buffer: vec![0; READ_SIZE].into_boxed_slice(),
        }
    }

    /// The next bytes. May be cancelled. After the end it never returns.
    async fn next(&mut self) -> &[u8] {
        let Some(pipe) = &mut self.pipe else {
            return std::future::pending().await;
        };
        let count = pipe.read(&mut self.buffer).await.unwrap_or(0);
        if count == 0 {
            self.pipe = None;
        }
        &self.buffer[..count]
    }

    /// Reads what is in the pipe now, and no more: a background command may be writing for ever.
    async fn drain(&mut self, printed: &mut Printed) {
        let waiting = self
            .pipe
            .as_ref()
            .and_then(|pipe| rustix::io::ioctl_fionread(pipe).ok())
            .unwrap_or(0);
        let mut left = usize::try_from(waiting).unwrap_or(usize::MAX);
        while left > 0 && self.pipe.is_some() {
            let bytes = self.next().await;
            printed.add(bytes);
            left = left.saturating_sub(bytes.len());
        }
    }
}

impl Console {
    /// Starts a sandbox with a shell in it and waits until the shell is ready. Gives the directory it is in.
    pub(super) async fn start(
        machine: &Machine,
        policy: &Policy,
        start: &Start,
    ) -> Result<(Self, String), Error> {
        let mut program = machine.prepare()?;
        let folder_inside = machine
            .folder_inside(&program)
            .to_string_lossy()
            .into_owned();
        for (name, text) in [
            ("init", script::init(start)),
            ("mark", script::MARK.into()),
            ("start", script::START.into()),
        ] {
            std::fs::write(program.folder().join(name), text)?;
        }
        let words = [
            "/bin/sh",
            "-c",
            script::SUPERVISE,
            "sandbox-shell",
            &start.shell,
        ];
        program.argv = words.map(Into::into).into();
        program.env = environment(start, machine.has_namespaces());
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let streams = Stdio3 {
            stdin: OwnedFd::from(theirs).into(),
            stdout: Stdio::piped(),
            stderr: Stdio::piped(),
        };
        let mut sandbox = machine.launch(policy, program, streams).await?;
        let mut console = Self {
            shell_pid: 0,
            folder_inside,
            control: UnixStream::from_std(ours)?,
            heard: Vec::new(),
            stdout: Stream::new(sandbox.take_stdout()),
            stderr: Stream::new(sandbox.take_stderr()),
            sandbox,
        };
        let ready = console.prepare_shell(&start.shell).await?;
        if !ready.where_asked {
            let message = "there is no such directory in the session".into();
            return Err(Error::Param {
                pointer: "/cwd".into(),
                message,
            });
        }
        Ok((console, ready.cwd))
    }

    /// Prepares a shell that has just been started.
    pub(super) async fn prepare_shell(&mut self, shell: &str) -> Result<Ready, Error> {
        let nonce = nonce();
        let lines = script::prepare(&self.folder_inside, &nonce);
        self.shell_pid = 0;
        let mut outputs = Outputs::new(READ_SIZE);
        // A shell that is gone already hears nothing; the answer below tells.
        let _ = self.send(&lines).await;
        let started = timeout(START_LIMIT, async {
            loop {
                match self.hear(&mut outputs).await {
                    Answer::Mark {
                        nonce: heard,
                        status,
                        cwd,
                    } if heard == nonce => return Ok((status, cwd)),
                    Answer::Mark { .. } => {}
                    answer @ (Answer::Exit(_) | Answer::Gone) => return Err(answer),
                }
            }
        });
        let unusable = |message: String| Error::Param {
            pointer: "/shell".into(),
            message,
        };
        match started.await {
            Ok(Ok((status, cwd))) => {
                self.shell_pid = self
                    .find_shell()
                    .ok_or_else(|| unusable("it ended at once".into()))?;
                Ok(Ready {
                    cwd,
                    where_asked: status == 0,
                })
            }
            Ok(Err(Answer::Exit(code))) => Err(unusable(format!(
                "{shell} is no bash: it ended with code {code}"
            ))),
            Ok(Err(_)) => {
                self.drain(&mut outputs).await;
                let said = outputs.stderr.text().shown;
                tracing::warn!(said, "a sandbox ended before its shell was ready");
                Err(unusable(format!("{shell} could not be started")))
            }
            Err(_) => Err(unusable(format!("{shell} is no bash: it does not answer"))),
        }
    }

    /// The folder on the machine's disk whose files the shell reads.
    pub(super) fn folder(&self) -> PathBuf {
        self.sandbox.folder().to_owned()
    }

    pub(super) fn folder_inside(&self) -> &str {
        &self.folder_inside
    }

    pub(super) fn tree(&self) -> &Tree {
        self.sandbox.tree()
    }

    pub(super) async fn send(&mut self, lines: &str) -> io::Result<()> {
        self.control.write_all(lines.as_bytes()).await
    }

    /// Asks for a mark; gives the nonce to wait for.
    pub(super) async fn ask(&mut self) -> io::Result<String> {
        let nonce = nonce();
        self.send(&script::mark(&self.folder_inside, &nonce))
            .await?;
        Ok(nonce)
    }

    /// Waits for the shell to say something, collecting what commands print meanwhile. May be cancelled.
    pub(super) async fn hear(&mut self, outputs: &mut Outputs) -> Answer {
        loop {
            if let Some(answer) = self.next_answer() {
                return answer;
            }
            if self.heard.len() > LONGEST_ANSWER {
                self.heard.clear();
            }
            tokio::select! {
                bytes = self.stdout.next() => outputs.stdout.add(bytes),
                bytes = self.stderr.next() => outputs.stderr.add(bytes),
                read = self.control.read_buf(&mut self.heard) => {
                    if matches!(read, Ok(0) | Err(_)) {
                        return Answer::Gone;
                    }
                }
            }
        }
    }

    /// Collects what the ended command has printed and nobody has read yet.
    pub(super) async fn drain(&mut self, outputs: &mut Outputs) {
        self.stdout.drain(&mut outputs.stdout).await;
        self.stderr.drain(&mut outputs.stderr).await;
    }

    fn next_answer(&mut self) -> Option<Answer> {
        loop {
            let end = self.heard.iter().position(|byte| *byte == 0)?;
            let record: Vec<u8> = self.heard.drain(..=end).collect();
            if let Some(answer) = parse(&record[..end]) {
                return Some(answer);
            }
        }
    }

    fn find_shell(&self) -> Option<i32> {
        children(self.tree().program_pid()?).first().copied()
    }
}

/// The first environment of the shell: nothing of the server's.
fn environment(start: &Start, has_namespaces: bool) -> Vec<(String, String)> {
    let machine = |name: &str| std::env::var(name).ok();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let (path, user) = if has_namespaces {
        (path.to_owned(), USER.to_owned())
    } else {
        (
            machine("PATH").unwrap_or_else(|| path.into()),
            machine("USER").unwrap_or_default(),
        )
    };
    [
        ("PATH", path),
        ("HOME", start.home.clone()),
        ("USER", user.clone()),
        ("LOGNAME", user),
        ("SHELL", "/bin/bash".into()),
        ("LANG", "C.UTF-8".into()),
        ("TERM", "dumb".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Text that no command can guess. Commands cannot reach the socket by accident; this is against those that try.
pub(super) fn nonce() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness an answer is still told from the one before, by the count of the kernel's clock.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic)
            .tv_nsec
            .to_ne_bytes();
    }
    bytes
        .iter()
        .fold(String::with_capacity(16), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Reads an answer. One that an interrupt cut short stands before the next: what counts is the last beginning.
fn parse(record: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(record);
    let (_, text) = text.rsplit_once('\u{1}')?;
    if let Some(rest) = text.strip_prefix("mark ") {
        let mut parts = rest.splitn(3, ' ');
        let (nonce, status, cwd) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let cwd = cwd.strip_suffix('\n').unwrap_or(cwd);
        return Some(Answer::Mark {
            nonce: nonce.into(),
            status,
            cwd: cwd.into(),
        });
    }
    Some(Answer::Exit(text.strip_prefix("exit ")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_after_interrupted_ones() {
        let mark = |cwd: &str| {
            Some(Answer::Mark {
                nonce: "ab".into(),
                status: 130,
                cwd: cwd.into(),
            })
        };
        assert_eq!(
            parse(b"\x01mark ab 130 /a mark b\nc\n"),
            mark("/a mark b\nc")
        );
        assert_eq!(parse(b"\x01mark 9f 0 /h\x01mark ab 130 /x\n"), mark("/x"));
        assert_eq!(parse(b"\x01exit 3"), Some(Answer::Exit(3)));
        assert_eq!(parse(b"noise"), None);
    }
}
