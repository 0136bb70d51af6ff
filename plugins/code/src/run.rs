//! One program, from its start to the end of everything it started.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, symlinkat, unlinkat};
use sandbox_isolation::{
    Capture, Machine, Policy, Program, Sandbox, Stdio3, Text, Usage, Workspace,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};

use crate::Language;
use crate::language::Interpreter;

/// A link by which Node finds the program in the workspace, where the modules that it imports are.
const NODE_LINK: &str = ".code-main";
/// How long outputs may take to end after the last process was killed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A program to run.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) language: Language,
    pub(crate) interpreter: &'a Interpreter,
    pub(crate) code: &'a str,
    pub(crate) stdin: Option<&'a str>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) policy: &'a Policy,
    /// The most bytes of each output that are kept.
    pub(crate) limit: usize,
    pub(crate) deadline: Instant,
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: Text,
    pub(crate) stderr: Text,
    pub(crate) end: End,
    pub(crate) elapsed: Duration,
    pub(crate) usage: Usage,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this exit code; a signal's is 128 and its number.
    Code(i32),
    /// By its time limit.
    Time,
    /// It was not started, or its sandbox was killed.
    Sandbox,
}

/// Runs a program; dropping the future ends it.
///
/// # Errors
/// When the operating system refuses a step.
pub(crate) async fn run(
    machine: &Machine,
    workspace: &Workspace,
    task: Task<'_>,
) -> io::Result<Ran> {
    let mut program = workspace.prepare(machine)?;
    program.report();
    let stdin = match task.stdin {
        Some(text) => {
            let path = program.folder().join("stdin");
            fs::write(&path, text)?;
            File::open(path)?.into()
        }
        None => Stdio::null(),
    };
    let _link = complete(machine, workspace, &mut program, &task)?;
    let streams = Stdio3 {
        stdin,
        stdout: Stdio::piped(),
        stderr: Stdio::piped(),
    };
    let started = Instant::now();
    let mut sandbox = machine
        .launch(task.policy, program, streams)
        .await
        .map_err(io::Error::other)?;
    let stdout = Listener::new(sandbox.take_stdout(), task.limit);
    let stderr = Listener::new(sandbox.take_stderr(), task.limit);
    let ended = timeout_at(task.deadline.into(), sandbox.wait()).await;
    let elapsed = started.elapsed();
    let end = end_of(machine, &sandbox, ended)?;
    let usage = sandbox.usage();
    sandbox.kill().await?;
    Ok(Ran {
        stdout: stdout.finish().await,
        stderr: stderr.finish().await,
        end,
        elapsed,
        usage,
    })
}

fn end_of(
    machine: &Machine,
    sandbox: &Sandbox,
    ended: Result<io::Result<ExitStatus>, tokio::time::error::Elapsed>,
) -> io::Result<End> {
    use std::os::unix::process::ExitStatusExt as _;
    let Ok(status) = ended else {
        return Ok(End::Time);
    };
    let status = status?;
    if machine.has_namespaces() && !sandbox.program_ended() {
        return Ok(End::Sandbox);
    }
    let signalled = status.signal().map(|signal| 128 + signal);
    Ok(status.code().or(signalled).map_or(End::Sandbox, End::Code))
}

/// Writes the program's text and says how it is run.
fn complete<'a>(
    machine: &Machine,
    workspace: &'a Workspace,
    program: &mut Program,
    task: &Task<'_>,
) -> io::Result<Option<Link<'a>>> {
    let name = match task.language {
        Language::Python => "main.py",
        Language::Javascript if is_module(task.code) => "main.mjs",
        Language::Javascript => "main.js",
        Language::Bash => "main.sh",
    };
    fs::write(program.folder().join(name), task.code)?;
    let script = machine.folder_inside(program).join(name);
    let mut argv: Vec<OsString> = vec![task.interpreter.path.clone().into()];
    let mut link = None;
    if task.language == Language::Javascript {
        // Node looks for modules beside the program. The text itself stays outside: a full workspace must not keep the
        // program from running that empties it.
        let made = Link::new(workspace, name, &script)?;
        argv.push("--preserve-symlinks-main".into());
        argv.push(Path::new(&program.cwd).join(&made.name).into());
        link = Some(made);
    } else {
        argv.push(script.into());
    }
    program.argv = argv;
    program.env.clone_from(&task.env);
    Ok(link)
}

/// Whether a program in JavaScript is an ECMAScript module, which older Nodes tell by the file's name only.
fn is_module(code: &str) -> bool {
    code.lines().map(str::trim_start).any(|line| {
        let imports = line.strip_prefix("import").is_some_and(|rest| {
            rest.starts_with([' ', '{', '*', '"', '\''])
                && !rest.trim_start().starts_with(['(', '.'])
        });
        imports || line.starts_with("export ") || line.starts_with("export{")
    })
}

/// A link in the workspace, removed when dropped.
#[derive(Debug)]
struct Link<'a> {
    workspace: &'a Workspace,
    name: String,
}

impl<'a> Link<'a> {
    fn new(workspace: &'a Workspace, like: &str, target: &Path) -> io::Result<Self> {
        let ending = like.rsplit_once('.').map_or("js", |(_, ending)| ending);
        let name = format!("{NODE_LINK}.{ending}");
        // A program may have made something of this name.
        let _ = unlinkat(workspace.folder(), &name, AtFlags::empty());
        symlinkat(target, workspace.folder(), &name)?;
        Ok(Self { workspace, name })
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        // The program may have removed it.
        let _ = unlinkat(self.workspace.folder(), &self.name, AtFlags::empty());
    }
}

/// Reads an output in a task of its own, so that the program never waits for a reader.
#[derive(Debug)]
struct Listener {
    heard: Arc<Mutex<Capture>>,
    task: JoinHandle<()>,
}

impl Listener {
    fn new(output: Option<impl AsyncRead + Unpin + Send + 'static>, limit: usize) -> Self {
        let heard = Arc::new(Mutex::new(Capture::new(limit)));
        let capture = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let Some(mut output) = output else { return };
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = output.read(&mut buffer).await {
                let mut capture = capture.lock().unwrap_or_else(PoisonError::into_inner);
                capture.add(&buffer[..count]);
            }
        });
        Self { heard, task }
    }

    /// All that was written, once nobody is left who could write.
    async fn finish(mut self) -> Text {
        // Without namespaces a process may have got away with the pipe; it is not waited for.
        if timeout(LAST_WORDS, &mut self.task).await.is_err() {
            tracing::warn!("somebody still holds the output of a program that has ended");
        }
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .text()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::is_module;

    #[test]
    fn modules_are_told_from_scripts() {
        for code in [
            "import fs from 'fs'",
            "// x\nimport {a} from './a.mjs'",
            "import './x.mjs'",
            "export const a = 1",
        ] {
            assert!(is_module(code), "{code}");
        }
        for code in [
            "const fs = require('fs')",
            "import('./x').then(f)",
            "importer(1)",
            "console.log('import x')",
            "exports.a = 1",
        ] {
            assert!(!is_module(code), "{code}");
        }
    }
}
