//! The wire types of the HTTP protocol, without any I/O.
//!
//! Host and client share this crate, so that a field is spelled in one place only. It owns the
//! codes and their HTTP statuses, the envelope, the request and answer of every route, and the
//! rules by which tools and sessions are named. It does no I/O, knows no backend, and decides
//! nothing about a request beyond whether it is well formed.
//!
//! Read [`code`] and [`envelope`] first; [`splice`] is how the server writes an envelope round
//! bytes that it never parses.

pub mod code;
pub mod envelope;
pub mod names;
pub mod operation;
pub mod request;
pub mod response;
pub mod routes;
#[cfg(feature = "schema")]
mod schema;
pub mod seconds;
pub mod splice;
pub mod timestamp;
pub mod trace;

pub use code::{Code, ErrorKind};
pub use envelope::{Envelope, Meta};
pub use names::{Resolution, SessionName, ToolIndex, WorkerId};
pub use operation::Operation;
pub use seconds::Seconds;
pub use timestamp::Timestamp;
pub use trace::TraceId;
