//! Reads what a library says about itself, before any of it runs: `dlopen` runs constructors, so
//! whatever can be checked is checked here, from the bytes of the file.
//!
//! Owns the facts and the faults of one file; all faults are found at once. Knows nothing of where
//! files are looked for, and loads nothing.

mod binary;
mod dependencies;
mod elf;
mod fault;
mod manifest;

use std::{
    fmt::Write,
    fs::{File, Metadata},
    io::{self, Read},
    ops::Deref,
    path::{Path, PathBuf},
};

use memmap2::MmapMut;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use dependencies::Dependency;
pub use fault::{Fault, Warning};
pub use manifest::{AbiVersion, DeclaredBackend, Manifest};

/// No plugin is as large; what is, is not read into memory.
const LARGEST: u64 = 2 << 30;

/// What a file says about itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inspection {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: usize,
    /// Its digest, in lower-case hexadecimal.
    pub sha256: String,
    /// Its format: `elf`, `macho`, `pe`, …
    pub format: Option<String>,
    /// The processor it is built for.
    pub architecture: Option<String>,
    /// The ABI it is built for.
    pub abi: Option<AbiVersion>,
    /// The doors it has.
    pub doors: Doors,
    /// Its manifest.
    pub manifest: Option<Manifest>,
    /// The newest version of glibc that it needs.
    pub glibc: Option<String>,
    /// The libraries that it needs.
    pub libraries: Vec<Dependency>,
    /// Why it cannot be loaded.
    pub faults: Vec<Fault>,
    /// What may go wrong with it.
    pub warnings: Vec<Warning>,
}

/// The bytes of a file, in pages of their own: dropped, they are the system's again. An allocator would keep them, and most
/// of an idle server's memory would be what is left of its libraries' files.
#[derive(Debug)]
pub(super) struct Bytes {
    pages: MmapMut,
    length: usize,
}

impl Bytes {
    /// Reads a file that has this many bytes; of one that grows meanwhile, as many.
    fn read(mut file: File, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        // There is no mapping of nothing.
        let mut pages = MmapMut::map_anon(length.max(1))?;
        file.read_exact(&mut pages[..length])?;
        Ok(Self { pages, length })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.pages[..self.length]
    }
}

/// How a plugin can be entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Doors {
    /// The symbol that every plugin has.
    pub c: bool,
    /// The root module of plugins in Rust, with the check of their layout.
    pub rust: bool,
}

/// Reads a file once, and inspects what was read.
///
/// # Errors
///
/// When the file cannot be read; [`io::ErrorKind::InvalidInput`] when what is there is no file of a library.
pub(super) fn read(file: &Path, sha256: Option<&str>) -> io::Result<(Inspection, Bytes)> {
    let opened = File::open(file)?;
    let metadata = opened.metadata()?;
    if let Some(unfit) = unfit(&metadata) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, unfit));
    }
    let bytes = Bytes::read(opened, metadata.len())?;
    let mut inspection = inspect(file, &bytes, sha256);
    if others_may_write(&metadata) {
        inspection.warnings.push(Warning::OthersMayWrite);
    }
    Ok((inspection, bytes))
}

/// Why nothing of it is read, as a sentence about it.
fn unfit(metadata: &Metadata) -> Option<&'static str> {
    if metadata.is_dir() {
        Some("it is a folder")
    } else if !metadata.is_file() {
        Some("it is not a regular file")
    } else if metadata.len() > LARGEST {
        Some("it is larger than 2 GiB")
    } else {
        None
    }
}

/// Inspects these bytes as the library `file`, which they were read from.
pub fn inspect(file: &Path, bytes: &[u8], sha256: Option<&str>) -> Inspection {
    let mut inspection = Inspection {
        file: file.to_owned(),
        size: bytes.len(),
        sha256: digest(bytes),
        ..Inspection::default()
    };
    if let Some(expected) =
        sha256.filter(|expected| !expected.eq_ignore_ascii_case(&inspection.sha256))
    {
        inspection.faults.push(Fault::OtherDigest {
            expected: expected.to_owned(),
            found: inspection.sha256.clone(),
        });
    }
    if let Err(fault) = binary::inspect(&mut inspection, bytes) {
        inspection.faults.push(fault);
    }
    inspection
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Who may write a library decides what the server runs.
#[cfg(unix)]
fn others_may_write(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o002 != 0
}

#[cfg(not(unix))]
fn others_may_write(_metadata: &Metadata) -> bool {
    false
}
