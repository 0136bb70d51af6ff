//! The bash backend: a shell per session, in a sandbox of its own.
//!
//! Working directory, environment, functions and shell options last from call to call; what a command starts ends with
//! its time limit, and everything ends with the session. Reading order: `backend` (the tools), `config`, `shell` (a
//! session's shell and its long commands), `ring` (what those print). How processes are isolated is
//! decided in the crate `sandbox-isolation`.

mod answer;
mod backend;
mod config;
mod former;
mod ring;
mod shell;

pub use backend::Bash;
pub use config::{Config, SessionConfig};
pub use shell::Shell;

sandbox_plugin_api::export!(Bash);
