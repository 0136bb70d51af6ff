//! wip
extern crate self as sandbox_plugin_api;
pub mod abi;
pub mod backend;
mod context;
mod error;
#[doc(hidden)]
pub mod export;
#[cfg(feature = "host")]
pub mod host;
mod params;
pub mod plugin;
pub mod prelude;
mod reply;
pub mod schema;
#[cfg(feature = "testkit")]
pub mod testkit;
pub use context::{BackendEnv, CallContext, SessionInfo};
pub use error::{Code, Error, Result};
pub use reply::{IntoReply, Reply};
pub use sandbox_plugin_macros::{backend, tool};

/// What the macros need of other crates. Not for authors: it may change at any time.
#[doc(hidden)]
pub mod private {
    pub use abi_stable;
    pub use schemars;
    pub use serde;

    pub use crate::schema::probe;
}
