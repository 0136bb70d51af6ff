//! Paths that callers write, and what is wrong with them. Whether a path leads out is for the kernel to find.

use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;
use sandbox_plugin_api::{Code, Error};

/// A path below the workspace, as the kernel takes it. It may still hold `..` and name links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// Reads a path: relative to the workspace, or absolute as programs know it (`root` is what they call the workspace).
    ///
    /// # Errors
    /// A path that is empty or begins elsewhere.
    pub(crate) fn parse(text: &str, root: &str) -> Result<Self, Fault> {
        if text.contains('\0') {
            return Err(Fault::Unusable("it holds a zero byte"));
        }
        let path = Path::new(text);
        let below = if path.is_absolute() {
            path.strip_prefix(root).map_err(|_| Fault::Outside)?
        } else {
            path
        };
        let parts = below
            .components()
            .filter(|part| !matches!(part, Component::CurDir));
        Ok(Self(parts.collect()))
    }

    /// A path that was found below the workspace.
    pub(crate) fn below(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The path, relative to the workspace; empty for the workspace itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path as the kernel takes it, which does not know the empty one.
    pub(crate) fn or_dot(&self) -> &Path {
        if self.0.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &self.0
        }
    }

    /// The path as answers show it.
    pub(crate) fn shown(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

/// Why a file of the workspace cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is none.
    #[error("there is no such file")]
    Missing,
    /// The path leads out of the workspace, by `..`, a link or its beginning.
    #[error("it leads out of the workspace")]
    Outside,
    /// It is no ordinary file.
    #[error("it is {0}, not an ordinary file")]
    Kind(&'static str),
    /// It is not a directory.
    #[error("it is not a directory")]
    NotADirectory,
    /// The workspace has no more room.
    #[error("the workspace is full; delete files first")]
    Full,
    /// It is larger than it may be.
    #[error("it holds {size} bytes, more than the {limit} that this tool takes")]
    TooLarge {
        /// Its size.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Something else is wrong with it.
    #[error("{0}")]
    Unusable(&'static str),
    /// The operating system refused.
    #[error("the operating system refuses it ({0})")]
    Refused(Errno),
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            Errno::XDEV => Self::Outside,
            // A link, at the end of a path whose links are not followed, or one too many.
            Errno::LOOP => Self::Unusable("it leads through too many links"),
            Errno::NOTDIR => Self::NotADirectory,
            Errno::ISDIR => Self::Kind("a directory"),
            Errno::NXIO => Self::Kind("a pipe or socket"),
            Errno::NOSPC | Errno::DQUOT => Self::Full,
            Errno::NAMETOOLONG => Self::Unusable("a part of it is too long"),
            other => Self::Refused(other),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Errno::from_io_error(&error).map_or(Self::Unusable("it cannot be read"), Self::from)
    }
}

impl Fault {
    /// The error for the caller whose parameter at `pointer` it is.
    pub(crate) fn at(self, pointer: &str) -> Error {
        let code = match self {
            Self::Outside => Code::Forbidden,
            Self::Full => Code::TooMany,
            Self::Refused(_) => Code::Failed,
            _ => return Error::param(pointer, self),
        };
        Error::new(code, format!("parameter {pointer}: {self}"))
            .with_data(sandbox_plugin_api::prelude::json!({ "pointer": pointer }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_or_begin_with_the_workspace() {
        for (text, path) in [
            ("a/b.txt", "a/b.txt"),
            ("./a//b", "a/b"),
            ("/workspace/a", "a"),
            ("/workspace", ""),
            ("", ""),
            (".", ""),
            // The kernel decides whether these lead out.
            ("a/../b", "a/../b"),
            ("../x", "../x"),
        ] {
            let place = Place::parse(text, "/workspace").unwrap();
            assert_eq!(place.path(), Path::new(path), "{text}");
        }
        for text in ["/etc/passwd", "/workspaces/a", "/"] {
            assert_eq!(
                Place::parse(text, "/workspace"),
                Err(Fault::Outside),
                "{text}"
            );
        }
        assert!(Place::parse("a\0b", "/workspace").is_err());
    }
}
