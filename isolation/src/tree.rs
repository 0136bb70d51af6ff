//! The processes of a running sandbox, and the signals they get.
//!
//! A process id is a number that is used again: no signal is sent before it is certain whom it reaches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::process::{self, Process, children, descendants};

/// What holds the tree together.
#[derive(Debug)]
pub(crate) enum Boundary {
    /// A pid namespace: it ends with its first process.
    Namespace,
    /// An entry of the environment that descendants inherit; programs may take it off.
    Marker(String),
}

/// The processes of one sandbox. Copies stand for the same tree, and for an empty one when it has ended.
#[derive(Debug, Clone)]
pub struct Tree(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The process that the server started: the program, or bubblewrap's monitor outside the namespace.
    pid: i32,
    boundary: Boundary,
    first: OnceLock<First>,
    ended: AtomicBool,
}

/// The first process of the pid namespace.
#[derive(Debug, Clone)]
struct First {
    pid: i32,
    namespace: String,
}

impl Tree {
    pub(crate) fn new(pid: i32, boundary: Boundary) -> Self {
        Self(Arc::new(Inner {
            pid,
            boundary,
            first: OnceLock::new(),
            ended: AtomicBool::new(pid <= 0),
        }))
    }

    /// Says that the process the server started was waited for: its number may be somebody else's from now on.
    pub(crate) fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
    }

    /// The program's process id as the server sees it, once it runs.
    pub fn program_pid(&self) -> Option<i32> {
        match self.0.boundary {
            Boundary::Namespace => children(self.first()?.pid)
                .into_iter()
                .min_by_key(|pid| process::start_time(*pid)),
            Boundary::Marker(_) => Some(self.0.pid),
        }
    }

    /// Every process of the tree except bubblewrap's own and the program's first.
    pub fn processes(&self) -> Vec<Process> {
        let program = self.program_pid();
        let mut found = match &self.0.boundary {
            Boundary::Namespace => self
                .first()
                .map(|first| descendants(first.pid))
                .unwrap_or_default(),
            Boundary::Marker(entry) => {
                let mut found = if self.ended() {
                    Vec::new()
                } else {
                    descendants(self.0.pid)
                };
                for pid in process::marked(entry) {
                    if pid != self.0.pid && !found.iter().any(|known| known.pid == pid) {
                        // A parent of it has ended, or it would have been found below that.
                        found.push(Process {
                            pid,
                            parent: process::parent(pid).unwrap_or_default(),
                        });
                    }
                }
                found
            }
        };
        found.retain(|process| Some(process.pid) != program);
        found
    }

    /// The processes that are found quickly: all of a namespace; without one, what still descends from the program.
    pub fn offspring(&self) -> Vec<i32> {
        let top = match &self.0.boundary {
            Boundary::Namespace => self.first().map(|first| first.pid),
            Boundary::Marker(_) => (!self.ended()).then_some(self.0.pid),
        };
        top.map(descendants)
            .unwrap_or_default()
            .iter()
            .map(|process| process.pid)
            .collect()
    }

    /// Sends a signal to one process of the tree. A process that is gone, or that belongs to another tree because its
    /// id was used again, is left alone.
    pub fn signal(&self, pid: i32, signal: Signal) {
        let Some(target) = Pid::from_raw(pid) else {
            return;
        };
        match (&self.0.boundary, self.first()) {
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

    /// Kills everything; true if that is done, false if the process that the server started has to be killed too.
    pub(crate) fn kill(&self) -> bool {
        match (&self.0.boundary, self.first()) {
            // bubblewrap waits for the first process, so when it ends the namespace is empty.
            (Boundary::Namespace, Some(first)) => {
                self.signal(first.pid, Signal::KILL);
                true
            }
            (Boundary::Namespace, None) => false,
            (Boundary::Marker(_), _) => {
                if !self.ended() {
                    // The program may start anew what it sees dying.
                    self.signal(self.0.pid, Signal::STOP);
                }
                self.kill_each(|| self.processes().iter().map(|process| process.pid).collect());
                false
            }
        }
    }

    fn ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    fn first(&self) -> Option<&First> {
        if self.ended() {
            return None;
        }
        if let Some(first) = self.0.first.get() {
            return Some(first);
        }
        let pid = *children(self.0.pid).first()?;
        let namespace = process::pid_namespace(pid)?;
        // Before bubblewrap has forked, `sh` may have children of its own; they live in our namespace.
        if process::pid_namespace(self.0.pid)? == namespace {
            return None;
        }
        Some(self.0.first.get_or_init(|| First { pid, namespace }))
    }
}
