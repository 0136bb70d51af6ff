//! Virtual machines for the vm backend: QEMU driven by QMP, sessions as clones of a booted template.
//!
//! [`Qemu`] is the way in. A machine is booted once for each [`Shape`], up to the point where it answers, and its
//! state is written down: this is the template. A [`Guest`] starts from there, in about a tenth of a second: its memory
//! is a private view of the template's memory file and its disk an overlay over the template's disk, so guests neither
//! see each other nor change what they came from.
//!
//! What a guest is given and what it answers is in terms of pixels, X key symbols and pictures; nothing here knows
//! tools, sessions or protocol codes.
//!
//! Reading order: `qemu`, `settings`, `template` (and in it `boot`, `cache`, `state`), `clone`, `guest`; below them
//! `hardware` (the command line), `process`, `qmp`, `disk`.

mod clone;
mod disk;
mod error;
mod guest;
mod hardware;
mod installation;
mod process;
mod qemu;
mod qmp;
mod settings;
mod template;

pub use error::{End, Error};
pub use guest::{Button, Guest, Input, Picture, Power, View};
pub use qemu::{Qemu, Shape};
pub use settings::{Accelerator, DiskInterface, Settings};

/// What functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
