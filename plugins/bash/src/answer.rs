//! What the tools answer: names and shapes of results, and which code an error has.

use sandbox_plugin_api::prelude::{Code, Error, JsonSchema, Serialize};

use crate::shell::{self, Output, Progress, State};

/// What a command did.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ran {
    /// Its standard output.
    stdout: String,
    /// Its standard error.
    stderr: String,
    /// Its exit code; null if it was stopped.
    exit_code: Option<i32>,
    /// The same.
    return_code: Option<i32>,
    /// The shell's directory afterwards.
    cwd: String,
    /// How long it ran, in milliseconds.
    duration_ms: f64,
    /// Whether `stdout` or `stderr` is less than the command wrote.
    truncated: bool,
    /// How many bytes it wrote to standard output.
    stdout_bytes: u64,
    /// How many bytes it wrote to standard error.
    stderr_bytes: u64,
    /// Whether the command ended the shell: variables, functions, options and directory are as at the start.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shell_restarted: bool,
    /// What else is worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            truncated: output.stdout.truncated || output.stderr.truncated,
            stdout_bytes: output.stdout.bytes,
            stderr_bytes: output.stderr.bytes,
            stdout: output.stdout.shown,
            stderr: output.stderr.shown,
            exit_code: output.exit_code,
            return_code: output.exit_code,
            cwd: output.cwd,
            // Microseconds are as exact as the measurement.
            duration_ms: (output.duration.as_secs_f64() * 1e6).round() / 1e3,
            shell_restarted: output.shell_restarted,
            note: output.note,
        }
    }
}

/// Where the shell is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Directory {
    /// The working directory.
    pub(crate) cwd: String,
}

/// A long command that was started.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Started {
    /// Its name for the other tools.
    pub(crate) handle: String,
}

/// How far a long command is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Status {
    /// Its name.
    handle: String,
    /// Whether it still runs.
    running: bool,
    /// Its exit code, once it has ended; null too if the session's sandbox ended under it.
    exit_code: Option<i32>,
}

impl Status {
    /// The status of the command with this handle.
    pub(crate) fn new(handle: String, state: State) -> Self {
        let (running, exit_code) = match state {
            State::Starting | State::Running => (true, None),
            State::Ended(code) => (false, code),
        };
        Self {
            handle,
            running,
            exit_code,
        }
    }
}

/// What a long command printed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Read {
    /// Its outputs, in the order in which they were printed.
    output: String,
    /// Where to go on reading.
    offset: u64,
    /// How many bytes that were asked for are no longer kept.
    #[serde(skip_serializing_if = "is_zero")]
    dropped: u64,
    #[serde(flatten)]
    status: Status,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Read {
    /// What the command with this handle printed.
    pub(crate) fn new(handle: String, progress: Progress) -> Self {
        Self {
            output: progress.text,
            offset: progress.offset,
            dropped: progress.dropped,
            status: Status::new(handle, progress.state),
        }
    }
}

/// What a long command took.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Written {
    /// Its name.
    pub(crate) handle: String,
    /// How many bytes it was handed.
    pub(crate) written: usize,
}

/// The one place where errors of the shell become errors of the protocol.
pub(crate) fn failure(error: shell::Error) -> Error {
    let message = error.to_string();
    match error {
        shell::Error::Param { pointer, message } => Error::param(&pointer, message),
        shell::Error::TimedOut { output, .. } => {
            Error::timeout(message).with_data(Ran::from(*output))
        }
        shell::Error::Busy => Error::timeout(message),
        shell::Error::Died {
            output: Some(output),
            ..
        } => Error::failed(message).with_data(Ran::from(*output)),
        shell::Error::TooManyJobs(_) => Error::new(Code::TooMany, message),
        shell::Error::Died { output: None, .. } | shell::Error::InputRefused(_) => {
            Error::failed(message)
        }
        shell::Error::Launch(_) | shell::Error::Io(_) => {
            // What the operating system says may name paths of the server.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a shell could not do its work"
            );
            Error::failed(message)
        }
    }
}
