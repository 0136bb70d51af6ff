//! A configuration file in memory: its text, its value, and the place of every key and value in the text.
//! Owns the mapping from JSON pointer to line and column. How it is made: `parse.rs`, `expand.rs`.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::diagnostic::Location;
use crate::schema::is_within;

/// The text of a file under the name that the operator gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The file as it was named.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

impl Source {
    /// Line and column, from 1, of a byte offset.
    pub(super) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The whole lines that a part of the text touches.
    pub(super) fn lines_around(&self, span: &Range<usize>) -> Range<usize> {
        let bytes = self.text.as_bytes();
        let start = memchr::memrchr(b'\n', &bytes[..span.start]).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', &bytes[span.end..]).map_or(bytes.len(), |it| span.end + it);
        start..end
    }
}

/// Where a value stands, and the key before it when it is a member of an object.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) key: Option<Range<usize>>,
    pub(super) value: Range<usize>,
}

/// A parsed file: comments dropped, the environment expanded.
#[derive(Debug)]
pub struct Document {
    pub(super) source: Arc<Source>,
    pub(super) directory: PathBuf,
    pub(super) value: Value,
    pub(super) places: HashMap<String, Place>,
    /// Where texts stand that must not be repeated.
    pub(super) secrets: Vec<Range<usize>>,
    pub(super) placeholders: Placeholders,
}

/// Which strings held `${…}`.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    /// Strings that took at least a part from the environment or from a default.
    pub(super) expanded: HashSet<String>,
    /// Strings that were one placeholder and nothing else: they may stand for a number or a truth value.
    pub(super) whole: HashSet<String>,
    /// Strings that could not be expanded; their values say nothing.
    pub(super) unresolved: HashSet<String>,
}

impl Document {
    /// The whole value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The directory of the file: what relative paths in it are relative to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Resolves a path that stands in the file. Every relative path of a configuration goes through here.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        // Collecting the components drops `.` parts; `..` stays, for a link may stand before it.
        self.directory.join(path).components().collect()
    }

    /// The place of the value at `pointer`, or of the nearest thing around it that stands in the file.
    pub fn locate(&self, pointer: &str) -> Option<Location> {
        self.nearest(pointer, |place| place.value.clone())
    }

    /// The place of the key at `pointer`; of the value when it has no key.
    pub fn locate_key(&self, pointer: &str) -> Option<Location> {
        self.nearest(pointer, |place| {
            place.key.clone().unwrap_or_else(|| place.value.clone())
        })
    }

    /// Whether the value at `pointer` came from the environment.
    pub(super) fn is_from_environment(&self, pointer: &str) -> bool {
        self.placeholders.expanded.contains(pointer)
    }

    fn nearest(&self, pointer: &str, span: impl Fn(&Place) -> Range<usize>) -> Option<Location> {
        if let Some(place) = self.places.get(pointer) {
            return Some(self.location(span(place)));
        }
        let mut around = pointer;
        while let Some((parent, _)) = around.rsplit_once('/') {
            if let Some(place) = self.places.get(parent) {
                return Some(self.location(self.opening(parent, place)));
            }
            around = parent;
        }
        None
    }

    fn location(&self, span: Range<usize>) -> Location {
        Location::new(&self.source, span).without(&self.secrets)
    }

    /// What stands for an object that lacks something: its key, or for the document its first brace.
    fn opening(&self, pointer: &str, place: &Place) -> Range<usize> {
        debug_assert!(is_within(pointer, ""));
        let start = place.value.start;
        let brace = start..self.source.text.ceil_char_boundary(start + 1);
        place.key.clone().unwrap_or(brace)
    }
}
