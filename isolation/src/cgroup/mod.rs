//! Finds where control groups can be made on this machine, version 1 or 2, and sweeps those of dead servers.
//!
//! What a group of one sandbox holds, and how it ends, is in `group`; what happens when the server is killed in `sweeper`.

mod group;
mod sweeper;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use group::Group;
pub(crate) use sweeper::Sweeper;

use crate::folder;

/// The controllers that the limits need.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// Where groups of this server are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// One hierarchy per controller.
    V1 {
        memory: PathBuf,
        pids: PathBuf,
        cpu: PathBuf,
    },
    /// One hierarchy for all.
    V2 { parent: PathBuf },
}

impl Cgroups {
    /// Looks for a place where this server may make groups.
    ///
    /// # Errors
    /// The reason, as a clause, when there is none.
    pub(crate) fn find() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = Self::among(&mounts, &own)?;
        found.sweep();
        Ok(found)
    }

    fn among(mounts: &str, own: &str) -> Result<Self, String> {
        let second = v2_parent(mounts, own);
        match (second, v1_parents(mounts, own)) {
            (Ok(parent), _) => Ok(Self::V2 { parent }),
            (Err(_), Ok(found)) => Ok(found),
            (Err(second), Err(first)) => Err(format!("version 2: {second}; version 1: {first}")),
        }
    }

    /// The folders in which groups are made.
    pub(crate) fn parents(&self) -> Vec<&Path> {
        match self {
            Self::V1 { memory, pids, cpu } => vec![memory, pids, cpu],
            Self::V2 { parent } => vec![parent],
        }
    }

    /// Removes the groups of servers that died without a chance to.
    fn sweep(&self) {
        for parent in self.parents() {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                if entry.file_name().to_str().is_some_and(folder::is_stale) {
                    group::kill_all(&entry.path());
                    group::remove_soon(vec![entry.path()]);
                }
            }
        }
    }
}

/// One line of `/proc/self/mountinfo`, as far as we need it (`proc_pid_mountinfo(5)`).
struct MountLine<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

fn mount_lines(mounts: &str) -> impl Iterator<Item = MountLine<'_>> {
    mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        Some(MountLine {
            root: before.next()?,
            point: before.next()?,
            kind: after.next()?,
            options: after.nth(1)?,
        })
    })
}

/// The folder of this server's own group below a mount, which in a container may show only a part of the hierarchy.
fn own_folder(mount: &MountLine<'_>, group: &str) -> PathBuf {
    let below = group
        .strip_prefix(mount.root.trim_end_matches('/'))
        .unwrap_or(group);
    Path::new(mount.point).join(below.trim_start_matches('/'))
}

fn v1_parents(mounts: &str, own: &str) -> Result<Cgroups, String> {
    let parent = |controller: &str| {
        let mount = mount_lines(mounts)
            .find(|mount| {
                mount.kind == "cgroup"
                    && mount.options.split(',').any(|option| option == controller)
            })
            .ok_or_else(|| format!("no hierarchy with {controller} is mounted"))?;
        let group = own
            .lines()
            .filter_map(|line| line.split_once(':')?.1.split_once(':'))
            .find(|(controllers, _)| controllers.split(',').any(|name| name == controller))
            .map_or("/", |(_, group)| group);
        let folder = own_folder(&mount, group);
        try_folder(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok::<_, String>(folder)
    };
    Ok(Cgroups::V1 {
        memory: parent("memory")?,
        pids: parent("pids")?,
        cpu: parent("cpu")?,
    })
}

/// The nearest group upwards from our own whose children may have the controllers.
///
/// Our own usually may not: a group with processes in it cannot hand controllers down (cgroups(7), "no internal
/// processes"), and this server is in it.
fn v2_parent(mounts: &str, own: &str) -> Result<PathBuf, String> {
    let mount = mount_lines(mounts)
        .find(|mount| mount.kind == "cgroup2")
        .ok_or("not mounted")?;
    let group = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/");
    let start = own_folder(&mount, group);
    let mut reason = String::new();
    for folder in start
        .ancestors()
        .take_while(|folder| folder.starts_with(mount.point))
    {
        match hand_down_controllers(folder).and_then(|()| try_folder(folder)) {
            Ok(()) => return Ok(folder.to_owned()),
            Err(error) => reason = format!("{}: {error}", folder.display()),
        }
    }
    Err(reason)
}

fn hand_down_controllers(folder: &Path) -> io::Result<()> {
    let words = |file: &str| -> io::Result<Vec<String>> {
        Ok(fs::read_to_string(folder.join(file))?
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect())
    };
    let available = words("cgroup.controllers")?;
    if let Some(missing) = CONTROLLERS
        .iter()
        .find(|name| !available.iter().any(|have| have == *name))
    {
        return Err(io::Error::other(format!(
            "the controller {missing} is not available"
        )));
    }
    let enabled = words("cgroup.subtree_control")?;
    for name in CONTROLLERS {
        if !enabled.iter().any(|have| have == name) {
            fs::write(folder.join("cgroup.subtree_control"), format!("+{name}"))?;
        }
    }
    Ok(())
}

/// Makes a group and removes it: the only sure sign that we may.
fn try_folder(folder: &Path) -> io::Result<()> {
    let trial = folder.join(folder::unique_name());
    fs::create_dir(&trial)?;
    fs::remove_dir(&trial)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of plain files that looks like a cgroup v2 mount, for machines (as most test machines) without one.
    fn fake_v2(base: &Path, controllers: &str) -> (String, String) {
        for folder in ["", "slice", "slice/server"] {
            let folder = base.join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("cgroup.controllers"), controllers).unwrap();
            fs::write(folder.join("cgroup.subtree_control"), "memory pids cpu").unwrap();
        }
        let mounts = format!(
            "41 31 0:38 / {} rw,relatime - cgroup2 cgroup2 rw\n",
            base.display()
        );
        (mounts, "0::/slice/server\n".to_owned())
    }

    #[test]
    fn version_2_is_used_where_it_has_the_controllers() {
        let base = tempfile::tempdir().unwrap();
        let (mounts, own) = fake_v2(base.path(), "cpuset cpu io memory pids");
        assert_eq!(
            Cgroups::among(&mounts, &own),
            Ok(Cgroups::V2 {
                parent: base.path().join("slice/server")
            })
        );
        // A group with processes in it: the kernel refuses the write to subtree_control.
        let busy = base.path().join("slice/server/cgroup.subtree_control");
        fs::remove_file(&busy).unwrap();
        fs::create_dir(&busy).unwrap();
        assert_eq!(
            Cgroups::among(&mounts, &own),
            Ok(Cgroups::V2 {
                parent: base.path().join("slice")
            })
        );
    }

    #[test]
    fn version_1_serves_where_version_2_has_no_controllers() {
        let base = tempfile::tempdir().unwrap();
        let (mounts, own) = fake_v2(&base.path().join("unified"), "hugetlb");
        let (mut mounts, mut own) = (vec![mounts], vec![own]);
        for name in ["memory", "pids", "cpu,cpuacct"] {
            let point = base.path().join(name);
            fs::create_dir_all(point.join("server")).unwrap();
            mounts.push(format!(
                "35 31 0:32 /box {} rw - cgroup cgroup rw,{name}\n",
                point.display()
            ));
            own.push(format!("4:{name}:/box/server\n"));
        }
        let Ok(Cgroups::V1 { memory, cpu, .. }) = Cgroups::among(&mounts.concat(), &own.concat())
        else {
            panic!("version 1 was not found");
        };
        assert_eq!(memory, base.path().join("memory/server"));
        assert_eq!(cpu, base.path().join("cpu,cpuacct/server"));
    }

    #[test]
    fn the_reason_names_what_each_version_lacks() {
        let reason = Cgroups::among("", "").unwrap_err();
        assert!(reason.contains("version 2: not mounted"), "{reason}");
        assert!(
            reason.contains("no hierarchy with memory is mounted"),
            "{reason}"
        );
    }
}
