//! The command sandbox: a server that gives agents their tools.

pub mod backend;
pub mod catalog;
pub mod config;
pub mod dispatch;
pub mod failure;
pub mod flight;
pub mod gate;
pub mod invoke;
pub mod sandbox;
pub mod schema;
pub mod sessions;
