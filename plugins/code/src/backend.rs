//! The backend and its tools: reads parameters, bounds them by the configuration, and hands them to the session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sandbox_isolation::{Machine, Workspace};
use sandbox_plugin_api::prelude::*;

use crate::answer::{self, Changed, Commanded, Excerpt, Left, Stored};
use crate::changes::{Snapshot, Written};
use crate::config::{Config, SessionConfig};
use crate::files::{self, Edited, Found, Matches, Place};
use crate::language::Interpreters;
use crate::run::{Ran, Task, run};
use crate::session::{Ground, Session, blocking, gone};
use crate::{Language, failure, pictures};

/// The part of a call's time that is kept for stopping the program and handing over what it printed.
const HANDOVER: f64 = 0.1;
/// Stopping takes no longer than this.
const LONGEST_HANDOVER: Duration = Duration::from_secs(2);

/// Programs over a workspace per session.
#[derive(Debug)]
pub struct Code {
    config: Arc<Config>,
    /// What the machine can give; known after the warm-up.
    ground: Mutex<Option<Arc<Ground>>>,
}

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

#[backend(
    name = "code",
    description = "Run programs in Python, JavaScript or Bash, isolated, over files that last as long as the session."
)]
impl Code {
    fn new(config: Config) -> Result<Self> {
        config.check().map_err(Error::config)?;
        Ok(Self {
            config: Arc::new(config),
            ground: Mutex::default(),
        })
    }

    async fn warmup(&self) -> Result<()> {
        let config = Arc::clone(&self.config);
        let found = blocking(move || Interpreters::find(&config.python, config.node.as_deref()));
        let interpreters = found.await?.map_err(Error::unavailable)?;
        let policy = self.config.policy();
        let mut machine = Machine::probe(&policy)
            .await
            .map_err(|missing| Error::unavailable(missing.to_string()))?;
        let mut shown = self.config.mounts.clone();
        shown.extend(interpreters.mounts());
        machine
            .probe_workspaces(&policy, self.config.space(), &shown)
            .await
            .map_err(|missing| Error::unavailable(missing.to_string()))?;
        let ground = Ground {
            machine,
            interpreters,
        };
        *self.ground.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ground));
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        // The folder of this server on disk goes with the last session.
        self.ground
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Ok(())
    }

    async fn initialize(&self, config: SessionConfig) -> Result<Session> {
        let ground = self
            .ground
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let ground =
            ground.ok_or_else(|| Error::unavailable("the code backend is not warmed up"))?;
        Session::new(ground, &self.config, config).await
    }

    async fn cleanup(&self, session: &Session) -> Result<()> {
        session.close().await
    }

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

    /// Read lines of a text file in the workspace.
    #[tool(
        read_only,
        blocking,
        title = "Read a file",
        example = r#"{"file_path": "notes.txt", "offset": 1, "limit": 10}"#
    )]
    fn read(
        &self,
        session: &Session,
        /// The file's path in the workspace.
        file_path: String,
        /// The number of the first line wanted; the file's first line is 1.
        #[default(1)]
        #[schemars(range(min = 1))]
        offset: u64,
        /// How many lines; all of them when left out.
        limit: Option<u64>,
    ) -> Result<Excerpt> {
        if offset == 0 {
            return Err(Error::param("/offset", "lines are counted from 1"));
        }
        let workspace = session.workspace()?;
        let place = session.place(&workspace, "/file_path", &file_path)?;
        let most = usize::try_from(self.config.max_file_bytes.0).unwrap_or(usize::MAX);
        let limit = limit.unwrap_or(u64::MAX);
        let excerpt = files::read_lines(workspace.folder(), &place, offset, limit, most)
            .map_err(|fault| fault.at("/file_path"))?;
        let truncated = (excerpt.bytes.len() as u64) < excerpt.total_bytes;
        let whole = if truncated {
            sandbox_isolation::whole_characters(&excerpt.bytes)
        } else {
            excerpt.bytes.len()
        };
        Ok(Excerpt {
            content: String::from_utf8_lossy(&excerpt.bytes[..whole]).into_owned(),
            lines: excerpt.lines,
            total_lines: excerpt.total_lines,
            truncated,
            total_bytes: excerpt.total_bytes,
        })
    }

    /// Write a text file in the workspace. Folders on the way are made; what the file held before is replaced.
    #[tool(
        destructive,
        idempotent,
        blocking,
        title = "Write a file",
        example = r#"{"file_path": "data/numbers.csv", "content": "a,b\n1,2\n"}"#
    )]
    fn write(
        &self,
        session: &Session,
        /// The file's path in the workspace.
        file_path: String,
        /// All that it is to hold.
        content: String,
    ) -> Result<Stored> {
        self.check_size("/content", content.len())?;
        let workspace = session.workspace()?;
        let place = session.place(&workspace, "/file_path", &file_path)?;
        files::write(&workspace, &place, content.as_bytes(), false)
            .map_err(|fault| fault.at("/file_path"))?;
        Ok(Stored {
            path: place.shown(),
            bytes: content.len() as u64,
        })
    }

    /// Replace text in a file of the workspace. The old text must be there exactly once, so give enough of what stands
    /// around it, or ask for all places.
    #[tool(
        destructive,
        blocking,
        title = "Edit a file",
        example = r#"{"file_path": "notes.txt", "old_string": "first", "new_string": "1st"}"#
    )]
    fn edit(
        &self,
        session: &Session,
        /// The file's path in the workspace.
        file_path: String,
        /// The text to replace, exactly as it stands there.
        old_string: String,
        /// The text in its place.
        new_string: String,
        /// Replace it wherever it stands.
        #[default(false)]
        replace_all: bool,
    ) -> Result<Changed> {
        if old_string.is_empty() {
            return Err(Error::param(
                "/old_string",
                "it is empty; code:write makes a new file",
            ));
        }
        if old_string == new_string {
            return Err(Error::param(
                "/new_string",
                "it is the same as the old text",
            ));
        }
        let workspace = session.workspace()?;
        let place = session.place(&workspace, "/file_path", &file_path)?;
        let texts = [old_string.as_str(), new_string.as_str()];
        let limit = self.config.max_file_bytes.0;
        match files::edit(&workspace, &place, texts, replace_all, limit)
            .map_err(|fault| fault.at("/file_path"))?
        {
            Edited::Replaced(replacements) => Ok(Changed {
                path: place.shown(),
                replacements,
            }),
            Edited::Found(0) => Err(Error::param(
                "/old_string",
                "the file does not hold this text; read it and copy the text exactly",
            )),
            Edited::Found(count) => Err(Error::param(
                "/old_string",
                format!(
                    "the file holds this text {count} times; add what stands around it, or set replace_all"
                ),
            )),
        }
    }

    /// Find files of the workspace by their paths: `*.py`, `**/*.csv`, `src/{a,b}?.txt`.
    #[tool(
        read_only,
        blocking,
        title = "Find files",
        example = r#"{"pattern": "**/*.py"}"#
    )]
    fn glob(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The pattern: `*` and `?` stay within a folder, `**` goes through all.
        pattern: String,
        /// The folder that paths in the pattern start from; the workspace when left out.
        #[default(String::new())]
        path: String,
    ) -> Result<Found> {
        let workspace = session.workspace()?;
        let start = session.place(&workspace, "/path", &path)?;
        let limit = self.config.max_results;
        files::glob(workspace.folder(), &start, &pattern, limit, ctx)
    }

    /// Find lines in the text files of the workspace by a regular expression.
    #[tool(
        read_only,
        blocking,
        title = "Search in files",
        example = r#"{"pattern": "def \\w+", "glob": "*.py"}"#
    )]
    fn grep(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The regular expression, in Rust's syntax: no look-around, no back-references; `(?i)` ignores case.
        pattern: String,
        /// The file or folder to search; the workspace when left out.
        #[default(String::new())]
        path: String,
        /// Only files that this pattern names: `*.py` anywhere, `src/**/*.py` by their path.
        glob: Option<String>,
    ) -> Result<Matches> {
        let workspace = session.workspace()?;
        let start = session.place(&workspace, "/path", &path)?;
        let limit = self.config.max_results;
        files::grep(
            workspace.folder(),
            &start,
            &pattern,
            glob.as_deref(),
            limit,
            ctx,
        )
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

    fn check_size(&self, pointer: &str, bytes: usize) -> Result<()> {
        let limit = self.config.max_input_bytes;
        if bytes as u64 > limit.0 {
            let message = format!("a call takes {limit} bytes of input, and these are {bytes}");
            return Err(Error::param(pointer, message));
        }
        Ok(())
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
