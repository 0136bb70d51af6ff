//! The corpus: a JSON Lines file with a document a line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::document::{Document, DocumentError, Id};

/// No document is as long as this; a file that has such a line is no JSON Lines file.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a corpus cannot be read. `file` is the file's name alone: callers may read it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CorpusError {
    /// The file cannot be opened or read.
    #[error("{file} cannot be read")]
    Io {
        /// The file's name.
        file: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A line is not a JSON object.
    #[error("{file}:{line}: not a JSON object")]
    Json {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// Where in the line.
        #[source]
        source: serde_json::Error,
    },
    /// A line is no document.
    #[error("{file}:{line}: {error}")]
    Document {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// A line is longer than any document.
    #[error("{file}:{line}: the line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// An id that an earlier line has.
    #[error("{file}:{line}: the id {id:?} is that of line {earlier} already")]
    Twice {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The line that had it first.
        earlier: usize,
        /// The id.
        id: String,
    },
}

/// What a corpus file was when it was read: by it a change is noticed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Fingerprint {
    bytes: u64,
    modified_ns: u64,
    sha256: String,
}

/// A corpus file, and what it looks like from outside.
pub(crate) struct Corpus {
    path: PathBuf,
    bytes: u64,
    modified_ns: u64,
}

impl Corpus {
    /// Looks at the file without reading it.
    pub(crate) fn at(path: &Path) -> Result<Self, CorpusError> {
        let metadata = path
            .metadata()
            .and_then(|metadata| Ok((metadata.len(), metadata.modified()?)));
        let (bytes, modified) = metadata.map_err(io_error(path))?;
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            bytes,
            modified_ns: u64::try_from(age.as_nanos()).unwrap_or_default(),
        })
    }

    /// How long the file is.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the file is untouched since the fingerprint was taken, as far as its length and
    /// time tell.
    pub(crate) fn is_untouched(&self, since: &Fingerprint) -> bool {
        self.bytes == since.bytes && self.modified_ns == since.modified_ns
    }

    /// Reads the whole file for its fingerprint.
    pub(crate) fn fingerprint(&self) -> Result<Fingerprint, CorpusError> {
        let mut hash = Sha256::new();
        let mut file = self.open()?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer).map_err(io_error(&self.path))? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        Ok(Fingerprint {
            bytes: self.bytes,
            modified_ns: self.modified_ns,
            sha256: hex::encode(hash.finalize()),
        })
    }

    /// The file's lines.
    pub(crate) fn lines(&self) -> Result<Lines, CorpusError> {
        Ok(Lines {
            reader: BufReader::with_capacity(1 << 16, self.open()?),
            file: name_of(&self.path),
            path: self.path.clone(),
            line: 0,
            read: 0,
        })
    }

    fn open(&self) -> Result<File, CorpusError> {
        File::open(&self.path).map_err(io_error(&self.path))
    }
}

impl Fingerprint {
    /// Whether both are of the same content, whenever it was written.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

/// The documents of a corpus, one after the other.
pub(crate) struct Lines {
    reader: BufReader<File>,
    file: String,
    path: PathBuf,
    line: usize,
    read: u64,
}

/// A document and its place.
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) document: Document,
    /// Whether the line said the id, and did not leave it to the content.
    pub(crate) has_id: bool,
}

impl Lines {
    /// How many bytes were read.
    pub(crate) const fn position(&self) -> u64 {
        self.read
    }

    /// That a line has the id of an earlier one.
    pub(crate) fn twice(&self, id: String, earlier: usize) -> CorpusError {
        CorpusError::Twice {
            file: self.file.clone(),
            line: self.line,
            earlier,
            id,
        }
    }

    /// The next line that is not empty.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, CorpusError> {
        loop {
            let mut bytes = Vec::new();
            let mut limited = Read::take(&mut self.reader, MAX_LINE_BYTES);
            let read = limited
                .read_until(b'\n', &mut bytes)
                .map_err(io_error(&self.path))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.read += read as u64;
            if read as u64 == MAX_LINE_BYTES {
                return Err(CorpusError::TooLong {
                    file: self.file.clone(),
                    line: self.line,
                });
            }
            // Editors on Windows begin a file with a byte order mark.
            let text = bytes
                .strip_prefix(b"\xef\xbb\xbf")
                .unwrap_or(&bytes)
                .trim_ascii();
            if !text.is_empty() {
                return Ok(Some(text.to_vec()));
            }
        }
    }

    fn parse(&self, json: &[u8]) -> Result<Line, CorpusError> {
        let fields = serde_json::from_slice(json).map_err(|source| CorpusError::Json {
            file: self.file.clone(),
            line: self.line,
            source,
        })?;
        let (document, has_id) = document(fields).map_err(|error| CorpusError::Document {
            file: self.file.clone(),
            line: self.line,
            error,
        })?;
        Ok(Line {
            number: self.line,
            document,
            has_id,
        })
    }
}

impl Iterator for Lines {
    type Item = Result<Line, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        let json = self.next_line().transpose()?;
        Some(json.and_then(|json| self.parse(&json)))
    }
}

/// A document from a line's fields: those that are not its parts are its metadata.
fn document(mut fields: Map<String, Value>) -> Result<(Document, bool), DocumentError> {
    let id = match fields.shift_remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(Id::Text(id)),
        Some(Value::Number(id)) => Some(Id::Text(id.to_string())),
        Some(_) => return Err(wrong("id", "expected text or a number")),
    };
    let title = text(&mut fields, "title")?;
    let contents = match text(&mut fields, "contents")? {
        Some(contents) => Some(contents),
        None => text(&mut fields, "text")?,
    };
    if let Some(Value::Object(metadata)) = fields.get("metadata").cloned() {
        fields.shift_remove("metadata");
        fields.extend(metadata);
    }
    let has_id = id.is_some();
    // The operator's own file needs no limit beyond that of a line.
    let document = Document::new(id, title, contents, fields, usize::MAX)?;
    Ok((document, has_id))
}

fn text(
    fields: &mut Map<String, Value>,
    field: &'static str,
) -> Result<Option<String>, DocumentError> {
    match fields.shift_remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(field, "expected text")),
    }
}

fn wrong(field: &'static str, reason: &str) -> DocumentError {
    DocumentError {
        field,
        reason: reason.to_owned(),
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> CorpusError {
    let file = name_of(path);
    move |source| CorpusError::Io { file, source }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Vec<Document>, CorpusError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.jsonl");
        fs::write(&path, text).unwrap();
        let lines = Corpus::at(&path)?.lines()?;
        lines.map(|line| line.map(|line| line.document)).collect()
    }

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn fields_that_are_no_parts_are_metadata() {
        let documents = read(
            "\u{feff}{\"id\":7,\"title\":\"T\",\"text\":\"one\",\"lang\":\"en\",\"metadata\":{\"year\":1}}\r\n\n\
             {\"contents\":\"two\"}",
        )
        .unwrap();
        assert_eq!(documents[0].id, "7");
        assert_eq!(
            Value::Object(documents[0].metadata.clone()),
            json!({"lang": "en", "year": 1})
        );
        assert_eq!(documents[1].contents, "two");
        assert_eq!(documents.len(), 2);
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert_eq!(
            error("{\"text\":\"a\"}\n\n{\"text\":"),
            "c.jsonl:3: not a JSON object"
        );
        assert_eq!(error("[]"), "c.jsonl:1: not a JSON object");
        assert_eq!(
            error("{\"title\":\"a\"}"),
            "c.jsonl:1: contents: expected text that is not empty"
        );
        assert_eq!(error("{\"text\":1}"), "c.jsonl:1: text: expected text");
        assert_eq!(
            error("{\"text\":\"a\",\"id\":[]}"),
            "c.jsonl:1: id: expected text or a number"
        );
    }

    #[test]
    fn a_missing_file_is_named_without_its_folder() {
        let error = Corpus::at(Path::new("/nowhere/x.jsonl")).err().unwrap();
        assert_eq!(error.to_string(), "x.jsonl cannot be read");
    }

    #[test]
    fn the_fingerprint_is_of_the_content() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("1"), directory.path().join("2"));
        fs::write(&one, "x").unwrap();
        fs::write(&two, "x").unwrap();
        let first = Corpus::at(&one).unwrap().fingerprint().unwrap();
        let second = Corpus::at(&two).unwrap().fingerprint().unwrap();
        assert!(first.same_content(&second));
        assert!(Corpus::at(&one).unwrap().is_untouched(&first));
        fs::write(&one, "y!").unwrap();
        let changed = Corpus::at(&one).unwrap();
        assert!(!changed.is_untouched(&first));
        assert!(!changed.fingerprint().unwrap().same_content(&first));
    }
}
