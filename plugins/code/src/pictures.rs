//! Pictures that a program wrote, for the answer to show.
//!
//! Only formats that a model can be shown: an SVG is text, to be read as such. A file is what its contents say, not
//! what it is called; the name only saves looking into every file.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use imagesize::ImageType;
use schemars::JsonSchema;
use serde::Serialize;

use crate::files::{Place, read_whole};

/// Under which keys pictures stand in the answer's data; so many there can be at most.
pub(crate) const KEYS: [&str; 16] = [
    "image", "image_2", "image_3", "image_4", "image_5", "image_6", "image_7", "image_8",
    "image_9", "image_10", "image_11", "image_12", "image_13", "image_14", "image_15", "image_16",
];
/// Endings of names that are worth a look.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];

/// A picture, as the answer lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Picture {
    /// Its path in the workspace.
    pub(crate) path: String,
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// Its width and height in pixels.
    pub(crate) size: [usize; 2],
    /// The key of the data under which it stands, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'static str>,
    /// Why it does not stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) omitted: Option<String>,
}

/// The pictures among `files`, with the bytes of those that the answer holds.
pub(crate) fn among(
    root: &OwnedFd,
    files: &[(PathBuf, u64)],
    most: usize,
    largest: u64,
) -> Vec<(Picture, Vec<u8>)> {
    /// Enough of them to tell the caller that there are more.
    const LISTED: usize = 64;
    let mut found: Vec<(Picture, Vec<u8>)> = Vec::new();
    let mut keys = KEYS.iter().take(most);
    for (path, size) in files.iter().filter(|(path, _)| has_ending(path)) {
        if found.len() == LISTED {
            break;
        }
        let Some((media_type, dimensions, bytes)) = look(root, path, largest) else {
            continue;
        };
        let mut picture = Picture {
            path: path.to_string_lossy().into_owned(),
            media_type,
            size: dimensions,
            key: None,
            omitted: None,
        };
        if *size > largest {
            picture.omitted = Some(format!(
                "it has {size} bytes, and an answer takes {largest}"
            ));
        } else if let Some(key) = keys.next() {
            picture.key = Some(key);
        } else {
            picture.omitted = Some(format!("an answer holds {most} pictures"));
        }
        let bytes = if picture.key.is_some() {
            bytes
        } else {
            Vec::new()
        };
        found.push((picture, bytes));
    }
    found
}

fn has_ending(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// The picture in a file; none if it is no picture after all.
fn look(root: &OwnedFd, path: &Path, largest: u64) -> Option<(&'static str, [usize; 2], Vec<u8>)> {
    /// Pictures that are too large to be sent are still measured, up to here.
    const MEASURED: u64 = 64 << 20;
    let bytes = read_whole(root, &Place::below(path), MEASURED.max(largest)).ok()?;
    let media_type = match imagesize::image_type(&bytes).ok()? {
        ImageType::Png => "image/png",
        ImageType::Jpeg => "image/jpeg",
        ImageType::Gif => "image/gif",
        ImageType::Webp => "image/webp",
        _ => return None,
    };
    let size = imagesize::blob_size(&bytes).ok()?;
    Some((media_type, [size.width, size.height], bytes))
}
