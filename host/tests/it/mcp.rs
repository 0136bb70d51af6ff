//! The front of the Model Context Protocol, as its clients meet it.
#![expect(clippy::unwrap_used, reason = "what surprises a test ends it")]

mod client;
mod generations;
mod keys;
mod long_calls;
mod results;
mod stdio;
mod views;
