//! Writes files of the workspace and changes text in them.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use memchr::memmem;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fchmod, mkdirat};
use rustix::io::Errno;
use sandbox_isolation::Workspace;

use super::open::{beneath, contents, ordinary};
use super::{Fault, Place};

/// What a change did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Edited {
    /// So many places were changed.
    Replaced(usize),
    /// Nothing was changed: the old text is there so often.
    Found(usize),
}

/// Writes a file; folders on the way are made, and what it held before is replaced. Whether it is executable is only asked
/// of a new one.
///
/// # Errors
/// What is wrong with the path, or that the workspace is full. The file is then as it was.
pub(crate) fn write(
    workspace: &Workspace,
    place: &Place,
    bytes: &[u8],
    executable: bool,
) -> Result<(), Fault> {
    if place.path().file_name().is_none() {
        return Err(Fault::Kind("a directory"));
    }
    make_folders(workspace, place.path())?;
    let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
    replace(&writable(workspace, place, mode)?, bytes)
}

/// Replaces `old` by `new`, everywhere if `all`, else only where `old` is there just once.
///
/// # Errors
/// What is wrong with the path or the file.
pub(crate) fn edit(
    workspace: &Workspace,
    place: &Place,
    [old, new]: [&str; 2],
    all: bool,
    limit: u64,
) -> Result<Edited, Fault> {
    let root = workspace.folder();
    let file = ordinary(beneath(root, place.or_dot(), OFlags::RDWR, Mode::empty())?)?;
    // As bytes: a file need not be UTF-8 to hold the text, and what is not changed must stay as it is.
    let before = contents(file.try_clone()?, limit)?;
    let finder = memmem::Finder::new(old);
    let count = finder.find_iter(&before).count();
    if count == 0 || count > 1 && !all {
        return Ok(Edited::Found(count));
    }
    let mut after = Vec::with_capacity(before.len());
    let mut rest = 0;
    for found in finder.find_iter(&before) {
        after.extend_from_slice(&before[rest..found]);
        after.extend_from_slice(new.as_bytes());
        rest = found + old.len();
    }
    after.extend_from_slice(&before[rest..]);
    if after.len() as u64 > limit {
        let size = after.len() as u64;
        return Err(Fault::TooLarge { size, limit });
    }
    replace(&file, &after)?;
    Ok(Edited::Replaced(count))
}

/// Opens a file for writing, and makes it if it is not there.
fn writable(workspace: &Workspace, place: &Place, mode: Mode) -> Result<File, Fault> {
    let (root, path) = (workspace.folder(), place.or_dot());
    match beneath(root, path, OFlags::WRONLY, Mode::empty()) {
        Err(Fault::Missing) => {}
        opened => return ordinary(opened?),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = ordinary(beneath(root, path, flags, mode)?)?;
    // The mode asked for above is cut by the server's umask.
    fchmod(&file, mode)?;
    workspace.give_to_programs(&file)?;
    Ok(file)
}

fn make_folders(workspace: &Workspace, path: &Path) -> Result<(), Fault> {
    let root = workspace.folder();
    let is_folder = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut parents: Vec<&Path> = path.ancestors().skip(1).collect();
    // The last one is the workspace itself.
    parents.pop();
    let mut above: Option<OwnedFd> = None;
    for parent in parents.into_iter().rev() {
        let opened = match beneath(root, parent, is_folder, Mode::empty()) {
            Err(Fault::Missing) => {
                let name = parent.file_name().ok_or(Fault::Outside)?;
                match mkdirat(
                    above.as_ref().unwrap_or(root),
                    name,
                    Mode::from_raw_mode(0o755),
                ) {
                    // A program was quicker, or it is a link that leads nowhere: opening it tells.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let made = beneath(root, parent, is_folder, Mode::empty())?;
                workspace.give_to_programs(&File::from(made.try_clone()?))?;
                made
            }
            opened => opened?,
        };
        above = Some(opened);
    }
    Ok(())
}

/// Replaces what a file holds. The room is taken first, so that a full workspace costs nobody what was there before.
fn replace(mut file: &File, bytes: &[u8]) -> Result<(), Fault> {
    if !bytes.is_empty() {
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes.len() as u64) {
            // Not every filesystem can; workspaces of a limited size can.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    Ok(())
}
