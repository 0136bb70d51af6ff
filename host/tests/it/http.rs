//! The HTTP front, over real sockets and with real fixture plugins.
#![expect(clippy::unwrap_used, reason = "what surprises a test ends it")]

mod batch;
mod bodies;
mod cancelling;
mod connections;
mod errors;
mod events;
mod exactly_once;
mod files;
mod guard;
mod openapi;
mod routes;
mod stopping;
mod streaming;
pub(crate) mod web;
