//! The file: appended to, put aside when it is large, opened anew when it was put aside by others.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

/// An open audit log.
pub(super) struct AuditFile {
    path: PathBuf,
    file: File,
    size: u64,
    max_bytes: u64,
    keep: u32,
    /// The last write may have ended inside a line.
    torn: bool,
}

impl AuditFile {
    pub(super) fn open(path: &Path, max_bytes: u64, keep: u32) -> io::Result<Self> {
        let (file, size) = open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            max_bytes,
            keep,
            torn: false,
        })
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.max_bytes > 0 && self.size > 0 && self.size + text.len() as u64 > self.max_bytes {
            self.put_aside();
        }
        if std::mem::replace(&mut self.torn, true) {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(text)?;
        self.torn = false;
        self.size += text.len() as u64;
        Ok(())
    }

    /// Closes the file and opens what now has its name. When that fails, writing goes on in the old one.
    pub(super) fn reopen(&mut self) {
        match open(&self.path) {
            Ok((file, size)) => {
                (self.file, self.size) = (file, size);
                // A new file has no line that was begun.
                self.torn &= size > 0;
            }
            Err(error) => tracing::error!(%error, "the audit log cannot be opened anew"),
        }
    }

    /// `FILE` becomes `FILE.1`, that `FILE.2`, and the last of them is gone.
    fn put_aside(&mut self) {
        for number in (1..self.keep).rev() {
            // What is not there cannot be renamed.
            let _ = fs::rename(self.numbered(number), self.numbered(number + 1));
        }
        if let Err(error) = fs::rename(&self.path, self.numbered(1)) {
            tracing::error!(%error, "the audit log cannot be put aside");
        }
        self.reopen();
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Whether the file could be opened, as far as that can be told without making it.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Ok(access(path, Access::WRITE_OK)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
        }
        Err(error) => Err(error),
    }
}

/// Only its owner may read who did what.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_put_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut file = AuditFile::open(&path, 10, 2).unwrap();
        for text in ["first 1\n", "second\n", "third 3\n", "fourth\n"] {
            file.append(text.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("audit.log"), "fourth\n");
        assert_eq!(read("audit.log.1"), "third 3\n");
        assert_eq!(read("audit.log.2"), "second\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn after_others_put_it_aside_a_new_one_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut file = AuditFile::open(&path, 0, 1).unwrap();
        file.append(b"old\n").unwrap();
        fs::rename(&path, folder.path().join("old")).unwrap();
        file.reopen();
        file.append(b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    }
}
