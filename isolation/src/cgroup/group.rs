//! The control group of one sandbox: its limits, what it has used, and its removal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Cgroups;
use crate::{Limits, spawner};

/// The period over which computing time is counted; the kernel's own default.
const CPU_PERIOD_US: u32 = 100_000;
/// How long a group whose processes were killed may take to become empty: the kernel frees them one by one.
const REMOVAL_LIMIT: Duration = Duration::from_secs(5);

/// The group of one sandbox in every hierarchy; removed when dropped.
#[derive(Debug)]
pub(crate) struct Group {
    folders: Vec<PathBuf>,
    memory: PathBuf,
    version_2: bool,
}

impl Group {
    /// Makes the group of this name and writes the limits.
    pub(crate) fn create(place: &Cgroups, name: &str, limits: &Limits) -> io::Result<Self> {
        let (folders, memory) = match place {
            Cgroups::V1 { memory, pids, cpu } => {
                let mut folders = vec![memory.join(name), pids.join(name), cpu.join(name)];
                // "cpu,cpuacct" and the like: controllers may share one hierarchy.
                folders.sort();
                folders.dedup();
                (folders, memory.join(name))
            }
            Cgroups::V2 { parent } => (vec![parent.join(name)], parent.join(name)),
        };
        let group = Self {
            folders,
            memory,
            version_2: matches!(place, Cgroups::V2 { .. }),
        };
        for folder in &group.folders {
            fs::create_dir(folder)?;
        }
        match place {
            Cgroups::V1 { pids, cpu, .. } => {
                group.limit_v1(&pids.join(name), &cpu.join(name), limits)?;
            }
            Cgroups::V2 { .. } => group.limit_v2(limits)?,
        }
        Ok(group)
    }

    fn limit_v1(&self, pids: &Path, cpu: &Path, limits: &Limits) -> io::Result<()> {
        fs::write(
            self.memory.join("memory.limit_in_bytes"),
            limits.memory.0.to_string(),
        )?;
        // Swap is accounted for only on kernels told so at boot; without swap the file may be missing.
        let with_swap = self.memory.join("memory.memsw.limit_in_bytes");
        if with_swap.exists() {
            fs::write(with_swap, limits.memory.0.to_string())?;
        }
        fs::write(pids.join("pids.max"), limits.processes.to_string())?;
        fs::write(cpu.join("cpu.cfs_period_us"), CPU_PERIOD_US.to_string())?;
        fs::write(cpu.join("cpu.cfs_quota_us"), quota(limits).to_string())
    }

    fn limit_v2(&self, limits: &Limits) -> io::Result<()> {
        fs::write(self.memory.join("memory.max"), limits.memory.0.to_string())?;
        let swap = self.memory.join("memory.swap.max");
        if swap.exists() {
            fs::write(swap, "0")?;
        }
        fs::write(self.memory.join("pids.max"), limits.processes.to_string())?;
        fs::write(
            self.memory.join("cpu.max"),
            format!("{} {CPU_PERIOD_US}", quota(limits)),
        )
    }

    /// The files that a process writes its pid into to enter.
    pub(crate) fn doors(&self) -> impl Iterator<Item = PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join("cgroup.procs"))
    }

    /// The most memory that the tree ever held, in bytes.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let file = if self.version_2 {
            "memory.peak"
        } else {
            "memory.max_usage_in_bytes"
        };
        fs::read_to_string(self.memory.join(file))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// How many processes the kernel killed because the tree had used up its memory.
    pub(crate) fn out_of_memory_kills(&self) -> Option<u64> {
        let file = if self.version_2 {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let text = fs::read_to_string(self.memory.join(file)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    /// Kills what is left in the group and removes it; returns when it is gone.
    pub(crate) async fn remove(mut self) {
        let folders = std::mem::take(&mut self.folders);
        let started = Instant::now();
        while !remove_now(&folders) && started.elapsed() < REMOVAL_LIMIT {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let folders = std::mem::take(&mut self.folders);
        if !folders.is_empty() {
            remove_soon(folders);
        }
    }
}

fn quota(limits: &Limits) -> u32 {
    /// The kernel takes no quota under a millisecond.
    const LEAST: f64 = 1_000.0;
    let wanted = (limits.cpus * f64::from(CPU_PERIOD_US)).clamp(LEAST, f64::from(u32::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range"
    )]
    {
        wanted as u32
    }
}

/// Removes groups on a thread that may wait until their processes are gone.
pub(super) fn remove_soon(folders: Vec<PathBuf>) {
    spawner::tidy_up(move || {
        let started = Instant::now();
        while !remove_now(&folders) {
            if started.elapsed() > REMOVAL_LIMIT {
                tracing::warn!(?folders, "a control group could not be removed");
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    });
}

fn remove_now(folders: &[PathBuf]) -> bool {
    folders.iter().all(|folder| match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(_) => {
            kill_all(folder);
            false
        }
    })
}

/// Kills every process in a group.
pub(super) fn kill_all(folder: &Path) {
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in listed
        .lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
    {
        // One that is gone meanwhile is what we want.
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_limits_are_written_in_the_kernels_words() {
        // Plain files stand in for the hierarchy; they cannot be removed as a group is, so the group is forgotten.
        let base = tempfile::tempdir().unwrap();
        let limits = Limits {
            cpus: 0.5,
            processes: 32,
            ..Limits::default()
        };
        let group = Group::create(
            &Cgroups::V2 {
                parent: base.path().to_owned(),
            },
            "group",
            &limits,
        )
        .unwrap();
        let text = |file: &str| fs::read_to_string(group.memory.join(file)).unwrap();
        assert_eq!(text("memory.max"), "1073741824");
        assert_eq!(text("pids.max"), "32");
        assert_eq!(text("cpu.max"), "50000 100000");
        fs::write(
            group.memory.join("memory.events"),
            "low 0\noom 3\noom_kill 2\n",
        )
        .unwrap();
        assert_eq!(group.out_of_memory_kills(), Some(2));
        std::mem::forget(group);
    }
}
