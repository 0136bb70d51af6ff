//! Opens files of the workspace, and reads them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

use super::{Fault, Place};

/// Opens `path` below `root`, wherever links lead within it.
pub(super) fn beneath(
    root: &OwnedFd,
    path: &Path,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Fault> {
    /// The kernel gives up on a path whose folders are moved under its feet; it says so, to try again.
    const TRIES: usize = 64;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES {
        match openat2(root, path, flags, mode, resolve) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(fd) => return Ok(fd),
        }
    }
    Err(Fault::Unusable("it keeps changing"))
}

/// Makes sure that what was opened is a file that reading and writing cannot block.
pub(super) fn ordinary(fd: OwnedFd) -> Result<File, Fault> {
    let kind = match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
        FileType::RegularFile => return Ok(File::from(fd)),
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::Symlink => "a link",
        _ => "a device",
    };
    Err(Fault::Kind(kind))
}

/// Opens an ordinary file for reading.
pub(super) fn readable(root: &OwnedFd, place: &Place) -> Result<File, Fault> {
    ordinary(beneath(
        root,
        place.or_dot(),
        OFlags::RDONLY,
        Mode::empty(),
    )?)
}

/// All of a file, if it is no larger than `limit`.
///
/// # Errors
/// What is wrong with the path or the file.
pub(crate) fn read_whole(root: &OwnedFd, place: &Place, limit: u64) -> Result<Vec<u8>, Fault> {
    contents(readable(root, place)?, limit)
}

/// All of an open file, if it is no larger than `limit`.
pub(super) fn contents(file: File, limit: u64) -> Result<Vec<u8>, Fault> {
    let size = file.metadata()?.len();
    let too_large = |size| Fault::TooLarge { size, limit };
    if size > limit {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Some lines of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// Their bytes, ends of lines included.
    pub(crate) bytes: Vec<u8>,
    /// How many they are.
    pub(crate) lines: u64,
    /// How many the file has.
    pub(crate) total_lines: u64,
    /// How many bytes the lines that were asked for have; more than `bytes` if these were cut.
    pub(crate) total_bytes: u64,
}

/// Reads `limit` lines from line `first` (the first one is 1) on, and at most `most` bytes of them.
///
/// # Errors
/// What is wrong with the path or the file.
pub(crate) fn read_lines(
    root: &OwnedFd,
    place: &Place,
    first: u64,
    limit: u64,
    most: usize,
) -> Result<Excerpt, Fault> {
    let mut reader = BufReader::with_capacity(64 * 1024, readable(root, place)?);
    let mut excerpt = Excerpt::default();
    let last = first.saturating_add(limit);
    // The number of the line that comes next, and whether any of it was seen.
    let (mut number, mut begun) = (1, false);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        let end = memchr::memchr(b'\n', buffer);
        let part = &buffer[..end.map_or(buffer.len(), |end| end + 1)];
        if (first..last).contains(&number) {
            let left = most - excerpt.bytes.len();
            excerpt
                .bytes
                .extend_from_slice(&part[..part.len().min(left)]);
            excerpt.total_bytes += part.len() as u64;
            excerpt.lines = number - first + 1;
        }
        begun = end.is_none();
        if end.is_some() {
            number += 1;
        }
        let used = part.len();
        reader.consume(used);
    }
    excerpt.total_lines = number - 1 + u64::from(begun);
    Ok(excerpt)
}
