//! How an operation ended, as the host reads it.

use std::borrow::Cow;

use super::SessionHandle;
use crate::abi::{BlobList, Buffer};

/// What ended an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended by itself.
    Completed,
    /// The plugin's code panicked.
    Panicked,
    /// It was cancelled.
    Cancelled,
}

/// The outcome of an operation. Its bytes still belong to the plugin that wrote them, and are
/// freed by it when this is dropped.
#[derive(Debug)]
pub struct Answer {
    pub(crate) status: Status,
    pub(crate) code: i32,
    pub(crate) message: Buffer,
    pub(crate) data: Buffer,
    pub(crate) meta: Buffer,
    pub(crate) blobs: BlobList,
    pub(crate) session: Option<SessionHandle>,
}

impl Answer {
    /// What ended the operation.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The code of the protocol.
    #[must_use]
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// Whether it did what was asked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == Status::Completed && self.code == 0
    }

    /// What the caller may read; empty for the host's default.
    #[must_use]
    pub fn message(&self) -> Cow<'_, str> {
        self.message.text()
    }

    /// The result: JSON, or empty for `null`.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.data.bytes()
    }

    /// A JSON object with keys for `meta`, or empty.
    #[must_use]
    pub fn meta(&self) -> &[u8] {
        self.meta.bytes()
    }

    /// The binary parts: key, media type, bytes.
    pub fn blobs(&self) -> impl ExactSizeIterator<Item = (Cow<'_, str>, Cow<'_, str>, &[u8])> {
        self.blobs
            .blobs()
            .iter()
            .map(|blob| (blob.key.text(), blob.media_type.text(), blob.bytes.bytes()))
    }

    /// The session that was made, after a successful `initialize`.
    pub fn take_session(&mut self) -> Option<SessionHandle> {
        self.session.take()
    }
}
