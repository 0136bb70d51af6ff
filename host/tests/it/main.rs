//! The host, tested from outside: one binary for all integration tests.

mod config;
mod engine;
mod fixtures;
mod http;
mod loading;
mod serve;
mod server;
mod sessions;
