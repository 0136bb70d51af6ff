//! Goes through folders of the workspace. Links are seen and not followed.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};

use super::open::{beneath, ordinary};
use super::{Fault, Place};

/// How deep folders are looked into: each level holds a descriptor.
const DEPTH: usize = 64;

/// An ordinary file that was come by.
pub(crate) struct Entry<'a> {
    /// Its path, relative to the workspace.
    pub(crate) path: &'a Path,
    /// What the system says of it.
    pub(crate) stat: Stat,
    folder: BorrowedFd<'a>,
    name: &'a OsStr,
}

impl Entry<'_> {
    /// Opens it for reading, unless it is something else by now.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn open(&self) -> Result<std::fs::File, Fault> {
        ordinary(openat(self.folder, self.name, FLAGS, Mode::empty())?)
    }
}

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// Shows `visit` every ordinary file below `start`, or `start` itself if it is one, until it has enough.
///
/// # Errors
/// What is wrong with `start`. What cannot be read below it is passed by.
pub(crate) fn walk(
    root: &OwnedFd,
    start: &Place,
    visit: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    match beneath(
        root,
        start.or_dot(),
        OFlags::RDONLY | OFlags::DIRECTORY,
        Mode::empty(),
    ) {
        Ok(folder) => {
            // Whether it was told to stop makes no difference to the caller.
            let _ = folder_of(&folder, start.path(), visit, DEPTH);
            Ok(())
        }
        Err(Fault::NotADirectory) => one(root, start, visit),
        Err(fault) => Err(fault),
    }
}

fn one(
    root: &OwnedFd,
    place: &Place,
    visit: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    let path = place.path();
    let name = path.file_name().ok_or(Fault::Missing)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let folder = beneath(root, parent.unwrap_or(Path::new(".")), flags, Mode::empty())?;
    let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let entry = Entry {
        path,
        stat,
        folder: folder.as_fd(),
        name,
    };
    let _ = visit(&entry);
    Ok(())
}

fn folder_of(
    folder: &OwnedFd,
    path: &Path,
    visit: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>,
    depth: usize,
) -> ControlFlow<()> {
    let Ok(listing) = Dir::read_from(folder) else {
        return ControlFlow::Continue(());
    };
    let mut below: Vec<PathBuf> = Vec::new();
    for found in listing.flatten() {
        let name = OsStr::from_bytes(found.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => below.push(name.into()),
            FileType::RegularFile => {
                let path = path.join(name);
                let folder = folder.as_fd();
                visit(&Entry {
                    path: &path,
                    stat,
                    folder,
                    name,
                })?;
            }
            _ => {}
        }
    }
    if depth == 0 {
        return ControlFlow::Continue(());
    }
    for name in below {
        if let Ok(next) = openat(folder, &name, FLAGS | OFlags::DIRECTORY, Mode::empty()) {
            folder_of(&next, &path.join(&name), visit, depth - 1)?;
        }
    }
    ControlFlow::Continue(())
}
