//! The bytes that were inspected, where the system's loader can map them and nobody can change them.
//!
//! Never the original file: one that is overwritten while it is mapped ends the process, and one that
//! is replaced by another of the same name is not loaded again, because glibc knows libraries by name.

use std::{
    any::Any,
    fs, io,
    path::{Path, PathBuf},
};

/// A private copy of a library, as long as this lives. One that was loaded must live for ever: its
/// path must never come to name another library.
#[derive(Debug)]
pub(super) struct Image {
    path: PathBuf,
    /// The file in memory, or the folder: dropped, it is gone.
    _keep: Box<dyn Any + Send>,
}

impl Image {
    /// A copy of these bytes; `file` is where they came from.
    ///
    /// # Errors
    ///
    /// When there is neither memory nor a temporary folder for them.
    pub(super) fn new(bytes: &[u8], file: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Ok(image) = in_memory(bytes, file) {
            return Ok(image);
        }
        in_folder(bytes, file)
    }

    /// A path for the system's loader.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the copy until the process ends.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

/// A file in memory, sealed: no process can change it, not even this one.
///
/// Some machines forbid to run what is in memory; there the temporary folder serves.
#[cfg(target_os = "linux")]
fn in_memory(bytes: &[u8], file: &Path) -> io::Result<Image> {
    use std::{io::Write, os::fd::AsRawFd};

    use rustix::{
        fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
        io::Errno,
    };

    // The kernel takes up to 249 bytes; the name only shows in lists of mappings.
    let name: String = file
        .file_name()
        .map(|name| {
            name.to_string_lossy()
                .chars()
                .filter(char::is_ascii)
                .take(200)
                .collect()
        })
        .unwrap_or_default();
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create(&*name, flags | MemfdFlags::EXEC) {
        // Kernels before 6.3 do not know EXEC, and do not need it.
        Err(Errno::INVAL) => memfd_create(&*name, flags)?,
        created => created?,
    };
    let mut memory = fs::File::from(memory);
    memory.write_all(bytes)?;
    fcntl_add_seals(
        &memory,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
    // Without /proc there is no path to it.
    fs::metadata(&path)?;
    Ok(Image {
        path,
        _keep: Box::new(memory),
    })
}

/// A file in a folder of its own that only this user may enter.
fn in_folder(bytes: &[u8], file: &Path) -> io::Result<Image> {
    let folder = tempfile::Builder::new()
        .prefix("sandbox-plugin-")
        .tempdir()?;
    let path = folder
        .path()
        .join(file.file_name().unwrap_or("plugin".as_ref()));
    fs::write(&path, bytes)?;
    Ok(Image {
        path,
        _keep: Box::new(folder),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_hold_the_bytes() {
        for image in [
            Image::new(b"bytes", "a/liba.so".as_ref()).unwrap(),
            in_folder(b"bytes", "a/liba.so".as_ref()).unwrap(),
        ] {
            assert_eq!(fs::read(image.path()).unwrap(), b"bytes");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nobody_can_change_what_is_in_memory() {
        let image = in_memory(b"bytes", "liba.so".as_ref()).unwrap();
        let written = fs::write(image.path(), b"other");
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read(image.path()).unwrap(), b"bytes");
    }
}
