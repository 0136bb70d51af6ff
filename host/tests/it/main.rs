//! The host, tested from outside: one binary for all integration tests.
#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "what a test cannot go on without may fail on the spot, and json!(…) reads best by value"
)]

mod c_sessions;
mod command_line;
mod config;
mod engine;
mod fixtures;
mod http;
mod loading;
mod mcp;
mod observe;
mod panics;
mod python_server;
mod serve;
mod server;
mod sessions;
