//! The HTTP front, over real sockets and with real fixture plugins.
#![expect(clippy::unwrap_used, reason = "what surprises a test ends it")]

mod batch;
mod bodies;
mod cancelling;
mod connections;
mod errors;
mod events;
mod files;
mod guard;
mod openapi;
mod routes;
mod stopping;
pub(crate) mod web;
