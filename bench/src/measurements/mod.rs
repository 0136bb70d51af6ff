//! Everything that is measured, in the order of the table. A new measurement is a module here and a
//! line in [`MEASUREMENTS`].

mod browser;
mod code;
mod http;
mod isolation;
mod mcp;
mod observe;
mod qemu;
mod rag;
mod rounds;
mod sessions;
mod soak;
mod start;
mod vm;
mod vtable;

use std::pin::Pin;

use crate::{row::Row, workshop::Workshop};

/// The rows, when they are measured.
type Measured<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Vec<Row>>> + 'a>>;

/// Something to measure.
pub(crate) struct Measurement {
    /// What its rows' names begin with.
    pub(crate) name: &'static str,
    /// What it is about.
    pub(crate) about: &'static str,
    /// Measures it. What it starts ends with the future, finished or dropped.
    pub(crate) run: fn(&Workshop) -> Measured<'_>,
}

/// All there are.
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        name: "http/execute/1",
        about: "an echo tool over HTTP against a bare axum handler, 1 connection",
        run: |workshop| Box::pin(http::execute(workshop, 1)),
    },
    Measurement {
        name: "http/execute/16",
        about: "the same, 16 connections",
        run: |workshop| Box::pin(http::execute(workshop, 16)),
    },
    Measurement {
        name: "http/execute/64",
        about: "the same, 64 connections",
        run: |workshop| Box::pin(http::execute(workshop, 64)),
    },
    Measurement {
        name: "http/execute/256",
        about: "the same, 256 connections",
        run: |workshop| Box::pin(http::execute(workshop, 256)),
    },
    Measurement {
        name: "http/observed/64",
        about: "the echo tool with audit log and traces against the same without",
        run: |workshop| Box::pin(observe::measure(workshop)),
    },
    Measurement {
        name: "vtable",
        about: "a call through a plugin's vtable against a call of a trait object",
        run: |workshop| Box::pin(vtable::measure(workshop)),
    },
    Measurement {
        name: "mcp/new/json",
        about: "an echo tool over MCP 2026-07-28 against a bare server of its SDK, answered as JSON",
        run: |workshop| Box::pin(mcp::echo(workshop, way("mcp/new/json", true, false))),
    },
    Measurement {
        name: "mcp/new/events",
        about: "the same, answered as a stream of events",
        run: |workshop| Box::pin(mcp::echo(workshop, way("mcp/new/events", true, true))),
    },
    Measurement {
        name: "mcp/old/json",
        about: "the same over MCP 2025-11-25, answered as JSON",
        run: |workshop| Box::pin(mcp::echo(workshop, way("mcp/old/json", false, false))),
    },
    Measurement {
        name: "mcp/old/events",
        about: "the same, answered as a stream of events",
        run: |workshop| Box::pin(mcp::echo(workshop, way("mcp/old/events", false, true))),
    },
    Measurement {
        name: "mcp/vanished",
        about: "the memory that ten thousand MCP clients leave that are never heard of again",
        run: |workshop| Box::pin(mcp::vanished(workshop)),
    },
    Measurement {
        name: "start",
        about: "the default configuration from nothing to ready, and its memory then",
        run: |workshop| Box::pin(start::measure(workshop)),
    },
    Measurement {
        name: "sessions/100000",
        about: "idle sessions: their memory, and what others notice when they all expire at once",
        run: |workshop| Box::pin(sessions::measure(workshop)),
    },
    Measurement {
        name: "soak/1000-workers",
        about: "a thousand workers that call for a minute, and what they lose",
        run: |workshop| Box::pin(soak::measure(workshop)),
    },
    Measurement {
        name: "browser",
        about: "sessions, pages, pictures and memory of the browser against the same browser driven directly",
        run: |workshop| Box::pin(browser::measure(workshop)),
    },
    Measurement {
        name: "isolation/initialize",
        about: "what others notice of a worker whose sessions take a second to begin",
        run: |workshop| Box::pin(isolation::initialize(workshop)),
    },
    Measurement {
        name: "isolation/blocking",
        about: "what others notice of a worker in a tool that blocks for a second",
        run: |workshop| Box::pin(isolation::blocking(workshop)),
    },
    Measurement {
        name: "qemu",
        about: "a virtual machine from its template against booting it, its pictures and its memory",
        run: |workshop| Box::pin(qemu::measure(workshop)),
    },
    Measurement {
        name: "code/execute",
        about: "an empty program in a sandbox, called over HTTP, against the same interpreter started bare",
        run: |workshop| Box::pin(code::measure(workshop)),
    },
    Measurement {
        name: "rag",
        about: "retrieval over 100,000 passages: built, opened, asked by words and by meaning",
        run: |workshop| Box::pin(rag::measure(workshop)),
    },
    Measurement {
        name: "vm",
        about: "a desktop cold and from the pool, its pictures, a click's effect, and its memory",
        run: |workshop| Box::pin(vm::measure(workshop)),
    },
];

const fn way(name: &'static str, new: bool, events: bool) -> mcp::Way {
    mcp::Way { name, new, events }
}
