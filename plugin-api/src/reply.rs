//! What a tool answers: data, binary parts, a message, and keys for `meta`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    abi::{Blob, BlobList, Buffer, Outcome},
    error::{Error, Result},
};

/// An answer that is more than a value: with images, with a message, or with `meta`.
///
/// A tool that has only data to return returns its own type, which must be [`Serialize`].
#[derive(Debug, Default)]
pub struct Reply {
    data: Vec<u8>,
    message: String,
    /// Most answers have none, and every answer is moved several times.
    meta: Option<Box<Map<String, Value>>>,
    blobs: Vec<Binary>,
}

#[derive(Debug)]
struct Binary {
    key: &'static str,
    media_type: &'static str,
    bytes: Vec<u8>,
}

impl Reply {
    /// An answer with this data.
    ///
    /// # Errors
    ///
    /// When the data cannot be written as JSON.
    pub fn new(data: impl Serialize) -> Result<Self> {
        Ok(Self {
            data: json_of(&data)?,
            ..Self::default()
        })
    }

    /// Adds bytes that clients find under `key` in the data, as base64 in JSON and as an image or
    /// a resource over MCP. The data must be an object, or absent.
    #[must_use]
    pub fn with_binary(
        mut self,
        key: &'static str,
        media_type: &'static str,
        bytes: Vec<u8>,
    ) -> Self {
        self.blobs.push(Binary {
            key,
            media_type,
            bytes,
        });
        self
    }

    /// Adds a PNG under the key `image`.
    #[must_use]
    pub fn with_png(self, bytes: Vec<u8>) -> Self {
        self.with_binary("image", "image/png", bytes)
    }

    /// Says something beside the data; without it the message is `success`.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds a key to the answer's `meta`.
    #[must_use]
    pub fn with_meta(mut self, key: &str, value: impl Into<Value>) -> Self {
        let meta = self.meta.get_or_insert_default();
        meta.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        Outcome {
            message: self.message.into(),
            data: self.data.into(),
            meta: self
                .meta
                .map_or(Buffer::EMPTY, |meta| meta_bytes(&meta).into()),
            blobs: blob_list(self.blobs),
            ..Outcome::SUCCESS
        }
    }
}

impl Binary {
    fn into_blob(self) -> Blob {
        Blob {
            key: self.key.to_owned().into(),
            media_type: self.media_type.to_owned().into(),
            bytes: self.bytes.into(),
        }
    }
}

/// The JSON of `data`; none for `null`, which is what no data means. Most types without a size are
/// `()`: for them there is nothing to allocate.
fn json_of<T: Serialize>(data: &T) -> serde_json::Result<Vec<u8>> {
    let mut null = [0; 4];
    if size_of::<T>() == 0 && serde_json::to_writer(&mut null[..], data).is_ok() && &null == b"null"
    {
        return Ok(Vec::new());
    }
    serde_json::to_vec(data)
}

fn blob_list(blobs: Vec<Binary>) -> BlobList {
    if blobs.is_empty() {
        return BlobList::EMPTY;
    }
    let blobs: Vec<Blob> = blobs.into_iter().map(Binary::into_blob).collect();
    blobs.into()
}

fn meta_bytes(meta: &Map<String, Value>) -> Vec<u8> {
    // A map with text keys always serialises.
    serde_json::to_vec(meta).unwrap_or_default()
}

/// What a tool may return: a [`Reply`], or anything that serialises.
#[diagnostic::on_unimplemented(
    message = "a tool cannot return `{Self}`: it does not serialise",
    label = "derive `Serialize` for it, or return a `Reply`"
)]
pub trait IntoReply {
    /// The answer.
    ///
    /// # Errors
    ///
    /// When the data cannot be written as JSON.
    fn into_reply(self) -> Result<Reply>;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Result<Reply> {
        Ok(self)
    }
}

impl<T: Serialize> IntoReply for T {
    fn into_reply(self) -> Result<Reply> {
        Reply::new(self)
    }
}

pub(crate) fn outcome_of(result: Result<Reply>) -> Outcome {
    match result {
        Ok(reply) => reply.into_outcome(),
        Err(error) => error_outcome(&error),
    }
}

pub(crate) fn error_outcome(error: &Error) -> Outcome {
    let data = error
        .data()
        .and_then(|data| serde_json::to_vec(data).ok())
        .unwrap_or_default();
    Outcome {
        code: error.code().number(),
        message: error.message().to_owned().into(),
        data: data.into(),
        ..Outcome::SUCCESS
    }
}
