//! The metrics of the server as a whole: what it is, its pools and queues, and those who watch.

use std::sync::atomic::Ordering;

use sandbox_protocol::response::Readiness;

use super::text::{Exposition, Kind};
use crate::{observe::numbers::get, sandbox::Sandbox};

pub(super) fn write(page: &mut Exposition, sandbox: &Sandbox) {
    page.family(
        "sandbox_build_info",
        Kind::Gauge,
        "The server's version; always 1.",
    );
    let abi = format!(
        "{}.{}",
        sandbox_plugin_api::abi::ABI_MAJOR,
        sandbox_plugin_api::abi::ABI_MINOR
    );
    let version = [("version", env!("CARGO_PKG_VERSION")), ("abi", &*abi)];
    page.sample(&version, 1);
    let ready = sandbox.readiness() == Readiness::Ready;
    let gauges = [
        (
            "sandbox_ready",
            "Whether the server takes calls and has warmed up.",
            usize::from(ready),
        ),
        (
            "sandbox_workers",
            "Workers that have a session.",
            sandbox.sessions.workers(),
        ),
        (
            "sandbox_requests_running",
            "Calls and requests about sessions under way.",
            sandbox.under_way(),
        ),
        (
            "sandbox_connections",
            "Open connections.",
            sandbox.observers.connections.load(Ordering::Relaxed),
        ),
        (
            "sandbox_connections_limit",
            "How many connections may be open.",
            sandbox.config.server.limits.max_connections,
        ),
        (
            "sandbox_sessions_limit",
            "How many sessions may exist.",
            sandbox.config.server.limits.max_sessions,
        ),
        (
            "sandbox_plugin_threads",
            "Threads of each plugin library's runtime.",
            sandbox.config.server.plugin_threads,
        ),
        (
            "sandbox_feed_listeners",
            "Consoles that follow what happens.",
            sandbox.observers.feed.listeners(),
        ),
    ];
    for (name, help, value) in gauges {
        page.one(name, Kind::Gauge, help, value);
    }
    runtime(page);
    watchers(page, sandbox);
}

fn runtime(page: &mut Exposition) {
    let Ok(handle) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let runtime = handle.metrics();
    for (name, help, value) in [
        (
            "sandbox_runtime_threads",
            "Threads that the server runs on.",
            runtime.num_workers(),
        ),
        (
            "sandbox_runtime_tasks",
            "Tasks that have not ended.",
            runtime.num_alive_tasks(),
        ),
        (
            "sandbox_runtime_queue",
            "Tasks that wait for a thread in the shared queue.",
            runtime.global_queue_depth(),
        ),
    ] {
        page.one(name, Kind::Gauge, help, value);
    }
}

fn watchers(page: &mut Exposition, sandbox: &Sandbox) {
    let observers = &sandbox.observers;
    if let Some(audit) = &observers.audit {
        let counts = audit.counts();
        page.one(
            "sandbox_audit_lines_total",
            Kind::Counter,
            "Lines that were written to the audit log.",
            get(&counts.written),
        );
        page.one(
            "sandbox_audit_lost_total",
            Kind::Counter,
            "Lines that were not: the queue was full, or the disk refused.",
            get(&counts.lost),
        );
        page.one(
            "sandbox_audit_queue_bytes",
            Kind::Gauge,
            "What waits to be written.",
            audit.waiting(),
        );
    }
    if let Some(traces) = &observers.traces {
        let counts = traces.counts();
        page.one(
            "sandbox_spans_sent_total",
            Kind::Counter,
            "Spans that a collector took.",
            get(&counts.sent),
        );
        page.one(
            "sandbox_spans_lost_total",
            Kind::Counter,
            "Spans that were not sent: too many at once, or no collector took them.",
            get(&counts.lost),
        );
    }
    let kept = &observers.kept;
    page.one(
        "sandbox_idempotency_answers",
        Kind::Gauge,
        "Answers that are kept for clients that ask again.",
        kept.answers.load(Ordering::Relaxed),
    );
    page.one(
        "sandbox_idempotency_bytes",
        Kind::Gauge,
        "How large they are together.",
        kept.bytes.load(Ordering::Relaxed),
    );
    page.one(
        "sandbox_idempotency_replays_total",
        Kind::Counter,
        "Requests that were answered with an answer that was there.",
        get(&kept.replays),
    );
}
