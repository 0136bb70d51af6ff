//! Which files a program wrote: the workspace before and after, compared.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::files::{Place, walk};

/// The workspace at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot(HashMap<PathBuf, Stamp>);

/// What changes whenever a file does. The time of the last change of its status is the one time that programs cannot set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, u64),
    size: i64,
}

/// A file that a program wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Written {
    /// Its path in the workspace.
    pub(crate) path: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl Snapshot {
    /// Looks at every file of the workspace.
    pub(crate) fn take(root: &OwnedFd) -> Self {
        let mut files = HashMap::new();
        let all = Place::below(Path::new(""));
        let walked = walk(root, &all, &mut |entry| {
            let stamp = Stamp {
                inode: entry.stat.st_ino,
                changed: (entry.stat.st_ctime, entry.stat.st_ctime_nsec),
                size: entry.stat.st_size,
            };
            files.insert(entry.path.to_owned(), stamp);
            ControlFlow::Continue(())
        });
        if let Err(fault) = walked {
            tracing::warn!(%fault, "a workspace cannot be looked at");
        }
        Self(files)
    }

    /// The files that are new or other than in `before`, by their paths.
    pub(crate) fn since(&self, before: &Self) -> Vec<(PathBuf, u64)> {
        let mut written: Vec<(PathBuf, u64)> = self
            .0
            .iter()
            .filter(|(path, stamp)| before.0.get(*path) != Some(stamp))
            .map(|(path, stamp)| (path.clone(), stamp.size.try_into().unwrap_or_default()))
            .collect();
        written.sort();
        written
    }
}
