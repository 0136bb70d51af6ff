//! What `/proc` says about processes: children, descendants, start times. Reads only; signals are sent by `sandbox`.

use std::fs;

/// A process and the one that is its parent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// The process id as this server sees it.
    pub pid: i32,
    /// The process id of its parent.
    pub parent: i32,
}

/// The living children of a process, whichever of its threads started them.
pub fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let listed = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(
            listed
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    found
}

/// Every living process below `root`, parents before their children; `root` itself is not among them.
pub fn descendants(root: i32) -> Vec<Process> {
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for pid in children(parent) {
            found.push(Process { pid, parent });
            parents.push(pid);
        }
    }
    found
}

/// When a process started, in clock ticks since the machine did. With the pid it names a process for good, since
/// pids are used again.
pub fn start_time(pid: i32) -> Option<u64> {
    field(pid, 22)?.parse().ok()
}

/// The parent that a process has now.
pub(crate) fn parent(pid: i32) -> Option<i32> {
    field(pid, 4)?.parse().ok()
}

/// Whether a process can act: it is neither stopped, dead nor deep in the kernel, where a signal reaches it first.
pub(crate) fn is_running(pid: i32) -> bool {
    matches!(field(pid, 3).as_deref(), Some("R" | "S"))
}

/// Whether a process has ended and only waits to be waited for, or is gone altogether.
pub fn is_dead(pid: i32) -> bool {
    field(pid, 3).is_none_or(|state| matches!(state.as_str(), "Z" | "X"))
}

/// One field of a process's `stat`, counted from 1 as in `proc_pid_stat(5)`.
fn field(pid: i32, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name, which may hold spaces and parentheses; after the last one comes the
    // third field.
    Some(
        stat.rsplit_once(')')?
            .1
            .split_ascii_whitespace()
            .nth(number - 3)?
            .to_owned(),
    )
}

/// The id that a process has inside its own pid namespace.
pub fn namespace_pid(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

/// Every process of the machine whose first environment holds `entry` (`NAME=value`).
pub(crate) fn marked(entry: &str) -> Vec<i32> {
    let Ok(listing) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    listing
        .flatten()
        .filter_map(|dir| dir.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
                environ
                    .split(|byte| *byte == 0)
                    .any(|item| item == entry.as_bytes())
            })
        })
        .collect()
}

/// The pid namespace that a process lives in, as text that is equal for equal namespaces.
pub(crate) fn pid_namespace(pid: i32) -> Option<String> {
    Some(
        fs::read_link(format!("/proc/{pid}/ns/pid"))
            .ok()?
            .to_string_lossy()
            .into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_below_its_parent() {
        let me = i32::try_from(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(descendants(me).contains(&Process { pid, parent: me }));
        assert!(start_time(pid) >= start_time(me));
        assert_eq!(namespace_pid(pid), Some(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(start_time(pid), None);
    }
}
