//! The code backend: programs in Python, JavaScript and Bash, each in a sandbox of its own, over a workspace that lasts as
//! long as the session.
//!
//! Reading order: `backend` (the tools), `config`, `language` (the interpreters), `session`, `run` (one program from start to
//! end), `changes` and `pictures` (what it left behind), `files` (the workspace as the server touches it). How processes
//! are isolated is decided in the crate `sandbox-isolation`.

mod answer;
mod backend;
mod changes;
mod config;
mod failure;
mod files;
mod former;
mod language;
mod pictures;
mod run;
mod session;

pub use backend::Code;
pub use config::{Config, SessionConfig};
pub use language::Language;
pub use session::Session;

sandbox_plugin_api::export!(Code);
