//! The binary interface between host and plugins: C-compatible types, and nothing that runs.
//!
//! # Policy
//!
//! * [`ABI_MAJOR`] changes when something that exists changes its meaning or place. A host refuses
//!   a plugin of another major, before loading it, with a message that says which side to upgrade.
//! * [`ABI_MINOR`] counts additions. Host and plugin of one major work together whatever their
//!   minors are, in both directions.
//! * Every struct that may grow begins with its `size` in bytes, as its writer knew it. Fields are
//!   only appended. A reader refuses what is smaller than the frozen struct, uses no byte behind
//!   `size`, and treats an added field that is not there as zero, which it must take for "absent".
//! * The structs here are frozen for the major version: `abi_stable` compares them, field by
//!   field, when a Rust plugin is loaded, and it refuses additions too. A later minor adds its
//!   fields in a struct that begins with the frozen one, as C does it.
//! * Versions of the product, of compilers and of crates are shown to people and never compared.
//!
//! # Rules of the boundary
//!
//! * Only bytes and handles cross. A [`Slice`] is borrowed until the function it was passed to
//!   returns. A [`Buffer`] is owned by whoever holds it, and freed by the function it carries:
//!   who allocates frees. Opaque handles belong to the plugin; the host gives each back once.
//! * Text is UTF-8; structured data is JSON.
//! * No unwinding crosses, in either direction. What a plugin's author wrote in Rust runs behind a
//!   guard in the plugin; a panic there ends the operation with [`STATUS_PANICKED`]. The crate's own
//!   few steps before the guard do not panic; if one did, it would end the process.
//! * An operation completes exactly once, from any thread, perhaps before the function that
//!   started it returns, also after a cancel, and only when its work and destructors are done.
//! * The functions of [`Plugin`] may be called from any thread and at the same time. They do not
//!   block: what takes time goes on on a thread of the plugin's.
//!
//! # Trust
//!
//! A plugin runs in the host's process. Nothing here protects the host from one that is hostile,
//! or that corrupts memory: it can read every secret of the process, and crash it. What the host
//! can check it checks before it runs a plugin's code (see the loader), and an operator can pin
//! the bytes of a library with `sha256` in the configuration. Load only what you would run.

mod buffer;
mod growth;
mod manifest;
mod root;
mod types;

pub use buffer::{BlobList, Buffer, Slice};
pub use growth::{Host1, OperationRequest1, Plugin1, SpanRecord};
pub use manifest::{FINGERPRINT, MANIFEST_MAGIC, MANIFEST_SYMBOL, Manifest, ManifestHeader};
pub use root::{ROOT_SYMBOL, RootModule, RootModuleRef};
pub use types::*;

/// The major version of the ABI: both sides must agree on it.
pub const ABI_MAJOR: u32 = 1;

/// The minor version of the ABI: counts additions, never refused.
pub const ABI_MINOR: u32 = 1;

/// The name of the one symbol that every plugin exports: a [`PluginEntry`].
pub const ENTRY_SYMBOL: &str = "sandbox_plugin_entry";
