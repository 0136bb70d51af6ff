//! What is wrong with a configuration, where, and what to do: for people and for programs.
//! Owns the form of a message, not the finding of faults.

use std::{fmt, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::document::Source;

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// Used, but probably not what was meant, or not safe.
    Warning,
    /// Worth knowing.
    Note,
}

/// A place in the file; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The file as it was named.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    #[serde(skip)]
    span: Range<usize>,
    #[serde(skip)]
    source: Arc<Source>,
    /// The line holds a secret and must not be repeated.
    #[serde(skip)]
    secret: bool,
}

impl Location {
    pub(crate) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let (line, column) = source.line_and_column(span.start);
        Self {
            file: source.name.clone(),
            line,
            column,
            span,
            source: Arc::clone(source),
            secret: false,
        }
    }

    /// The same place, whose lines are not repeated if they hold one of these secrets.
    pub(super) fn without(mut self, secrets: &[Range<usize>]) -> Self {
        let lines = self.source.lines_around(&self.span);
        self.secret = (secrets.iter()).any(|at| at.start < lines.end && lines.start < at.end);
        self
    }
}

/// One fault, warning or note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Where it is; `None` when it concerns no place in the file.
    #[serde(flatten)]
    pub location: Option<Location>,
    /// The JSON pointer of what it concerns; empty for the whole document.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What else there is to read, in lines for people, the hint among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(
        severity: Severity,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            location: None,
            pointer: pointer.into(),
            message: message.into(),
            hint: None,
            details: None,
        }
    }

    pub(crate) fn error(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, pointer, message)
    }

    pub(crate) fn warning(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, pointer, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(mut self, location: Option<Location>) -> Self {
        self.location = location;
        self
    }

    fn group(&self) -> Group<'_> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(match &self.details {
            Some(details) => format!("{}\n{details}", self.message),
            None => self.message.clone(),
        });
        let group = match &self.location {
            Some(location) if location.secret => title.element(
                annotate_snippets::Origin::path(location.file.as_str())
                    .line(location.line)
                    .char_column(location.column),
            ),
            Some(location) => title.element(
                Snippet::source(location.source.text.as_str())
                    .path(location.file.as_str())
                    .annotation(AnnotationKind::Primary.span(location.span.clone())),
            ),
            None => Group::with_title(title),
        };
        match &self.hint {
            Some(hint) if self.details.is_none() => {
                group.element(Level::HELP.message(hint.as_str()))
            }
            _ => group,
        }
    }

    fn order(&self) -> (Option<usize>, Severity) {
        (
            self.location.as_ref().map(|location| location.span.start),
            self.severity,
        )
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Location {
            file, line, column, ..
        }) = &self.location
        {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// All diagnostics as a person reads them: each with its line of the file, and a last line that counts.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[diagnostic.group()]));
        text.push_str("\n\n");
    }
    text.push_str(&summary(diagnostics));
    text.push('\n');
    text
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let counted = [
        (Severity::Error, "error"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
    ]
    .into_iter()
    .filter_map(|(severity, word)| {
        match diagnostics
            .iter()
            .filter(|one| one.severity == severity)
            .count()
        {
            0 => None,
            1 => Some(format!("1 {word}")),
            many => Some(format!("{many} {word}s")),
        }
    })
    .collect::<Vec<_>>();
    if counted.is_empty() {
        "no errors".to_owned()
    } else {
        counted.join(", ")
    }
}

/// In the order of the file, which is the order in which an operator mends them.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(Diagnostic::order);
}
