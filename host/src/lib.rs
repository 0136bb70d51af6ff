//! The command sandbox: a server that gives agents their tools.

pub mod config;
pub mod schema;
