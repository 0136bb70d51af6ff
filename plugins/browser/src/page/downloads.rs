//! Downloads of a session: the browser puts them into the session's folder, under names of its own; tools list them and
//! read them from there.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use base64::Engine as _;
use sandbox_plugin_api::prelude::*;
use serde_json::value::RawValue;

use super::context::Inner;
use crate::{
    chromium::Listener,
    failure::{Fault, Outcome},
};

/// So many downloads are remembered.
const MAX_DOWNLOADS: usize = 256;

/// A file that a page handed over.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Download {
    /// Its name for `browser:read_download`.
    pub(crate) id: String,
    /// The name that the page gave the file.
    pub(crate) name: String,
    /// Where it came from.
    pub(crate) url: String,
    /// How many bytes there are.
    pub(crate) size: u64,
    /// How far it is.
    pub(crate) state: State,
    #[serde(skip)]
    guid: String,
    #[serde(skip)]
    told: Option<State>,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It goes on.
    InProgress,
    /// The file is there.
    Completed,
    /// It was broken off, by the page, the network or the limit `max_download_bytes`.
    Cancelled,
}

/// The downloads of a session.
#[derive(Debug)]
pub(super) struct Downloads {
    folder: PathBuf,
    list: Vec<Download>,
    count: u64,
}

/// A part of a downloaded file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Piece {
    /// Which download.
    id: String,
    /// The file's name.
    name: String,
    /// The part, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The part as base64, if it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Where to go on reading.
    offset: u64,
    /// The whole file's length in bytes.
    size: u64,
    /// Whether there is more.
    truncated: bool,
}

impl Downloads {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            list: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn list(&self) -> Vec<Download> {
        self.list.clone()
    }

    /// What was not told yet.
    pub(super) fn news(&mut self) -> Vec<Download> {
        let fresh = self
            .list
            .iter_mut()
            .filter(|download| download.told != Some(download.state));
        fresh
            .map(|download| {
                download.told = Some(download.state);
                download.clone()
            })
            .collect()
    }

    fn begin(&mut self, event: Began) {
        self.count += 1;
        if self.list.len() == MAX_DOWNLOADS {
            self.list.remove(0);
        }
        self.list.push(Download {
            id: format!("d{}", self.count),
            name: event.suggested_filename,
            url: event.url.chars().take(2048).collect(),
            size: 0,
            state: State::InProgress,
            guid: event.guid,
            told: None,
        });
    }

    /// Takes the news in; says which download to break off, because there is too much.
    fn progress(&mut self, event: &Progress, most: u64) -> Option<String> {
        let download = self
            .list
            .iter_mut()
            .find(|download| download.guid == event.guid)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a size in bytes"
        )]
        let received = event.received_bytes as u64;
        download.size = received;
        download.state = match event.state.as_str() {
            "completed" => State::Completed,
            "canceled" => State::Cancelled,
            _ => State::InProgress,
        };
        let kept = |download: &&Download| download.state != State::Cancelled;
        let all: u64 = self.list.iter().filter(kept).map(|one| one.size).sum();
        if all <= most {
            return None;
        }
        let download = self.list.iter_mut().find(|one| one.guid == event.guid)?;
        if download.state == State::Completed {
            // It was there before it could be broken off.
            download.state = State::Cancelled;
            let file = self.folder.join(&download.guid);
            if let Err(error) = fs::remove_file(file) {
                tracing::warn!(%error, "a download that is too large cannot be removed");
            }
        }
        (download.state == State::InProgress).then(|| event.guid.clone())
    }

    /// The file of a download that is complete.
    pub(super) fn file(&self, id: &str) -> Outcome<(Download, PathBuf)> {
        let Some(download) = self.list.iter().find(|download| download.id == id) else {
            let known: Vec<&str> = self
                .list
                .iter()
                .map(|download| download.id.as_str())
                .collect();
            let known = if known.is_empty() {
                "there are none yet".to_owned()
            } else {
                known.join(", ")
            };
            return Err(Fault::param(
                "/id",
                format!("there is no download {id:?}; known: {known}"),
            ));
        };
        match download.state {
            State::Completed => Ok((download.clone(), self.folder.join(&download.guid))),
            State::InProgress => Err(Fault::failed(format!(
                "download {id} is not complete yet: ask again"
            ))),
            State::Cancelled => Err(Fault::failed(format!("download {id} was broken off"))),
        }
    }
}

impl Download {
    /// Whether this came from the address that somebody wanted to see.
    pub(super) fn is_from(&self, url: &str) -> bool {
        self.url == url
    }
}

/// Hears of the downloads of one browser context.
pub(super) struct Ears(pub(super) std::sync::Weak<Inner>);

impl Listener for Ears {
    fn event(&self, method: &str, params: &RawValue) {
        let Some(session) = self.0.upgrade() else {
            return;
        };
        match method {
            "Browser.downloadWillBegin" => {
                if let Ok(event) = serde_json::from_str(params.get()) {
                    session.downloads().begin(event);
                    session.stirred();
                }
            }
            "Browser.downloadProgress" => {
                if let Ok(event) = serde_json::from_str(params.get()) {
                    let excess = session
                        .downloads()
                        .progress(&event, session.max_download_bytes);
                    if let Some(guid) = excess {
                        session.break_off(&guid);
                    }
                    session.stirred();
                }
            }
            _ => {}
        }
    }
}

/// Reads a part of a file.
pub(super) fn read(
    download: &Download,
    file: &Path,
    offset: u64,
    most: usize,
) -> std::io::Result<Piece> {
    let mut file = fs::File::open(file)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(most as u64).read_to_end(&mut bytes)?;
    let more = offset + (bytes.len() as u64) < size;
    // A character that the limit cuts belongs to the next part.
    let (text, base64) = match std::str::from_utf8(&bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(error) if more && error.error_len().is_none() && error.valid_up_to() > 0 => {
            bytes.truncate(error.valid_up_to());
            (String::from_utf8(bytes.clone()).ok(), None)
        }
        Err(_) => (
            None,
            Some(base64::engine::general_purpose::STANDARD.encode(&bytes)),
        ),
    };
    let end = offset + bytes.len() as u64;
    Ok(Piece {
        id: download.id.clone(),
        name: download.name.clone(),
        text,
        base64,
        offset: end,
        size,
        truncated: end < size,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Began {
    guid: String,
    url: String,
    suggested_filename: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    guid: String,
    received_bytes: f64,
    state: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_not_kept_also_when_it_was_faster_than_we() {
        let folder = tempfile::tempdir().unwrap();
        let mut downloads = Downloads::new(folder.path().to_owned());
        let mut hear = |guid: &str, received, state: &str| {
            if state == "begin" {
                downloads.begin(Began {
                    guid: guid.to_owned(),
                    url: String::new(),
                    suggested_filename: String::new(),
                });
                fs::write(folder.path().join(guid), "").unwrap();
                return (None, State::InProgress);
            }
            let event = Progress {
                guid: guid.to_owned(),
                received_bytes: received,
                state: state.to_owned(),
            };
            let excess = downloads.progress(&event, 100);
            (excess, downloads.list.last().unwrap().state)
        };
        hear("large", 0.0, "begin");
        let broken_off = (Some("large".to_owned()), State::InProgress);
        assert_eq!(hear("large", 101.0, "inProgress"), broken_off);
        assert_eq!(hear("large", 120.0, "completed"), (None, State::Cancelled));
        assert!(!folder.path().join("large").exists());
        // What was not kept takes no room.
        hear("small", 0.0, "begin");
        assert_eq!(hear("small", 100.0, "completed"), (None, State::Completed));
        assert!(folder.path().join("small").exists());
    }
}
