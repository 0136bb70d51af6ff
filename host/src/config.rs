//! The server's configuration: from the bytes of a file to one typed, checked [`Config`].
//!
//! The layers, each in its own file, in reading order:
//! `document` (strict JSON, every value with its line and column) → `expand` (`${VAR}`) →
//! `check` (unknown keys, types and ranges, from the schema that `written` derives) →
//! `rules` (what a schema cannot say) → [`Config`]. All faults of all layers are reported at once.
//!
//! Owns no running state: what the server does with the values is told in the modules that do it.

mod address;
mod check;
mod diagnostic;
mod document;
mod environment;
mod expand;
mod former;
mod keys;
mod load;
mod masking;
mod observe;
mod parse;
mod publish;
mod refused;
mod rules;
mod seconds;
mod settings;
mod written;

pub use address::{Host, InvalidHost};
pub use check::{Checked, check_against};
pub use diagnostic::{Diagnostic, Location, Severity, render, sort};
pub use document::{Document, Source};
pub use environment::Environment;
pub use keys::ApiKey;
pub use load::{ConfigError, Loaded};
pub use masking::mask_secrets;
pub use observe::{Audit, AuditParams, Metrics, Observe, Traces};
pub use publish::{json_schema, json_schema_with_plugins};
pub use refused::rows as refused_keys;
pub use settings::{Config, Origins, RateLimit, Resource, Security, Server};
pub use written::{Idempotency, Limits, LogLevel, Mcp, Replies};
