//! What the tools answer: names and shapes of results, and when a program's end is an error.

use sandbox_isolation::{Policy, Usage};
use sandbox_plugin_api::prelude::{Error, JsonSchema, Reply, Result, Serialize};

use crate::changes::Written;
use crate::pictures::Picture;
use crate::run::{End, Ran};

/// The exit code of what was killed.
const KILLED: i32 = 128 + 9;

/// What a program did.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Executed {
    /// Its standard output.
    stdout: String,
    /// Its standard error.
    stderr: String,
    /// Its exit code; null if it was stopped. The code of a signal is 128 and its number.
    exit_code: Option<i32>,
    /// The same.
    return_code: Option<i32>,
    /// How long it ran, in milliseconds.
    execution_time_ms: f64,
    /// The most memory that it and all it started held at once, in MiB; null where the machine does not count it.
    memory_used_mb: Option<f64>,
    /// Whether `stdout`, `stderr` or `files` is less than there was.
    truncated: bool,
    /// How many bytes it wrote to standard output.
    stdout_bytes: u64,
    /// How many bytes it wrote to standard error.
    stderr_bytes: u64,
    /// The files of the workspace that it wrote.
    files: Vec<Written>,
    /// The pictures among them.
    images: Vec<Picture>,
    /// Width and height of the first picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<[usize; 2]>,
    /// What else is worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What a command did, in the words of `bash:run`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Commanded {
    /// Its standard output.
    stdout: String,
    /// Its standard error.
    stderr: String,
    /// Its exit code; null if it was stopped.
    exit_code: Option<i32>,
    /// The same.
    return_code: Option<i32>,
    /// Where it started: the workspace.
    cwd: String,
    /// How long it ran, in milliseconds.
    duration_ms: f64,
    /// Whether `stdout` or `stderr` is less than it wrote.
    truncated: bool,
    /// How many bytes it wrote to standard output.
    stdout_bytes: u64,
    /// How many bytes it wrote to standard error.
    stderr_bytes: u64,
    /// What else is worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A part of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Excerpt {
    /// The lines. Bytes that are not UTF-8 show as U+FFFD.
    pub(crate) content: String,
    /// How many lines these are.
    pub(crate) lines: u64,
    /// How many lines the file has.
    pub(crate) total_lines: u64,
    /// Whether `content` is less than the lines that were asked for.
    pub(crate) truncated: bool,
    /// How many bytes the lines that were asked for have.
    pub(crate) total_bytes: u64,
}

/// A file that was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Stored {
    /// Its path in the workspace.
    pub(crate) path: String,
    /// How many bytes it holds.
    pub(crate) bytes: u64,
}

/// A file that was changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Changed {
    /// Its path in the workspace.
    pub(crate) path: String,
    /// In how many places.
    pub(crate) replacements: usize,
}

/// What a program left in the workspace.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) files: Vec<Written>,
    pub(crate) more_files: bool,
    pub(crate) pictures: Vec<(Picture, Vec<u8>)>,
}

/// The answer to `code:execute`.
///
/// # Errors
/// The same data in an error, when the program was stopped or killed.
pub(crate) fn executed(ran: Ran, left: Left, policy: &Policy, time: f64) -> Result<Reply> {
    let verdict = verdict(&ran, policy, time);
    let mut pictures = Vec::new();
    let mut images = Vec::new();
    for (picture, bytes) in left.pictures {
        if let Some(key) = picture.key {
            pictures.push((key, picture.media_type, bytes));
        }
        images.push(picture);
    }
    let mut data = Executed {
        exit_code: exit_code(&ran),
        return_code: exit_code(&ran),
        execution_time_ms: milliseconds(&ran),
        memory_used_mb: ran.usage.peak_memory.map(mebibytes),
        truncated: ran.stdout.truncated || ran.stderr.truncated || left.more_files,
        stdout_bytes: ran.stdout.bytes,
        stderr_bytes: ran.stderr.bytes,
        stdout: ran.stdout.shown,
        stderr: ran.stderr.shown,
        files: left.files,
        size: images
            .iter()
            .find(|image| image.key.is_some())
            .map(|image| image.size),
        images,
        note: None,
    };
    match verdict {
        Verdict::Success(note) => data.note = note,
        Verdict::Failure(error) => {
            // An error has no binary parts.
            for image in &mut data.images {
                image.key = None;
                image.omitted = Some("the program did not end well".into());
            }
            data.size = None;
            return Err(error.with_data(data));
        }
    }
    let mut reply = Reply::new(data)?;
    for (key, media_type, bytes) in pictures {
        reply = reply.with_binary(key, media_type, bytes);
    }
    Ok(reply)
}

/// The answer to `code:bash`.
///
/// # Errors
/// The same data in an error, when the command was stopped or killed.
pub(crate) fn commanded(ran: Ran, cwd: String, policy: &Policy, time: f64) -> Result<Commanded> {
    let verdict = verdict(&ran, policy, time);
    let mut data = Commanded {
        exit_code: exit_code(&ran),
        return_code: exit_code(&ran),
        cwd,
        duration_ms: milliseconds(&ran),
        truncated: ran.stdout.truncated || ran.stderr.truncated,
        stdout_bytes: ran.stdout.bytes,
        stderr_bytes: ran.stderr.bytes,
        stdout: ran.stdout.shown,
        stderr: ran.stderr.shown,
        note: None,
    };
    match verdict {
        Verdict::Success(note) => {
            data.note = note;
            Ok(data)
        }
        Verdict::Failure(error) => Err(error.with_data(data)),
    }
}

/// Whether a program did what it was asked, as far as anybody but itself can tell.
enum Verdict {
    Success(Option<String>),
    Failure(Error),
}

fn verdict(ran: &Ran, policy: &Policy, time: f64) -> Verdict {
    let memory = || format!("its memory ({}) was used up", policy.limits.memory);
    let out_of_memory = is_out_of_memory(ran.usage);
    let failure = match ran.end {
        End::Time => Error::timeout(format!("the program was stopped after {time} s")),
        End::Code(KILLED) if out_of_memory => {
            Error::failed(format!("the program was killed: {}", memory()))
        }
        End::Code(KILLED) => Error::failed("the program was killed"),
        End::Sandbox => {
            tracing::error!(
                stderr = ran.stderr.shown,
                "a sandbox did not live to its program's end"
            );
            Error::failed(
                "the program's sandbox was killed, or could not be made; the server's log says more",
            )
        }
        End::Code(_) => {
            let note = out_of_memory.then(|| format!("a process was killed: {}", memory()));
            return Verdict::Success(note);
        }
    };
    Verdict::Failure(failure)
}

fn is_out_of_memory(usage: Usage) -> bool {
    usage.out_of_memory_kills.is_some_and(|kills| kills > 0)
}

fn exit_code(ran: &Ran) -> Option<i32> {
    match ran.end {
        End::Code(code) => Some(code),
        End::Time | End::Sandbox => None,
    }
}

/// Microseconds are as exact as the measurement.
fn milliseconds(ran: &Ran) -> f64 {
    (ran.elapsed.as_secs_f64() * 1e6).round() / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "two digits are wanted")]
fn mebibytes(bytes: u64) -> f64 {
    (bytes as f64 / f64::from(1 << 20) * 100.0).round() / 100.0
}
