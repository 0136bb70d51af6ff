//! The front for clients of the Model Context Protocol: it translates their calls into the host's, and
//! answers back. Owns no tool and no decision about one; every call goes through
//! [`dispatch`](crate::dispatch).
//!
//! Both generations of the protocol are served at one place. Revision 2026-07-28 has no handshake, and
//! every request says all there is to know; the older ones begin with `initialize`. The official SDK
//! (`rmcp`) reads and writes the messages of both.
//!
//! In reading order: `front` (an HTTP request to `/mcp`) → `handler` (what the SDK asks of a server) →
//! `offer` and `scope` (which tools a client sees) → `call` (one of them) → `reply` (the only place where
//! an answer or a failure becomes a result). `handles` names a client's sessions, `detached` keeps calls
//! that take long, `kept` results that are large. `stdio` and `bridge` are `sandbox mcp`.

mod bridge;
mod call;
mod cancels;
mod compact;
mod detached;
mod front;
mod handler;
mod handles;
mod kept;
mod metadata;
mod offer;
mod own;
mod picture;
mod progress;
mod reply;
mod schema;
mod scope;
mod stdio;
mod visit;

use std::sync::Arc;

pub use bridge::bridge;
pub use front::{Front, Request};
pub(crate) use metadata::document;
pub use metadata::{WELL_KNOWN, challenge};
pub use stdio::serve_stdio;

use crate::{config, sandbox::Sandbox};
use cancels::Cancels;
use detached::Detached;
use handles::Handles;
use kept::Kept;
use offer::Offer;

/// Where clients of the protocol come to.
pub const PATH: &str = "/mcp";

/// What all clients of the front share.
struct Mcp {
    sandbox: Arc<Sandbox>,
    offer: Offer,
    handles: Handles,
    cancels: Cancels,
    detached: Detached,
    kept: Arc<Kept>,
}

impl Mcp {
    fn new(sandbox: Arc<Sandbox>) -> Self {
        let settings = &sandbox.config.mcp;
        Self {
            offer: Offer::new(&sandbox.catalog, &settings.tools),
            handles: Handles::default(),
            cancels: Cancels::default(),
            detached: Detached::new(settings.max_detached, settings.keep_results),
            kept: Arc::new(Kept::new(settings.max_kept_bytes, settings.keep_results)),
            sandbox,
        }
    }

    fn settings(&self) -> &config::Mcp {
        &self.sandbox.config.mcp
    }
}
