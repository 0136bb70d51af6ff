//! What the host lends to plugins: its log, and the progress and output of calls.
#![expect(unsafe_code, reason = "these functions are the ABI")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
};

use super::pending::Slot;
use crate::abi::{ABI_MAJOR, ABI_MINOR, Host, Host1, LogRecord, Opaque, Slice, SpanRecord};

/// Where a running call tells how it is getting on.
pub trait Events: Send + Sync {
    /// `done` of `total` (0 when nobody knows).
    fn progress(&self, done: f64, total: f64, message: &str);
    /// A part of the result.
    fn output(&self, chunk: &str);
}

/// Takes what plugins log.
pub trait LogSink: Send + Sync {
    /// The most verbose level that is wanted now: 0 off, 1 error … 5 trace.
    fn level(&self) -> u32;
    /// Writes one record.
    fn write(&self, entry: &LogEntry<'_>);
    /// Takes a span that has ended.
    fn span(&self, span: &SpanEntry<'_>) {
        let _ = span;
    }
}

/// A span of a plugin's that has ended.
#[derive(Clone, Copy, Debug)]
pub struct SpanEntry<'a> {
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// The span, as a W3C `traceparent`.
    pub traceparent: &'a str,
    /// The id of the span that it is a part of.
    pub parent: &'a str,
    /// What it is called.
    pub name: &'a str,
    /// The part of the plugin that it is in.
    pub target: &'a str,
    /// A JSON object, or empty.
    pub fields: &'a str,
}

/// One record of a plugin's log.
#[derive(Clone, Copy, Debug)]
pub struct LogEntry<'a> {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u32,
    /// The part of the plugin that speaks.
    pub target: &'a str,
    /// What happened.
    pub message: &'a str,
    /// A JSON object, or empty.
    pub fields: &'a str,
    /// The worker, or empty.
    pub worker: &'a str,
    /// The session's id, or empty.
    pub session: &'a str,
    /// The trace, or empty.
    pub trace: &'a str,
    /// The running tool, or empty.
    pub tool: &'a str,
}

static SINK: OnceLock<Box<dyn LogSink>> = OnceLock::new();
static TABLE: OnceLock<Host1> = OnceLock::new();

/// The table for all plugins of this process; the first call's arguments stay.
pub fn table(sink: Box<dyn LogSink>, worker_threads: u32) -> &'static Host {
    let _ = SINK.set(sink);
    let base = Host {
        size: size_of::<Host1>(),
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        log,
        log_level,
        progress,
        output,
        worker_threads,
        reserved: 0,
    };
    &TABLE.get_or_init(|| Host1 { base, span }).base
}

/// The whole of a table, for those who look behind its frozen part.
pub(super) fn whole(host: &'static Host) -> *const Host {
    match TABLE.get() {
        Some(table) if std::ptr::eq(&raw const table.base, host) => {
            std::ptr::from_ref(table).cast()
        }
        _ => host,
    }
}

/// Runs what must not unwind into a plugin. A panic here is the host's own mistake, already
/// reported by its panic hook; the record or event is lost, the call is not.
pub(super) fn contain(work: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(work));
}

/// Tells the log of a plugin's mistake at the boundary itself.
pub(super) fn tell_of(mistake: &str) {
    let Some(sink) = SINK.get() else { return };
    contain(|| {
        sink.write(&LogEntry {
            level: 1,
            target: module_path!(),
            message: mistake,
            fields: "",
            worker: "",
            session: "",
            trace: "",
            tool: "",
        });
    });
}

unsafe extern "C" fn log_level() -> u32 {
    SINK.get().map_or(0, |sink| sink.level())
}

unsafe extern "C" fn log(record: *const LogRecord) {
    let Some(sink) = SINK.get() else { return };
    contain(|| {
        // SAFETY: a plugin passes a record that is readable during the call; of null nothing is read.
        let Some(record) = (unsafe { record.as_ref() }) else {
            return;
        };
        // SAFETY: as above, its slices too. Text that is not UTF-8 is left out.
        let text = |slice: Slice| unsafe { slice.text() }.unwrap_or_default();
        sink.write(&LogEntry {
            level: record.level,
            target: text(record.target),
            message: text(record.message),
            fields: text(record.fields),
            worker: text(record.worker),
            session: text(record.session),
            trace: text(record.trace),
            tool: text(record.tool),
        });
    });
}

unsafe extern "C" fn span(record: *const SpanRecord) {
    let Some(sink) = SINK.get() else { return };
    contain(|| {
        // SAFETY: a plugin passes a record that is readable during the call; of null nothing is read.
        let Some(record) = (unsafe { record.as_ref() }) else {
            return;
        };
        // SAFETY: as above, its slices too. Text that is not UTF-8 is left out.
        let text = |slice: Slice| unsafe { slice.text() }.unwrap_or_default();
        sink.span(&SpanEntry {
            start_ns: record.start_ns,
            end_ns: record.end_ns,
            traceparent: text(record.traceparent),
            parent: text(record.parent),
            name: text(record.name),
            target: text(record.target),
            fields: text(record.fields),
        });
    });
}

unsafe extern "C" fn progress(token: *mut Opaque, done: f64, total: f64, message: Slice) {
    // SAFETY: the token is null, or the slot of an operation that has not completed, so it is alive;
    // the slice is readable during the call.
    let (slot, message) = unsafe { (token.cast::<Slot>().as_ref(), message.text()) };
    if let (Some(events), Ok(message)) = (slot.and_then(Slot::events), message) {
        contain(|| events.progress(done, total, message));
    }
}

unsafe extern "C" fn output(token: *mut Opaque, chunk: Slice) {
    // SAFETY: as for `progress`.
    let (slot, chunk) = unsafe { (token.cast::<Slot>().as_ref(), chunk.text()) };
    if let (Some(events), Ok(chunk)) = (slot.and_then(Slot::events), chunk) {
        contain(|| events.output(chunk));
    }
}
