//! The plugin's side of the ABI: the table the host calls, and what runs behind each of its functions.
//!
//! Read in this order: `table` (the functions that cross), `instance` (one backend behind them),
//! `operation` (how an async function becomes start, cancel and complete), `guard` (where panics
//! stop).

pub(crate) mod describe;
pub(crate) mod guard;
pub(crate) mod host;
mod instance;
mod log;
mod operation;
mod registry;
pub(crate) mod runtime;
mod span;
mod table;

pub(crate) use operation::Work;
pub use registry::{Registration, register};
pub use table::entry;
