//! Traces: one span per call, and what the plugin traces inside, sent to a collector as OTLP over HTTP.
//!
//! A call pays for writing its span, as the bytes that will be sent ([`wire`]), into memory; a task gathers them,
//! wraps them ([`export`]) and sends them. Which calls are traced is decided where the trace begins: a caller's
//! `traceparent` is followed, and only without one the configured part is taken ([`context`]).

mod context;
mod export;
mod wire;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use sandbox_plugin_api::{host::SpanEntry, sharded::Sharded};
use sandbox_protocol::{Timestamp, TraceId};
use serde_json::{Map, Value};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::record::{CallRecord, End, LifeRecord, Origin};
use crate::{config, dispatch::Call};
pub use context::SpanContext;
use export::Exporter;
use wire::{SpanKind, SpanWriter};

/// How many bytes of spans may wait, all shards together; beyond it spans are left out.
const WAITING: usize = 32 << 20;

/// So many bytes in a shard are worth sending before their time.
const ENOUGH: usize = 512 << 10;

/// How many spans a collector took, and how many it did not.
#[derive(Debug, Default)]
pub struct Counts {
    /// Spans that a collector took.
    pub sent: AtomicU64,
    /// Spans that were left out, or that no collector took.
    pub lost: AtomicU64,
}

/// The traces of one server.
pub struct Traces {
    sample: f64,
    shared: Arc<Shared>,
    exporter: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    waiting: Sharded<Mutex<Spans>>,
    limit: usize,
    enough: Notify,
    closing: CancellationToken,
    counts: Counts,
}

/// Spans as they will be sent.
#[derive(Default)]
struct Spans {
    bytes: Vec<u8>,
    count: u64,
}

impl Traces {
    /// Starts to send, if a collector is configured. Needs a tokio runtime around it.
    ///
    /// # Errors
    ///
    /// When no client can be made.
    pub fn start(config: &config::Traces) -> Result<Option<Self>, String> {
        let Some(endpoint) = &config.endpoint else {
            return Ok(None);
        };
        let waiting = Sharded::default();
        let shared = Arc::new(Shared {
            limit: WAITING / waiting.len(),
            waiting,
            enough: Notify::new(),
            closing: CancellationToken::new(),
            counts: Counts::default(),
        });
        let exporter = Exporter::new(endpoint, config, Arc::clone(&shared))
            .map_err(|error| format!("cannot send traces: {error}"))?;
        Ok(Some(Self {
            sample: config.sample,
            shared,
            exporter: Mutex::new(Some(tokio::spawn(exporter.run()))),
        }))
    }

    /// How many spans were sent, and how many were not.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Sends what waits, as far as that is quickly done.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        let exporter = self
            .exporter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(exporter) = exporter {
            let _ = exporter.await;
        }
    }

    /// The span of a call that begins, if it is to be traced.
    pub(super) fn begin(&self, call: &Call<'_>) -> Option<SpanContext> {
        SpanContext::begin(call.trace, call.parent.traceparent, self.sample)
    }

    /// A call has ended.
    pub(super) fn end(&self, context: &SpanContext, state: &str, record: &CallRecord<'_>) {
        let end = record.ended().unix_nanos();
        let nanos = u64::try_from(record.elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.put(|bytes| {
            let mut span = SpanWriter::begin(bytes, context.trace(), context.span());
            span.state(state);
            span.parent(context.parent());
            span.name(record.name());
            span.kind(SpanKind::Server);
            span.times(end.saturating_sub(nanos), end);
            span.text("sandbox.worker", record.worker);
            span.text("sandbox.front", record.front.as_str());
            if let Some(tool) = record.tool {
                span.text("sandbox.backend", &tool.backend.name);
            }
            if let Some(session) = record.session {
                span.text("sandbox.session", &session.id);
            }
            if let Some(key) = record.key {
                span.text("sandbox.key", key);
            }
            if context.is_derived() {
                span.text("sandbox.trace_id", record.trace);
            }
            match &record.end {
                End::Abandoned => span.failed("the caller went away"),
                End::Answered { code, message, .. } => {
                    span.number("sandbox.code", i64::from(*code));
                    if *code != 0 {
                        span.failed(&message[..message.floor_char_boundary(300)]);
                    }
                }
            }
        });
    }

    /// The span of a function of a backend's life that begins, if it is to be traced. What nobody's trace asked
    /// for begins one.
    pub(super) fn life(&self, origin: &Origin) -> Option<SpanContext> {
        let parent = origin.traceparent.as_deref();
        if origin.trace.is_empty() {
            return SpanContext::begin(TraceId::generate().as_str(), parent, self.sample);
        }
        SpanContext::begin(&origin.trace, parent, self.sample)
    }

    /// It has ended.
    pub(super) fn lived(&self, context: &SpanContext, record: &LifeRecord<'_>) {
        let end = Timestamp::now().unix_nanos();
        let nanos = u64::try_from(record.elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.put(|bytes| {
            let mut span = SpanWriter::begin(bytes, context.trace(), context.span());
            span.parent(context.parent());
            span.name(&format!("{} {}", record.function, record.backend.name));
            span.kind(SpanKind::Internal);
            span.times(end.saturating_sub(nanos), end);
            span.text("sandbox.backend", &record.backend.name);
            if let Some(worker) = record.worker {
                span.text("sandbox.worker", worker);
            }
            if let Some(session) = record.session {
                span.text("sandbox.session", session);
            }
            if let Some(error) = record.error {
                span.failed(&error[..error.floor_char_boundary(300)]);
            }
        });
    }

    /// A span of a plugin's has ended.
    pub fn plugin_span(&self, entry: &SpanEntry<'_>) {
        let Some((trace, span)) = context::ids(entry.traceparent) else {
            return;
        };
        let parent = context::unhex::<8>(entry.parent);
        let fields: Map<String, Value> = serde_json::from_str(entry.fields).unwrap_or_default();
        self.put(|bytes| {
            let mut span = SpanWriter::begin(bytes, &trace, &span);
            span.parent(parent.as_ref().map(<[u8; 8]>::as_slice));
            span.name(entry.name);
            span.kind(SpanKind::Internal);
            span.times(entry.start_ns, entry.end_ns);
            span.text("code.namespace", entry.target);
            for (key, value) in &fields {
                match value {
                    Value::String(text) => span.text(key, text),
                    Value::Bool(truth) => span.truth(key, *truth),
                    Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                        (Some(number), _) => span.number(key, number),
                        (None, number) => span.float(key, number.unwrap_or_default()),
                    },
                    other => span.text(key, &other.to_string()),
                }
            }
        });
    }

    /// Writes a span, unless too many wait.
    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let shared = &self.shared;
        let mut spans = shared
            .waiting
            .mine()
            .1
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if spans.bytes.len() >= shared.limit {
            shared.counts.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = spans.bytes.len();
        write(&mut spans.bytes);
        spans.count += 1;
        let enough = before < ENOUGH && spans.bytes.len() >= ENOUGH;
        drop(spans);
        if enough {
            shared.enough.notify_one();
        }
    }
}

impl Shared {
    /// Takes all spans that wait into `taken`, and leaves the room that is there; says how many they are.
    fn take(&self, taken: &mut Vec<Vec<u8>>) -> u64 {
        let mut count = 0;
        taken.resize_with(self.waiting.len(), Vec::new);
        for (shard, taken) in self.waiting.iter().zip(taken) {
            taken.clear();
            taken.shrink_to(2 * ENOUGH);
            let mut spans = shard.lock().unwrap_or_else(PoisonError::into_inner);
            count += std::mem::take(&mut spans.count);
            std::mem::swap(&mut spans.bytes, taken);
        }
        count
    }
}
