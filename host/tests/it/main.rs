//! The host, tested from outside: one binary for all integration tests.

mod config;
mod fixtures;
