//! Plugins: from a `backend_class` in the configuration to a library whose functions can be called.
//!
//! The way, in reading order: `class` (what `backend_class` may say) → `search` (which files that can
//! mean, and what was found there) → `inspect` (what the file says about itself, read without running
//! any of it) → `image` (exactly the bytes that were inspected, where nobody can change them) → `load`
//! (the only code here that is unsafe) → `description` (what the backend offers, checked). `keys`
//! holds the entries of a configuration to the names of their backends. `error` says what went wrong on
//! the way, `report` says it to people.
//!
//! Owns nothing that runs later: making a backend, its life and its calls are the server's business.

mod class;
mod description;
mod error;
mod find;
mod image;
mod inspect;
mod keys;
mod layout;
mod load;
mod loader;
mod report;
mod search;

pub use class::{BackendClass, ClassSyntax};
pub use description::{Description, DescriptionFault, Kind, Tool};
pub use error::{LoadError, LoadFailure, Problem};
pub use find::{Found, find};
pub use inspect::{
    AbiVersion, DeclaredBackend, Dependency, Doors, Fault, Inspection, Manifest, Warning, inspect,
};
pub use keys::Keys;
pub use loader::{LoadedPlugin, Loader};
pub use report::inspection as report_inspection;
pub use search::{Finding, Looked, Origin, PassedOver, SearchPath, Trace};
