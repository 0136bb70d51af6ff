//! Copies a directory of the server into a new workspace.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use sandbox_isolation::Workspace;
use sandbox_plugin_api::Error;

use super::open::beneath;
use super::{Fault, Place, walk, write};

/// Where the parameter stands.
const POINTER: &str = "/source_dir";

/// Copies the ordinary files of `source`, which must lie below one of `roots`, into the workspace. Links are left out:
/// where they lead is not the session's.
///
/// # Errors
/// A directory that is not there or not below a root, and files that do not fit.
pub(crate) fn import(
    workspace: &Workspace,
    source: &Path,
    roots: &[PathBuf],
    largest: u64,
) -> Result<(), Error> {
    let folder = find(source, roots)?;
    let mut fault = None;
    let walked = walk(
        &folder,
        &Place::below(Path::new("")),
        &mut |entry| match copy(workspace, entry, largest) {
            Ok(()) => std::ops::ControlFlow::Continue(()),
            Err(reason) => {
                fault = Some((entry.path.to_owned(), reason));
                std::ops::ControlFlow::Break(())
            }
        },
    );
    walked.map_err(|fault| fault.at(POINTER))?;
    match fault {
        None => Ok(()),
        Some((path, fault)) => {
            tracing::warn!(path = %path.display(), %fault, "a source directory could not be copied");
            Err(fault.at(POINTER))
        }
    }
}

/// The directory, found from the root that it lies below, so that no link leads out of that.
fn find(source: &Path, roots: &[PathBuf]) -> Result<OwnedFd, Error> {
    for root in roots {
        let below = if source.is_absolute() {
            match source.strip_prefix(root) {
                Ok(below) => below,
                Err(_) => continue,
            }
        } else {
            source
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(root) = open(root, flags, Mode::empty()) else {
            continue;
        };
        let place = Place::below(below);
        match beneath(&root, place.or_dot(), flags, Mode::empty()) {
            Ok(folder) => return Ok(folder),
            // It may lie below another one.
            Err(Fault::Missing) => {}
            Err(fault) => return Err(fault.at(POINTER)),
        }
    }
    Err(if roots.is_empty() {
        Error::forbidden(
            "parameter /source_dir: this server copies no directories; its operator can set \"source_roots\"",
        )
    } else {
        Error::forbidden(
            "parameter /source_dir: there is no such directory below those that sessions may copy from",
        )
    })
}

fn copy(workspace: &Workspace, entry: &super::Entry<'_>, largest: u64) -> Result<(), Fault> {
    let file = entry.open()?;
    let bytes = super::open::contents(file, largest)?;
    let executable = entry.stat.st_mode & 0o100 != 0;
    write(workspace, &Place::below(entry.path), &bytes, executable)
}
