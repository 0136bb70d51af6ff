//! The Rust client of a sandbox server.
