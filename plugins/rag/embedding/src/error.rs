//! Why a model cannot be loaded.

use std::{fmt, io};

/// What is wrong with a model's folder. Files are named without their folder: callers may read it.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is not there or cannot be read.
    #[error("{file} cannot be read: {source}")]
    File {
        /// The file's name.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A file holds something else than what it should.
    #[error("{file}: {reason}")]
    Content {
        /// The file's name.
        file: String,
        /// What was expected and what is there.
        reason: String,
    },
    /// The model is of a kind that is not run here.
    #[error("{0}")]
    Unsupported(String),
    /// The device is not there.
    #[error("{0}")]
    Device(String),
}

impl ModelError {
    pub(crate) fn content(file: &str, reason: impl fmt::Display) -> Self {
        Self::Content {
            file: file.to_owned(),
            reason: reason.to_string(),
        }
    }
}
