//! Folders on the machine's disk: one per server instance with one per sandbox in it, and the sweep of what dead
//! servers left.
//!
//! Names carry the owner's pid and start time, so that a later server can tell the dead from the living.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{filter, process};

/// What the names of folders and control groups of this crate begin with.
const PREFIX: &str = "sandbox-tree-";

/// Names for the users that files in a sandbox belong to.
const PASSWD: &str = "root:x:0:0:root:/nonexistent:/usr/sbin/nologin
sandbox:x:1000:1000::/home/sandbox:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
/// Names for their groups.
const GROUP: &str = "root:x:0:
sandbox:x:1000:
nogroup:x:65534:
";

/// A name that no other living server uses, and that says who made it.
pub(crate) fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let pid = std::process::id();
    let started = i32::try_from(pid)
        .ok()
        .and_then(process::start_time)
        .unwrap_or(0);
    // Two plugins of one server are two copies of this crate, each with a count of its own.
    let mut salt = [0_u8; 4];
    getrandom::fill(&mut salt).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{PREFIX}{pid}-{started}-{:08x}-{count}",
        u32::from_ne_bytes(salt)
    )
}

/// Whether `name` is one of ours whose server is gone.
pub(crate) fn is_stale(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    let mut parts = rest.split('-');
    let pid = parts.next().and_then(|text| text.parse::<i32>().ok());
    let started = parts.next().and_then(|text| text.parse::<u64>().ok());
    match (pid, started) {
        (Some(pid), Some(started)) => process::start_time(pid) != Some(started),
        _ => false,
    }
}

/// The folder of this server, removed when the last sandbox in it is gone.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    owner: Option<u32>,
}

impl Root {
    /// Makes the folder below `runtime` if the programs' user can reach that, else below the machine's temporary one.
    pub(crate) fn create(runtime: Option<&Path>, owner: Option<u32>) -> io::Result<Arc<Self>> {
        let temporary = std::env::temp_dir();
        let base = match runtime {
            Some(dir) if owner.is_none() || reachable_by_all(dir) => dir.to_owned(),
            Some(dir) => {
                tracing::info!(dir = %dir.display(), "the runtime folder is closed to other users, using {}", temporary.display());
                temporary
            }
            None => temporary,
        };
        sweep(&base);
        let path = base.join(unique_name());
        // Others may pass through, to the folder that is theirs, and not look round.
        let mode = if owner.is_some() { 0o711 } else { 0o700 };
        DirBuilder::new().mode(mode).create(&path)?;
        let root = Arc::new(Self { path, owner });
        // The mode asked for above is cut by the server's umask.
        fs::set_permissions(&root.path, Permissions::from_mode(mode))?;
        let [passwd, group] = root.identity();
        let filter = filter::program().map_err(io::Error::other)?;
        for (file, text) in [
            (passwd, PASSWD.as_bytes()),
            (group, GROUP.as_bytes()),
            (root.filter(), &filter),
        ] {
            fs::write(&file, text)?;
            fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        }
        Ok(root)
    }

    /// The user and group files that sandboxes see.
    pub(crate) fn identity(&self) -> [PathBuf; 2] {
        [self.path.join("passwd"), self.path.join("group")]
    }

    /// The filter of system calls that sandboxes are put under.
    pub(crate) fn filter(&self) -> PathBuf {
        self.path.join("filter")
    }

    /// Makes the folder of one sandbox, which only the server and the sandbox's user can enter.
    pub(crate) fn session(self: &Arc<Self>) -> io::Result<Folder> {
        let path = self.path.join(unique_name());
        DirBuilder::new().mode(0o700).create(&path)?;
        if let Some(owner) = self.owner {
            chown(&path, Some(owner), None)?;
        }
        Ok(Folder {
            path,
            _root: Arc::clone(self),
        })
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The folder of one sandbox, removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _root: Arc<Root>,
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a temporary folder could not be removed");
    }
}

fn reachable_by_all(dir: &Path) -> bool {
    const SEARCH_BY_OTHERS: u32 = 0o001;
    dir.ancestors().all(|part| {
        part.as_os_str().is_empty()
            || fs::metadata(part).is_ok_and(|meta| meta.mode() & SEARCH_BY_OTHERS != 0)
    })
}

/// Removes the folders of servers that died without a chance to.
fn sweep(base: &Path) {
    let me = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let ours = entry
            .metadata()
            .is_ok_and(|meta| meta.is_dir() && meta.uid() == me);
        if ours && entry.file_name().to_str().is_some_and(is_stale) {
            remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_dead_servers_are_swept() {
        let base = tempfile::tempdir().unwrap();
        let living = base.path().join(unique_name());
        let dead = base
            .path()
            .join(format!("{PREFIX}{}-1-00000000-0", std::process::id()));
        let foreign = base.path().join("sandbox-notes");
        for dir in [&living, &dead, &foreign] {
            fs::create_dir(dir).unwrap();
        }
        sweep(base.path());
        assert!(living.exists() && foreign.exists());
        assert!(
            !dead.exists(),
            "a folder of an earlier process with this pid stayed"
        );
    }

    #[test]
    fn everything_is_gone_with_the_last_owner() {
        let base = tempfile::tempdir().unwrap();
        let root = Root::create(Some(base.path()), None).unwrap();
        let folder = root.session().unwrap();
        fs::write(folder.path().join("file"), "x").unwrap();
        drop(root);
        assert!(folder.path().exists());
        drop(folder);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }
}
