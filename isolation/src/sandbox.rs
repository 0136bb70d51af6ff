//! A running sandbox: its processes, the signals they get, and its end.

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use crate::cgroup::Group;
use crate::launch::Program;
use crate::process::{self, Process, children, descendants};

/// How long a killed tree may take to be gone before it is reported.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// What holds the tree together.
#[derive(Debug)]
pub(crate) enum Boundary {
    /// A pid namespace: it ends with its first process.
    Namespace,
    /// An entry of the environment that descendants inherit; programs may take it off.
    Marker(String),
}

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
    pid: i32,
    boundary: Boundary,
    first: OnceLock<First>,
    group: Option<Group>,
    program: Program,
}

/// The first process of the pid namespace.
#[derive(Debug, Clone)]
struct First {
    pid: i32,
    namespace: String,
}

impl Sandbox {
    pub(crate) fn new(
        child: Child,
        boundary: Boundary,
        group: Option<Group>,
        program: Program,
    ) -> Self {
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .unwrap_or_default();
        Self {
            child,
            pid,
            boundary,
            first: OnceLock::new(),
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
        self.child.wait().await
    }

    /// The program's process id as the server sees it, once it runs.
    pub fn program_pid(&self) -> Option<i32> {
        match self.boundary {
            Boundary::Namespace => children(self.first()?.pid)
                .into_iter()
                .min_by_key(|pid| process::start_time(*pid)),
            Boundary::Marker(_) => Some(self.pid),
        }
    }

    /// Every process of the tree except bubblewrap's own and the program's first.
    pub fn processes(&self) -> Vec<Process> {
        let program = self.program_pid();
        let mut found = match &self.boundary {
            Boundary::Namespace => self
                .first()
                .map(|first| descendants(first.pid))
                .unwrap_or_default(),
            Boundary::Marker(entry) => {
                let mut found = descendants(self.pid);
                for pid in process::marked(entry) {
                    if pid != self.pid && !found.iter().any(|known| known.pid == pid) {
                        // Its parent is gone, or it would have been found below it.
                        found.push(Process { pid, parent: 1 });
                    }
                }
                found
            }
        };
        found.retain(|process| Some(process.pid) != program);
        found
    }

    /// Sends a signal to one process of the tree. A process that is gone, or that belongs to another tree because its
    /// id was used again, is left alone.
    pub fn signal(&self, pid: i32, signal: Signal) {
        let Some(target) = Pid::from_raw(pid) else {
            return;
        };
        match (&self.boundary, self.first()) {
            (Boundary::Namespace, Some(first)) => {
                // The descriptor names the process for good; only then is it looked at.
                let Ok(handle) = pidfd_open(target, PidfdFlags::empty()) else {
                    return;
                };
                if process::pid_namespace(pid).as_deref() == Some(&first.namespace) {
                    // A process that is gone needs no signal.
                    let _ = pidfd_send_signal(&handle, signal);
                }
            }
            (Boundary::Namespace, None) => {}
            (Boundary::Marker(_), _) => {
                let _ = kill_process(target, signal);
            }
        }
    }

    /// Kills all of `victims()`, however fast they multiply: they are stopped first, until a look at them finds nobody
    /// new and nobody running, since a stopped process cannot start another.
    pub fn kill_each(&self, victims: impl Fn() -> Vec<i32>) {
        /// More rounds than a tree under limits needs; a machine without limits may have to do with fewer victims.
        const ROUNDS: usize = 2_000;
        let mut stopped: Vec<i32> = Vec::new();
        for _ in 0..ROUNDS {
            // A signal arrives after it was sent: who was still running before this look may have started somebody
            // whom the look missed.
            let settled = stopped.iter().all(|pid| !process::is_running(*pid));
            let fresh: Vec<i32> = victims()
                .into_iter()
                .filter(|pid| !stopped.contains(pid))
                .collect();
            if fresh.is_empty() {
                if settled {
                    break;
                }
                std::thread::yield_now();
            }
            for pid in &fresh {
                self.signal(*pid, Signal::STOP);
            }
            stopped.extend(fresh);
        }
        for pid in stopped {
            self.signal(pid, Signal::KILL);
        }
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
        match (&self.boundary, self.first()) {
            // bubblewrap waits for the first process, so when it ends the namespace is empty.
            (Boundary::Namespace, Some(first)) => self.signal(first.pid, Signal::KILL),
            (Boundary::Namespace, None) => drop(self.child.start_kill()),
            (Boundary::Marker(_), _) => {
                self.kill_each(|| self.processes().iter().map(|process| process.pid).collect());
                drop(self.child.start_kill());
            }
        }
    }

    fn first(&self) -> Option<&First> {
        if let Some(first) = self.first.get() {
            return Some(first);
        }
        // A child that was waited for has no id any more, and its number may belong to somebody else.
        self.child.id()?;
        let pid = *children(self.pid).first()?;
        let namespace = process::pid_namespace(pid)?;
        // Before bubblewrap has forked, `sh` may have children of its own; they live in our namespace.
        if process::pid_namespace(self.pid)? == namespace {
            return None;
        }
        Some(self.first.get_or_init(|| First { pid, namespace }))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.child.id().is_some() {
            self.kill_now();
        }
    }
}
