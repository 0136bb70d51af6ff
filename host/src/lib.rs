//! The command `sandbox`: a server that gives agents their tools.
//!
//! In reading order: [`cli`] starts everything, [`boot`] loads the plugins of a [`config`],
//! [`http`] and [`mcp`] are the fronts, [`dispatch`] the one way of a call through [`catalog`], [`backend`] and
//! [`sessions`] to a [`plugin`]; [`observe`] tells of it to whoever watches. [`instance`] cleans up after servers that were killed.

pub mod backend;
pub mod boot;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod dispatch;
pub mod failure;
pub mod flight;
pub mod gate;
pub mod http;
pub mod instance;
pub mod invoke;
mod lines;
pub mod logging;
pub mod mcp;
pub mod observe;
pub mod plugin;
pub mod sandbox;
pub mod schema;
pub mod sessions;
