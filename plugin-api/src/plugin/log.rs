//! Forwards what the plugin logs with `tracing` to the host, with worker, session and trace.

use std::{
    fmt,
    sync::{Arc, Once},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    prelude::*,
    registry::{LookupSpan, SpanRef},
};

use super::{guard, host, span::Traced};
use crate::{
    abi::{LogRecord, Slice},
    context::OperationState,
};

/// Makes the forwarder this library's subscriber. A test program may have set its own before: it stays.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let _ = tracing_subscriber::registry().with(Forward).try_init();
    });
}

struct Forward;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forward {
    /// The host may change its level at any time, so no call site may be cached as on or off.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        severity(*metadata.level()) <= host::log_level()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields {
            // A span that goes to another task or thread takes its operation along.
            operation: guard::current(),
            ..Fields::default()
        };
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            let outer = span.parent();
            let outer = outer.as_ref().map(SpanRef::extensions);
            let inside = outer.as_ref().and_then(|outer| outer.get::<Traced>());
            let traced = Traced::begin(inside, fields.operation.as_deref());
            drop(outer);
            let mut extensions = span.extensions_mut();
            extensions.insert(fields);
            if let Some(traced) = traced {
                extensions.insert(traced);
            }
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let extensions = span.extensions();
        if let Some(traced) = extensions.get::<Traced>() {
            let fields = extensions.get::<Fields>().map(Fields::json);
            let metadata = span.metadata();
            traced.end(
                metadata.name(),
                metadata.target(),
                &fields.unwrap_or_default(),
            );
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        // Not under the span's lock: the author's `Debug` runs here, and may log.
        let mut new = Fields::default();
        values.record(&mut new);
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            fields.values.append(&mut new.values);
            if !new.message.is_empty() {
                fields.message = new.message;
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields {
            operation: guard::current(),
            ..Fields::default()
        };
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_outer(outer);
            }
        }
        event.record(&mut fields);
        send(event.metadata(), &fields);
    }
}

fn send(metadata: &Metadata<'_>, fields: &Fields) {
    let json = fields.json();
    let slice = |text: &str| Slice::new(text.as_bytes());
    let ids = fields.operation.as_ref().map(|operation| &operation.ids);
    host::log(&LogRecord {
        size: size_of::<LogRecord>(),
        level: severity(*metadata.level()),
        reserved: 0,
        target: slice(metadata.target()),
        message: slice(&fields.message),
        fields: slice(&json),
        worker: ids.map_or(Slice::EMPTY, |ids| slice(ids.worker())),
        session: ids.map_or(Slice::EMPTY, |ids| slice(ids.session())),
        trace: ids.map_or(Slice::EMPTY, |ids| slice(ids.trace())),
        tool: ids.map_or(Slice::EMPTY, |ids| slice(ids.tool())),
    });
}

/// The level as the ABI numbers it.
const fn severity(level: Level) -> u32 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

#[derive(Default)]
struct Fields {
    /// On whose behalf.
    operation: Option<Arc<OperationState>>,
    message: String,
    values: Map<String, Value>,
}

impl Fields {
    /// Adds an enclosing span's fields; the inner ones win.
    fn add_outer(&mut self, outer: &Self) {
        if self.operation.is_none() {
            self.operation.clone_from(&outer.operation);
        }
        for (key, value) in &outer.values {
            self.values
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
    }

    /// The fields as a JSON object; empty when there are none.
    fn json(&self) -> String {
        if self.values.is_empty() {
            String::new()
        } else {
            Value::Object(self.values.clone()).to_string()
        }
    }

    fn add(&mut self, field: &Field, value: Value) {
        self.values.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field, value.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.add(field, format!("{value:?}").into());
        }
    }
}
