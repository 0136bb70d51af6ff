//! Finds files by their names, and lines by what they hold.

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use grep_regex::RegexMatcherBuilder;
use grep_searcher::{BinaryDetection, SearcherBuilder, sinks};
use sandbox_plugin_api::{CallContext, Error};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Place, walk};

/// The most characters of a line that an answer shows.
const LINE_LENGTH: usize = 500;
/// The longest line that is searched, in bytes.
const LINE_MEMORY: usize = 8 << 20;
/// The most memory that a compiled pattern may take.
const PATTERN_MEMORY: usize = 8 << 20;

/// Files that were found.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// Their paths in the workspace, newest first.
    files: Vec<String>,
    /// Whether there are more.
    truncated: bool,
}

/// Lines that were found.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Matches {
    /// The lines.
    matches: Vec<Hit>,
    /// Whether there are more.
    truncated: bool,
}

/// A line that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Hit {
    /// The file's path in the workspace.
    path: String,
    /// The line's number; the first one is 1.
    line: u64,
    /// The line, or its beginning.
    text: String,
}

/// Finds the files below `start` whose path from there matches.
///
/// # Errors
/// What is wrong with the pattern or the path.
pub(crate) fn glob(
    root: &OwnedFd,
    start: &Place,
    pattern: &str,
    limit: usize,
    ctx: &CallContext,
) -> Result<Found, Error> {
    let matcher = matcher(pattern, "/pattern")?;
    let mut found = Vec::new();
    walk(root, start, &mut |entry| {
        let from_start = entry.path.strip_prefix(start.path()).unwrap_or(entry.path);
        if matcher.is_match(from_start) {
            let changed = (entry.stat.st_mtime, entry.stat.st_mtime_nsec);
            found.push((changed, entry.path.to_string_lossy().into_owned()));
        }
        unless_cancelled(ctx)
    })
    .map_err(|fault| fault.at("/path"))?;
    // Newest first; those of the same moment by name.
    found.sort_by(|(one, name), (other, other_name)| other.cmp(one).then(name.cmp(other_name)));
    let truncated = found.len() > limit;
    found.truncate(limit);
    Ok(Found {
        files: found.into_iter().map(|(_, path)| path).collect(),
        truncated,
    })
}

/// Finds the lines that match in the text files below `start`, or in those of them that `filter` names.
///
/// # Errors
/// What is wrong with the patterns or the path.
pub(crate) fn grep(
    root: &OwnedFd,
    start: &Place,
    pattern: &str,
    filter: Option<&str>,
    limit: usize,
    ctx: &CallContext,
) -> Result<Matches, Error> {
    let matcher = RegexMatcherBuilder::new()
        .line_terminator(Some(b'\n'))
        .size_limit(PATTERN_MEMORY)
        .build(pattern)
        .map_err(|error| Error::param("/pattern", error))?;
    let filter = filter.map(Filter::new).transpose()?;
    let mut searcher = SearcherBuilder::new()
        .binary_detection(BinaryDetection::quit(0))
        .line_number(true)
        .heap_limit(Some(LINE_MEMORY))
        .build();
    let mut found = Matches::default();
    let mut files = Vec::new();
    walk(root, start, &mut |entry| {
        let from_start = entry.path.strip_prefix(start.path()).unwrap_or(entry.path);
        let is_wanted = |filter: &Filter| filter.is_match(from_start, entry.path);
        if filter.as_ref().is_none_or(is_wanted) {
            files.push(entry.path.to_owned());
        }
        unless_cancelled(ctx)
    })
    .map_err(|fault| fault.at("/path"))?;
    // In an order that does not change from call to call.
    files.sort();
    for path in files {
        if found.truncated || ctx.is_cancelled() {
            break;
        }
        let place = Place::below(&path);
        // What is gone or no ordinary file any more is passed by.
        let Ok(file) = super::open::readable(root, &place) else {
            continue;
        };
        let shown = path.to_string_lossy();
        let sink = sinks::Lossy(|line, text| {
            if found.matches.len() == limit {
                found.truncated = true;
                return Ok(false);
            }
            found.matches.push(Hit {
                path: shown.as_ref().to_owned(),
                line,
                text: text.trim_end().chars().take(LINE_LENGTH).collect(),
            });
            Ok(true)
        });
        if let Err(error) = searcher.search_file(&matcher, &file, sink) {
            tracing::debug!(%error, "a file could not be searched to its end");
        }
    }
    Ok(found)
}

/// Which files are searched: a pattern without a slash is about names, in whatever folder.
struct Filter {
    matcher: GlobMatcher,
    is_name: bool,
}

impl Filter {
    fn new(glob: &str) -> Result<Self, Error> {
        Ok(Self {
            matcher: matcher(glob, "/glob")?,
            is_name: !glob.contains('/'),
        })
    }

    fn is_match(&self, from_start: &Path, path: &Path) -> bool {
        if self.is_name {
            path.file_name()
                .is_some_and(|name| self.matcher.is_match(name))
        } else {
            self.matcher.is_match(from_start)
        }
    }
}

fn matcher(glob: &str, pointer: &str) -> Result<GlobMatcher, Error> {
    let glob = GlobBuilder::new(glob)
        .literal_separator(true)
        .build()
        .map_err(|error| Error::param(pointer, error.kind()))?;
    Ok(glob.compile_matcher())
}

fn unless_cancelled(ctx: &CallContext) -> ControlFlow<()> {
    if ctx.is_cancelled() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}
