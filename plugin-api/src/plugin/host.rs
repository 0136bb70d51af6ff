//! What the host lends, behind safe functions.
#![expect(unsafe_code, reason = "calls the host's C functions")]

use std::sync::OnceLock;

use crate::abi::{Host, Host1, LogRecord, Opaque, Slice, SpanRecord};

static HOST: OnceLock<Host> = OnceLock::new();

/// What hosts have since minor 1.
static HOST1: OnceLock<Host1> = OnceLock::new();

/// Keeps the host's table; the first one stays, for the life of the process.
pub(crate) fn attach(host: Host, more: Option<Host1>) {
    if HOST.set(host).is_ok()
        && let Some(more) = more
    {
        let _ = HOST1.set(more);
    }
}

/// Whether the host takes spans at all.
pub(crate) fn takes_spans() -> bool {
    HOST1.get().is_some()
}

pub(crate) fn span(record: &SpanRecord) {
    if let Some(host) = HOST1.get() {
        // SAFETY: the record and what its slices point to outlive the call.
        unsafe { (host.span)(record) }
    }
}

pub(crate) fn worker_threads() -> usize {
    HOST.get()
        .map_or(1, |host| host.worker_threads.max(1) as usize)
}

/// The most verbose level that the host's log takes: 0 off … 5 trace.
pub(crate) fn log_level() -> u32 {
    // SAFETY: a function of the host's table takes no arguments and may be called at any time.
    HOST.get().map_or(0, |host| unsafe { (host.log_level)() })
}

pub(crate) fn log(record: &LogRecord) {
    if let Some(host) = HOST.get() {
        // SAFETY: the record and what its slices point to outlive the call.
        unsafe { (host.log)(record) }
    }
}

pub(crate) fn progress(token: *mut Opaque, done: f64, total: f64, message: &str) {
    if let (Some(host), false) = (HOST.get(), token.is_null()) {
        // SAFETY: the token is the host's own; a `CallContext` uses it only while its operation has not
        // completed: its `tell` holds the completion up. The slice outlives the call.
        unsafe { (host.progress)(token, done, total, Slice::new(message.as_bytes())) }
    }
}

pub(crate) fn output(token: *mut Opaque, chunk: &str) {
    if let (Some(host), false) = (HOST.get(), token.is_null()) {
        // SAFETY: as for `progress`.
        unsafe { (host.output)(token, Slice::new(chunk.as_bytes())) }
    }
}
