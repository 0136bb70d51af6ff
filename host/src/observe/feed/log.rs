//! The end of the log: a layer beside the one that writes to stderr.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use sandbox_protocol::Timestamp;
use serde::Serialize;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::Feed;

/// How many lines are remembered.
const LINES: usize = 500;

/// The target of the line per call, which is not kept here: the calls themselves are.
const CALLS: &str = "sandbox::call";

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: &'static str,
    /// Who speaks.
    pub target: String,
    /// What happened, with its fields.
    pub text: String,
}

/// The last lines.
#[derive(Default)]
pub(super) struct Tail(Mutex<VecDeque<LogLine>>);

impl Tail {
    pub(super) fn push(&self, line: LogLine) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(super) fn lines(&self) -> Vec<LogLine> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }
}

/// Puts what is logged into a feed.
pub struct TailLayer(Arc<Feed>);

impl TailLayer {
    pub(super) fn new(feed: Arc<Feed>) -> Self {
        Self(feed)
    }
}

impl<S: Subscriber> Layer<S> for TailLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.target() == CALLS {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        self.0.log_line(LogLine {
            at: Timestamp::now(),
            level: metadata.level().as_str(),
            target: metadata.target().to_owned(),
            text: text.message + &text.fields,
        });
    }
}

/// A line as people read it: the message, then ` key=value` for each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            let _ = write!(self.fields, " {}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::prelude::*;

    #[test]
    fn the_tail_has_what_was_logged_except_the_line_per_call() {
        let feed = Arc::new(Feed::default());
        let subscriber = tracing_subscriber::registry().with(feed.log_layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: CALLS, tool = "a:b", "call");
            tracing::warn!(backend = "vm", took_ms = 3, "warm-up failed");
        });
        let lines = feed.log_tail();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text, "warm-up failed backend=vm took_ms=3");
        assert_eq!(lines[0].level, "WARN");
    }
}
