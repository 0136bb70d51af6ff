//! The steps that prepare a session's desktop before it is handed over.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::Config;
use crate::desktop::{Desktop, Failure};

/// One step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "parameters", rename_all = "snake_case")]
pub enum Step {
    /// Start a program and go on.
    Launch {
        /// The program and its arguments.
        command: Command,
    },
    /// Run a program to its end; it must end well.
    Execute {
        /// The program and its arguments.
        command: Command,
    },
    /// Open a file or an address with the program that the desktop has for it.
    Open {
        /// A path in the desktop, or an address.
        path: String,
    },
    /// Wait.
    Sleep {
        /// How long.
        seconds: f64,
    },
    /// Fetch files over the network, with the rights of the desktop's programs.
    Download {
        /// From where to where.
        files: Vec<Fetched>,
    },
    /// Copy files of the machine into the desktop, from the folders that the operator allows.
    UploadFile {
        /// From where to where.
        files: Vec<Copied>,
    },
}

/// A command: words, or a line for the shell.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Command {
    /// The program and its arguments.
    Words(Vec<String>),
    /// A line that a shell reads.
    Line(String),
}

/// A file to fetch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetched {
    /// Its address, `http` or `https`.
    pub url: String,
    /// Where it goes in the desktop.
    pub path: String,
}

/// A file to copy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copied {
    /// Where it is on the machine.
    pub local_path: PathBuf,
    /// Where it goes in the desktop.
    pub path: String,
}

impl Command {
    fn words(&self) -> Vec<String> {
        match self {
            Self::Words(words) => words.clone(),
            Self::Line(line) => ["sh", "-c", line].map(str::to_owned).into(),
        }
    }
}

/// Carries the steps out, one after another.
///
/// # Errors
/// The first that fails, with its place.
pub(crate) async fn carry_out(
    steps: &[Step],
    desktop: &dyn Desktop,
    config: &Config,
) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs_f64(config.max_seconds);
    for (number, step) in steps.iter().enumerate() {
        let done = one(step, desktop, config, end).await;
        done.map_err(|failure| placed(number, failure))?;
    }
    Ok(())
}

async fn one(
    step: &Step,
    desktop: &dyn Desktop,
    config: &Config,
    end: Instant,
) -> Result<(), Failure> {
    match step {
        Step::Launch { command } => desktop.launch(&command.words()).await.map(drop),
        Step::Execute { command } => run(desktop, &command.words(), end).await,
        Step::Open { path } => open(desktop, path, end).await,
        Step::Sleep { seconds } => {
            let most = end.saturating_duration_since(Instant::now());
            match Duration::try_from_secs_f64(*seconds) {
                Ok(time) if time <= most => {
                    tokio::time::sleep(time).await;
                    Ok(())
                }
                _ => Err(Failure::param(
                    "/parameters/seconds",
                    format!(
                        "expected at most {:.1}, found {seconds}",
                        most.as_secs_f64()
                    ),
                )),
            }
        }
        Step::Download { files } => {
            for file in files {
                fetch(desktop, file, end).await?;
            }
            Ok(())
        }
        Step::UploadFile { files } => {
            for file in files {
                let from = allowed(&file.local_path, &config.allowed_roots)?;
                desktop.upload(&from, &file.path).await?;
            }
            Ok(())
        }
    }
}

async fn run(desktop: &dyn Desktop, command: &[String], end: Instant) -> Result<(), Failure> {
    let left = end.saturating_duration_since(Instant::now());
    match desktop.run(command, left).await? {
        0 => Ok(()),
        code => Err(Failure::Refused(format!(
            "{:?} ended with code {code}",
            command[0]
        ))),
    }
}

/// Opens a file or an address. `xdg-open` may last as long as the program that it starts: when it has not failed for a
/// moment, it has found one.
async fn open(desktop: &dyn Desktop, path: &str, end: Instant) -> Result<(), Failure> {
    let script = "command -v xdg-open >/dev/null || exit 127
        setsid xdg-open \"$1\" >/dev/null 2>&1 &
        for moment in 1 2 3 4 5 6 7 8 9 10; do
            kill -0 $! 2>/dev/null || { wait $!; exit $?; }
            sleep 0.1
        done";
    let words = ["sh", "-c", script, "sh", path].map(str::to_owned);
    let left = end.saturating_duration_since(Instant::now());
    let why = match desktop.run(&words, left).await? {
        0 => return Ok(()),
        2 => "there is no such file",
        127 => "the program xdg-open is not installed (apt-get install xdg-utils)",
        _ => "the desktop has no program for it, or that program failed",
    };
    Err(Failure::Refused(format!(
        "{path:?} could not be opened: {why}"
    )))
}

async fn fetch(desktop: &dyn Desktop, file: &Fetched, end: Instant) -> Result<(), Failure> {
    if !["http://", "https://"]
        .iter()
        .any(|scheme| file.url.starts_with(scheme))
    {
        let message = "only http and https addresses are fetched";
        return Err(Failure::param("/parameters/files/url", message));
    }
    let options = [
        "curl",
        "-fsSL",
        "--proto",
        "=http,https",
        "--create-dirs",
        "-o",
    ];
    let mut words = options.map(str::to_owned).to_vec();
    words.extend([file.path.clone(), "--".into(), file.url.clone()]);
    run(desktop, &words, end).await.map_err(|failure| match failure {
        Failure::Refused(_) => Failure::Refused(format!(
            "{:?} could not be fetched; desktops reach the network only where the server's configuration says \
             \"network\": true",
            file.url
        )),
        other => other,
    })
}

/// The file behind a path, links followed, if it is in a folder that the operator allows.
fn allowed(path: &Path, roots: &[PathBuf]) -> Result<PathBuf, Failure> {
    // One message for all that may not be: a client must not learn which files there are.
    let refused = || {
        Failure::param(
            "/parameters/files/local_path",
            "this is no file in a folder that the server allows (allowed_roots)",
        )
    };
    let real = path.canonicalize().map_err(|_| refused())?;
    let inside = roots
        .iter()
        .filter_map(|root| root.canonicalize().ok())
        .any(|root| real.starts_with(root));
    if inside && path.is_absolute() && real.is_file() {
        Ok(real)
    } else {
        Err(refused())
    }
}

/// Says which step it was.
fn placed(number: usize, failure: Failure) -> Failure {
    match failure {
        Failure::Param { pointer, message } => Failure::Param {
            pointer: format!("/setup/{number}{pointer}"),
            message,
        },
        Failure::Refused(message) => Failure::Refused(format!("setup step {number}: {message}")),
        Failure::Timeout(message) => Failure::Timeout(format!("setup step {number}: {message}")),
        other => other,
    }
}
