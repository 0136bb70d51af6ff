//! The vm backend: a desktop per session.
//!
//! Reading order: `desktop` (what a desktop is to the tools, whoever provides it), `backend` (the tools), `hands`
//! (actions made of inputs), `pyautogui` (programs of actions), `keys`, `pool`, `setup`, `recording`, `config`; then
//! the providers: `display`, `qemu`.

mod answer;
mod backend;
mod config;
mod desktop;
mod display;
mod former;
mod hands;
mod keys;
mod pool;
mod pyautogui;
mod qemu;
mod recording;
mod session;
mod setup;

pub use backend::Vm;
pub use config::{Config, Kind, SessionConfig};
pub use desktop::{Answer, Button, Desktop, Failure, Input, Picture, Provider, Shape, View};
pub use keys::{Key, names};
pub use session::Session;
pub use setup::{Command, Copied, Fetched, Step};

sandbox_plugin_api::export!(Vm);
