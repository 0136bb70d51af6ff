//! Names the control groups of one machine, and removes what is left of them when the server was killed.
//!
//! Processes of a killed server end with their namespaces, folders are removed by whoever starts next or watches; a group
//! is a folder that only its removal ends. A small process waits at a pipe whose other end only the server holds, and
//! removes the groups when that closes.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{folder, spawner};

/// Removes the groups whose names begin with `$1` in every folder after it. It tries for some seconds: the kernel frees
/// killed processes one by one.
const SWEEP: &str = r#"name=$1; shift; cat >/dev/null
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    left=
    for parent; do for group in "$parent/$name".*; do
        [ -d "$group" ] || continue
        for pid in $(cat "$group/cgroup.procs"); do kill -9 "$pid"; done
        rmdir "$group" || left=1
    done; done
    [ "$left" ] || exit 0
    sleep 0.2
done 2>/dev/null"#;

/// Hands out names of groups; when dropped, or with the server, the groups of these names go.
#[derive(Debug)]
pub(crate) struct Sweeper {
    name: String,
    count: AtomicU64,
    process: Option<Child>,
}

impl Sweeper {
    /// Starts watching over groups in these folders.
    pub(crate) fn start(parents: &[&Path]) -> Self {
        let name = folder::unique_name();
        let process = watch(&name, parents);
        if let Err(error) = &process {
            tracing::warn!(%error, "control groups stay until the next start if the server is killed");
        }
        Self {
            name,
            count: AtomicU64::new(0),
            process: process.ok(),
        }
    }

    /// The name of a new group.
    pub(crate) fn name(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{}.{count}", self.name)
    }
}

/// The process does not carry the server's mark: it has to outlive the server, and ends by itself.
fn watch(name: &str, parents: &[&Path]) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", SWEEP, "sandbox-sweeper", name])
        .args(parents)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Waiting for it closes its input first.
            spawner::tidy_up(move || drop(process.wait()));
        }
    }
}
