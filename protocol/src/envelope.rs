//! The envelope that carries the answer of every execute, session, init, status and worker route,
//! and every error.
//!
//! These types are what a client reads. The server writes envelopes with [`crate::splice`],
//! which does not build them.

use crate::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An answer: a code, a message for people, the data, and facts about the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "{T}Envelope")
)]
pub struct Envelope<T = Value> {
    /// Zero for success; see [`Code`].
    pub code: Code,
    /// What happened, for people.
    #[serde(default)]
    pub message: String,
    /// The answer itself.
    pub data: T,
    /// Facts about the call.
    #[serde(default)]
    pub meta: Meta,
}

impl<T> Envelope<T> {
    /// Whether the call did what it was asked.
    pub fn is_success(&self) -> bool {
        self.code.is_success()
    }
}

/// Facts about a call: what the host fills in, and whatever the tool added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Meta {
    /// The full name of the tool, or the operation.
    #[serde(default)]
    pub tool: Option<String>,
    /// How long the call took on the server.
    #[serde(default)]
    pub execution_time_ms: Option<f64>,
    /// The tool's resource type; `session` for session and init operations.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// The session that the call ran in.
    #[serde(default)]
    pub session_id: Option<String>,
    /// The trace that the call belongs to.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// Whether the session was made for this call alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub temporary_session: bool,
    /// Keys that the tool added.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
