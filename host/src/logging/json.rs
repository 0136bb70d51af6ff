//! A line of the log for programs: one JSON object, with the fields of the event beside its time, level, message and
//! target.
//!
//! `tracing-subscriber`'s own layer writes what a plugin's record brings along, which is JSON, as a text, and times that
//! are counted in 128 bits too.

use std::{cell::Cell, fmt};

use sandbox_protocol::{Timestamp, splice::write_text};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// The field of a plugin's record that is an object of JSON, as the ABI says.
const FIELDS: &str = "fields";

/// Who logs what plugins say.
const PLUGIN: &str = "plugin";

/// Writes each event as one object on a line.
pub(super) struct Json<W> {
    /// Takes a line, and whether it is a warning or an error.
    pub(super) take: W,
}

impl<S, W> Layer<S> for Json<W>
where
    S: Subscriber,
    W: Fn(&[u8], bool) + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        thread_local! {
            /// Its room is kept from line to line. It is not here while a line is written, in which a value may log.
            static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        write(&mut line, event);
        (self.take)(&line, *event.metadata().level() <= Level::WARN);
        // A thread on its way out has nowhere to keep it.
        let _ = LINE.try_with(|kept| kept.set(line));
    }
}

fn write(line: &mut Vec<u8>, event: &Event<'_>) {
    let metadata = event.metadata();
    let from_plugin = metadata.target() == PLUGIN;
    let mut object = Object { line, from_plugin };
    object.value("timestamp", &Timestamp::now());
    object.text("level", metadata.level().as_str());
    event.record(&mut object);
    object.text("target", metadata.target());
    line.extend_from_slice(b"}\n");
}

/// An object that is being written.
struct Object<'a> {
    line: &'a mut Vec<u8>,
    from_plugin: bool,
}

impl Object<'_> {
    fn key(&mut self, name: &str) {
        let sign = if self.line.is_empty() { b'{' } else { b',' };
        self.line.push(sign);
        // Writing to memory does not fail, here and below.
        let _ = write_text(self.line, name);
        self.line.push(b':');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.key(name);
        let _ = write_text(self.line, text);
    }

    fn value(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.key(name);
        let _ = serde_json::to_writer(&mut *self.line, value);
    }
}

impl Visit for Object<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        let is_object = self.from_plugin && field.name() == FIELDS;
        // What a plugin calls JSON need not be that; and written anew, it is on one line.
        match is_object.then(|| serde_json::from_str::<Map<String, Value>>(text)) {
            Some(Ok(object)) => self.value(field.name(), &object),
            Some(Err(_)) | None => self.text(field.name(), text),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field.name(), &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.value(field.name(), &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.value(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field.name(), &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing_subscriber::prelude::*;

    use super::*;

    fn logged(log: impl FnOnce()) -> Value {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let layer = Json {
            take: {
                let lines = Arc::clone(&lines);
                move |line: &[u8], _| lines.lock().unwrap().extend_from_slice(line)
            },
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let lines = lines.lock().unwrap();
        assert_eq!(
            lines.split(|byte| *byte == b'\n').count(),
            2,
            "one line, and its end"
        );
        let mut line: Value = serde_json::from_slice(&lines).unwrap();
        let time = line["timestamp"].take();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        line
    }

    #[test]
    fn numbers_are_numbers() {
        let line = logged(|| {
            tracing::info!(target: "sandbox", after_ms = 78_u128, took_ms = 1.25, ok = true, error = %"\"no\"", "ready");
        });
        let expected = json!({
            "timestamp": null, "level": "INFO", "message": "ready", "after_ms": 78, "took_ms": 1.25, "ok": true,
            "error": "\"no\"", "target": "sandbox",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn the_fields_of_a_plugins_record_are_an_object() {
        let line = logged(|| {
            tracing::warn!(target: "plugin", fields = "{\"pid\":\n7}", from = "bash", "ended");
        });
        assert_eq!(line["fields"], json!({"pid": 7}));
        let line = logged(|| tracing::warn!(target: "plugin", fields = "{pid", "ended"));
        assert_eq!(line["fields"], "{pid");
    }
}
