//! The metrics of backends: their plugins, warm-ups, panics and sessions.

use std::{path::Path, sync::Arc, sync::atomic::Ordering};

use super::text::{Exposition, Kind, seconds};
use crate::{
    backend::Backend,
    observe::{numbers::get, record::Why},
    sandbox::Sandbox,
    sessions::Counts,
};

pub(super) fn write(page: &mut Exposition, sandbox: &Sandbox) {
    let backends: Vec<_> = sandbox.catalog.backends().collect();
    plugins(page, &backends);
    warmth(page, &backends);
    sessions(page, &backends, &sandbox.sessions.counts());
    session_totals(page, &backends);
}

fn plugins(page: &mut Exposition, backends: &[&Arc<Backend>]) {
    page.family(
        "sandbox_plugin_info",
        Kind::Gauge,
        "The plugin behind a backend; always 1.",
    );
    for backend in backends {
        let plugin = &backend.plugin;
        let library = plugin.library.file_name().map(Path::new);
        let labels = [
            ("backend", &*backend.name),
            ("version", &*plugin.description.version),
            (
                "abi",
                &format!(
                    "{}.{}",
                    sandbox_plugin_api::abi::ABI_MAJOR,
                    plugin.table.minor()
                ),
            ),
            ("kind", backend.kind.as_str()),
            (
                "library",
                &library.unwrap_or(Path::new("")).to_string_lossy(),
            ),
        ];
        page.sample(&labels, 1);
    }
}

fn warmth(page: &mut Exposition, backends: &[&Arc<Backend>]) {
    page.family(
        "sandbox_backend_warm",
        Kind::Gauge,
        "Whether a backend is warm.",
    );
    for backend in backends {
        page.sample(&[("backend", &backend.name)], u8::from(backend.is_warm()));
    }
    page.family(
        "sandbox_warmups_total",
        Kind::Counter,
        "Warm-ups that ended.",
    );
    for backend in backends {
        let numbers = &backend.numbers;
        for (outcome, count) in [
            ("success", &numbers.warmups),
            ("failure", &numbers.failed_warmups),
        ] {
            let labels = [("backend", &*backend.name), ("outcome", outcome)];
            page.sample(&labels, get(count));
        }
    }
    page.family(
        "sandbox_warmup_seconds_total",
        Kind::Counter,
        "How long warm-ups took together.",
    );
    for backend in backends {
        let took = seconds(get(&backend.numbers.warmup_micros));
        page.sample(&[("backend", &backend.name)], took);
    }
    page.family(
        "sandbox_plugin_panics_total",
        Kind::Counter,
        "Panics of a plugin, in tools and in the functions of its life.",
    );
    for backend in backends {
        page.sample(&[("backend", &backend.name)], get(&backend.numbers.panics));
    }
}

fn sessions(page: &mut Exposition, backends: &[&Arc<Backend>], counts: &Counts) {
    page.family(
        "sandbox_sessions",
        Kind::Gauge,
        "Sessions that are there; `brief` ones are made for one call, or on their way out.",
    );
    for backend in backends {
        let listed = counts.of(&backend.name);
        let all = backend.sessions.load(Ordering::Relaxed);
        let brief = all.saturating_sub(listed.total());
        for (state, count) in [
            ("creating", listed.creating),
            ("active", listed.active),
            ("in_use", listed.in_use),
            ("poisoned", listed.poisoned),
            ("closing", listed.closing),
            ("brief", brief),
        ] {
            let labels = [("backend", &*backend.name), ("state", state)];
            page.sample(&labels, count);
        }
    }
}

fn session_totals(page: &mut Exposition, backends: &[&Arc<Backend>]) {
    page.family(
        "sandbox_sessions_opened_total",
        Kind::Counter,
        "Sessions that were made.",
    );
    for backend in backends {
        page.sample(&[("backend", &backend.name)], get(&backend.numbers.opened));
    }
    page.family(
        "sandbox_session_opening_seconds_total",
        Kind::Counter,
        "How long making them took together.",
    );
    for backend in backends {
        let took = seconds(get(&backend.numbers.opening_micros));
        page.sample(&[("backend", &backend.name)], took);
    }
    page.family(
        "sandbox_sessions_failed_total",
        Kind::Counter,
        "Sessions that could not be made.",
    );
    for backend in backends {
        page.sample(&[("backend", &backend.name)], get(&backend.numbers.failed));
    }
    page.family(
        "sandbox_sessions_closed_total",
        Kind::Counter,
        "Sessions that ended, and why.",
    );
    for backend in backends {
        for (why, count) in Why::ALL.iter().zip(&backend.numbers.closed) {
            let labels = [("backend", &*backend.name), ("why", why.as_str())];
            page.sample(&labels, get(count));
        }
    }
}
