//! Programs: run in the workspace, for their time, and what they leave there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox_isolation::Workspace;
use sandbox_plugin_api::prelude::*;

use super::Code;
use crate::answer::{self, Commanded, Left};
use crate::changes::{Snapshot, Written};
use crate::files::{self, Place};
use crate::run::{Ran, Task, run};
use crate::session::{Session, blocking, gone};
use crate::{Language, failure, pictures};

/// The part of a call's time that is kept for stopping the program and handing over what it printed.
const HANDOVER: f64 = 0.1;
/// Stopping takes no longer than this.
const LONGEST_HANDOVER: Duration = Duration::from_secs(2);

/// A program to run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Program {
    /// The program's text.
    code: String,
    /// The language; the session's default when left out.
    language: Option<Language>,
    /// Seconds after which the program is stopped, with everything it started; the answer is then an error that holds
    /// what was printed so far.
    timeout: Option<f64>,
    /// What the program reads from standard input; nothing when left out.
    stdin: Option<String>,
    /// Files to write before it starts: their paths and their texts.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

#[tools(programs)]
impl Code {
    /// Run a program and wait until it ends. Files in its working directory last until the session ends; processes,
    /// variables and `/tmp` do not outlive the call. Pictures that it writes as PNG, JPEG, GIF or WebP come back with the
    /// answer. Programs of one session run one after another.
    #[tool(
        destructive,
        title = "Run a program",
        example = r#"{"code": "print(sum(range(10)))"}"#
    )]
    async fn execute(
        &self,
        session: &Session,
        ctx: &CallContext,
        #[params] program: Program,
    ) -> Result<Reply> {
        let time = self.seconds(program.timeout)?;
        self.check_input(&program)?;
        let language = program.language.unwrap_or(session.default_language);
        let deadline = deadline(ctx, time);
        let _turn = session.turn(deadline).await?;
        let workspace = session.workspace()?;
        let files = program
            .files
            .into_iter()
            .map(|(path, text)| {
                let pointer = format!("/files/{}", path.replace('~', "~0").replace('/', "~1"));
                let place = session.place(&workspace, &pointer, &path)?;
                Ok((pointer, place, text))
            })
            .collect::<Result<Vec<_>>>()?;
        let before = prepare(&workspace, files).await?;
        let task = Task {
            language,
            interpreter: session.interpreter(language)?,
            code: &program.code,
            stdin: program.stdin.as_deref(),
            env: session.environment(&workspace, &self.config),
            policy: &session.policy,
            limit: self.config.max_output_bytes,
            deadline,
        };
        let ran = self.run(session, &workspace, task).await?;
        let left = self.left(&workspace, before).await?;
        answer::executed(ran, left, &session.policy, time.as_secs_f64())
    }

    /// Run a shell command in the workspace and wait until it ends: to list, move or unpack files, or to try a program that
    /// lies there. Each command has a shell of its own.
    #[tool(
        destructive,
        title = "Run a command in the workspace",
        example = r#"{"command": "ls -la"}"#
    )]
    async fn bash(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The command: anything that bash understands, of one or many lines.
        command: String,
        /// Seconds after which the command is stopped, with everything it started.
        timeout: Option<f64>,
    ) -> Result<Commanded> {
        let time = self.seconds(timeout)?;
        self.check_size("/command", command.len())?;
        let deadline = deadline(ctx, time);
        let _turn = session.turn(deadline).await?;
        let workspace = session.workspace()?;
        let task = Task {
            language: Language::Bash,
            interpreter: session.interpreter(Language::Bash)?,
            code: &command,
            stdin: None,
            env: session.environment(&workspace, &self.config),
            policy: &session.policy,
            limit: self.config.max_output_bytes,
            deadline,
        };
        let ran = self.run(session, &workspace, task).await?;
        let cwd = workspace.seen_by_programs(&session.ground.machine);
        answer::commanded(ran, cwd, &session.policy, time.as_secs_f64())
    }
}

impl Code {
    async fn run(&self, session: &Session, workspace: &Workspace, task: Task<'_>) -> Result<Ran> {
        let ran = run(&session.ground.machine, workspace, task).await;
        if !workspace.is_alive() {
            // Whatever became of the program, its files are lost.
            return Err(gone());
        }
        ran.map_err(|error| failure::io("running the program", &error))
    }

    /// What a program left in the workspace since `before`.
    async fn left(&self, workspace: &Arc<Workspace>, before: Snapshot) -> Result<Left> {
        let (workspace, config) = (Arc::clone(workspace), Arc::clone(&self.config));
        blocking(move || {
            let mut written = Snapshot::take(workspace.folder()).since(&before);
            let largest = config.max_image_bytes.0;
            let pictures =
                pictures::among(workspace.folder(), &written, config.max_images, largest);
            let more_files = written.len() > config.max_results;
            written.truncate(config.max_results);
            let files = written.into_iter().map(|(path, size)| Written {
                path: path.to_string_lossy().into_owned(),
                size,
            });
            Left {
                files: files.collect(),
                more_files,
                pictures,
            }
        })
        .await
    }

    fn seconds(&self, given: Option<f64>) -> Result<Duration> {
        let seconds = given.unwrap_or(self.config.default_timeout);
        if !seconds.is_finite() || seconds <= 0.0 || seconds > self.config.max_timeout {
            let message = format!(
                "expected seconds, more than 0 and at most {}, found {seconds}",
                self.config.max_timeout
            );
            return Err(Error::param("/timeout", message));
        }
        Ok(Duration::from_secs_f64(seconds))
    }

    fn check_input(&self, program: &Program) -> Result<()> {
        let stdin = program.stdin.as_ref().map_or(0, String::len);
        let files = program.files.values().map(String::len).sum::<usize>();
        self.check_size("/code", program.code.len() + stdin + files)
    }
}

/// Writes the files that a program is given, and looks at the workspace before it starts.
async fn prepare(
    workspace: &Arc<Workspace>,
    files: Vec<(String, Place, String)>,
) -> Result<Snapshot> {
    let workspace = Arc::clone(workspace);
    blocking(move || {
        for (pointer, place, text) in files {
            files::write(&workspace, &place, text.as_bytes(), false)
                .map_err(|fault| fault.at(&pointer))?;
        }
        Ok(Snapshot::take(workspace.folder()))
    })
    .await?
}

/// When a program has to end: after its time, or so that its answer still reaches the caller before the host gives up.
fn deadline(ctx: &CallContext, time: Duration) -> Instant {
    let own = Instant::now() + time;
    ctx.time_left().map_or(own, |left| {
        own.min(Instant::now() + left.saturating_sub(left.mul_f64(HANDOVER).min(LONGEST_HANDOVER)))
    })
}
