//! A running sandbox: its processes, the signals they get, and its end.

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use crate::cgroup::Group;
use crate::launch::Program;
use crate::tree::{Boundary, Tree};

/// How long a killed tree may take to be gone before it is reported: seconds, on a machine under heavy load. With the
/// removal of the control group it stays under the half minute that a clean-up has by default.
const KILL_LIMIT: Duration = Duration::from_secs(20);

/// What a tree has used so far, where a control group counted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory that it held at once, in bytes.
    pub peak_memory: Option<u64>,
    /// Processes that the kernel killed because the tree's memory was used up.
    pub out_of_memory_kills: Option<u64>,
}

/// A running tree of processes. Dropping it kills the tree; [`kill`](Self::kill) also waits until it is gone.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    tree: Tree,
    group: Option<Group>,
    program: Program,
}

impl Sandbox {
    pub(crate) fn new(
        child: Child,
        boundary: Boundary,
        group: Option<Group>,
        program: Program,
    ) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let tree = Tree::new(pid.unwrap_or_default(), boundary);
        Self {
            child,
            tree,
            group,
            program,
        }
    }

    /// The folder on the machine's disk that the program sees.
    pub fn folder(&self) -> &Path {
        self.program.folder()
    }

    /// The program's standard input, if it was a pipe, once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The program's standard output, if it was a pipe, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The program's standard error, if it was a pipe, once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits until the program has ended, and with it the tree. May be cancelled and called again.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.tree.end();
        Ok(status)
    }

    /// The processes, to be looked at and signalled by whoever does not own the sandbox.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether the program itself ran to its end, when it was told to [report](Program::report): what ended otherwise
    /// was never started, or its sandbox was killed.
    pub fn program_ended(&self) -> bool {
        std::fs::read_to_string(self.program.report_file())
            .is_ok_and(|report| report.contains("\"exit-code\""))
    }

    /// What the tree has used so far.
    pub fn usage(&self) -> Usage {
        Usage {
            peak_memory: self.group.as_ref().and_then(Group::peak_memory),
            out_of_memory_kills: self.group.as_ref().and_then(Group::out_of_memory_kills),
        }
    }

    /// Kills the tree and waits until nothing of it is left: no process, no control group, no folder.
    ///
    /// # Errors
    /// When a process of the tree does not go, even though killed.
    pub async fn kill(mut self) -> io::Result<()> {
        self.kill_now();
        let ended = tokio::time::timeout(KILL_LIMIT, self.child.wait()).await;
        self.tree.end();
        if let Some(group) = self.group.take() {
            group.remove().await;
        }
        match ended {
            Ok(ended) => ended.map(drop),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "a killed sandbox did not end",
            )),
        }
    }

    fn kill_now(&mut self) {
        if self.child.id().is_none() {
            self.tree.end();
        }
        if !self.tree.kill() {
            drop(self.child.start_kill());
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill_now();
        self.tree.end();
    }
}
