//! Pictures in an answer: found, kept in a file, and left out of what people read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How base64 of the formats begins that a tool may answer with, and what they are called.
const BEGINNINGS: &[(&str, &str)] = &[
    ("iVBORw0KGgo", "PNG"),
    ("/9j/", "JPEG"),
    ("R0lGOD", "GIF"),
    ("UklGR", "WebP"),
    ("JVBERi0", "PDF"),
];

/// Short texts may begin like a picture by chance; no picture is this small.
const SMALLEST: usize = 64;

/// A picture that was taken out of an answer.
pub(super) struct Picture {
    format: &'static str,
    /// Its bytes, as the tool gave them.
    pub(super) bytes: Vec<u8>,
}

/// Takes the pictures out of an answer, and puts there what `describe` says of each.
///
/// `describe` gets the picture and its place among all, counted from zero.
pub(super) fn take(
    value: &mut Value,
    found: &mut Vec<Picture>,
    describe: &impl Fn(&Picture, usize) -> String,
) {
    match value {
        Value::String(text) => {
            if let Some(picture) = decode(text) {
                *text = describe(&picture, found.len());
                found.push(picture);
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| take(item, found, describe)),
        Value::Object(entries) => {
            entries
                .values_mut()
                .for_each(|entry| take(entry, found, describe));
        }
        _ => {}
    }
}

fn decode(text: &str) -> Option<Picture> {
    if text.len() < SMALLEST {
        return None;
    }
    let (_, format) = BEGINNINGS
        .iter()
        .find(|(beginning, _)| text.starts_with(beginning))?;
    let bytes = STANDARD.decode(text).ok()?;
    Some(Picture { format, bytes })
}

impl Picture {
    /// What it is, for people.
    pub(super) fn describe(&self) -> String {
        format!("{} picture of {} bytes", self.format, self.bytes.len())
    }
}

/// The file for a picture: the first takes the name as given, the others have their number in it.
pub(super) fn file_for(name: &Path, place: usize) -> PathBuf {
    if place == 0 {
        return name.to_owned();
    }
    let mut numbered = name.file_stem().unwrap_or_default().to_owned();
    numbered.push(format!("-{}", place + 1));
    if let Some(extension) = name.extension() {
        numbered.push(".");
        numbered.push(extension);
    }
    name.with_file_name(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn png() -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 100]].concat()
    }

    #[test]
    fn pictures_are_found_wherever_they_stand() {
        let text = STANDARD.encode(png());
        let mut data = json!({"image": text, "more": [{"image": text}], "size": [1, 2]});
        let mut found = Vec::new();
        take(&mut data, &mut found, &|picture, place| {
            format!("{place}: {}", picture.describe())
        });
        assert_eq!(
            data,
            json!({"image": "0: PNG picture of 108 bytes",
                   "more": [{"image": "1: PNG picture of 108 bytes"}], "size": [1, 2]})
        );
        assert!(found.iter().all(|picture| picture.bytes == png()));
    }

    #[test]
    fn text_stays_text() {
        let mut data = json!([
            "/9j/ is how it begins",
            format!("R0lGOD{}", "?".repeat(99)),
            "x".repeat(99)
        ]);
        let (before, mut found) = (data.clone(), Vec::new());
        take(&mut data, &mut found, &|_, _| String::new());
        assert_eq!(data, before);
        assert!(found.is_empty());
    }

    #[test]
    fn further_pictures_get_a_number() {
        let file = |place| file_for(Path::new("out/shot.png"), place);
        assert_eq!(file(0), Path::new("out/shot.png"));
        assert_eq!(file(1), Path::new("out/shot-2.png"));
        assert_eq!(file_for(Path::new("shot"), 2), Path::new("shot-3"));
    }
}
