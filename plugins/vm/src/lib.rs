//! The vm backend: a desktop per session.
//!
//! Reading order: `desktop` (what a desktop is to the tools, whoever provides it), `config`, `keys`.

mod config;
mod desktop;
mod keys;

pub use config::{Config, Kind};
pub use desktop::{Answer, Button, Desktop, Failure, Input, Picture, Provider, Shape, View};
pub use keys::{Key, names};
