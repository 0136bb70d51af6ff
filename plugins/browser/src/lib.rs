//! The browser backend: one Chromium for all, and in it an isolated context for each session.
//!
//! Read `backend` first: the browser's life, and below it the tools, a file for each subject. After it, `chromium` is the
//! browser's process and the protocol to it, `page` what is done in a session's pages, `gate` what pages may reach. Only
//! `backend`, `answers`, `config` and `failure` know that this is a plugin.
#![forbid(unsafe_code)]

mod answers;
mod backend;
mod chromium;
mod config;
mod failure;
mod former;
mod gate;
mod page;

pub use backend::Browser;
pub use config::{
    Config, Cookie, DialogAnswer, Entry, Origin, Recycle, SandboxMode, SessionConfig, StorageState,
    Viewport,
};
pub use page::Session;

sandbox_plugin_api::export!(Browser);
