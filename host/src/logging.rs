//! The log: what the host and its plugins say, on stderr, as text or as JSON, one line each.
//! [`text`] and [`json`] are the forms of a line, [`sink`] where the lines go.

mod json;
mod sink;
mod text;

pub use sink::flush;

use std::{
    io::{self, IsTerminal},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sandbox_plugin_api::host::{LogEntry, LogSink, SpanEntry};
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    config::Environment,
    observe::{Feed, Observers},
};

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The most verbose level that is written, as the ABI numbers it; read by plugins at every record.
static LEVEL: AtomicU32 = AtomicU32::new(3);

/// Starts the log, whose tail goes to `feed` too. A program that has one already (a test) keeps it.
pub fn start(level: LevelFilter, format: Format, feed: &Arc<Feed>) {
    LEVEL.store(severity(level), Ordering::Relaxed);
    // Below debug the libraries would bury what this server and its plugins say.
    let libraries = level.min(LevelFilter::INFO);
    let filter = Targets::new()
        .with_default(libraries)
        // At info, this one tells of every request, and at warn of every client's mistake.
        .with_target("rmcp", level.min(LevelFilter::ERROR))
        .with_target("sandbox", level)
        .with_target("plugin", level);
    let layer = match format {
        Format::Text => text::Text {
            coloured: coloured(&Environment::process()),
            take: |line: &str, urgent| sink::take(line.as_bytes(), urgent),
        }
        .boxed(),
        Format::Json => json::Json { take: sink::take }.boxed(),
    };
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .with(feed.log_layer());
    if subscriber.try_init().is_ok()
        && let Err(error) = sink::start()
    {
        // A warning needs no thread to be written.
        tracing::warn!(%error, "the log is written late");
    }
}

/// Whether what is said on stderr is coloured: when somebody looks, who has not said <https://no-color.org>.
pub fn coloured(environment: &Environment) -> bool {
    io::stderr().is_terminal() && allows_colour(environment)
}

fn allows_colour(environment: &Environment) -> bool {
    environment
        .get("NO_COLOR")
        .is_none_or(|value| value.is_empty())
}

/// Puts what plugins log into the host's log, and what they trace into its traces.
#[derive(Default)]
pub struct PluginLog {
    /// Set once the server is assembled; plugins are loaded before that.
    pub observers: Arc<OnceLock<Arc<Observers>>>,
}

impl LogSink for PluginLog {
    fn level(&self) -> u32 {
        LEVEL.load(Ordering::Relaxed)
    }

    fn span(&self, span: &SpanEntry<'_>) {
        let observers = self.observers.get();
        if let Some(traces) = observers.and_then(|observers| observers.traces.as_ref()) {
            traces.plugin_span(span);
        }
    }

    fn write(&self, entry: &LogEntry<'_>) {
        // An event's level is part of its call site, so each level has one.
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    target: "plugin",
                    $level,
                    from = entry.target,
                    tool = some(entry.tool),
                    worker = some(entry.worker),
                    session = some(entry.session),
                    trace_id = some(entry.trace),
                    fields = some(entry.fields),
                    "{}",
                    entry.message
                )
            };
        }
        match entry.level {
            0 | 1 => event!(Level::ERROR),
            2 => event!(Level::WARN),
            3 => event!(Level::INFO),
            4 => event!(Level::DEBUG),
            _ => event!(Level::TRACE),
        }
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The filter's level as the ABI numbers it.
fn severity(level: LevelFilter) -> u32 {
    match level.into_level() {
        None => 0,
        Some(Level::ERROR) => 1,
        Some(Level::WARN) => 2,
        Some(Level::INFO) => 3,
        Some(Level::DEBUG) => 4,
        Some(Level::TRACE) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_no_colour_gets_none() {
        let allows = |value: &str| allows_colour(&Environment::from_iter([("NO_COLOR", value)]));
        assert!(!allows("1"));
        assert!(!allows("0"));
        // By the convention, an empty value says nothing.
        assert!(allows(""));
        assert!(allows_colour(&Environment::empty()));
    }
}
