//! The host's side of the ABI: safe handles over a plugin's table. What is behind them, a Rust
//! plugin, one in C, or one in the same program for a test, cannot be told from here.

mod answer;
mod backend;
mod pending;
mod services;

pub use answer::{Answer, Status};
pub use backend::{BackendHandle, Function, Request, SessionHandle, Table, TableError};
pub use pending::{Keep, Pending};
pub use services::{Events, LogEntry, LogSink, SpanEntry, table};
