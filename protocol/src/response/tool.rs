//! Answers about tools.

use crate::Envelope;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A tool, as agents are told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolDescription {
    /// The bare action: `click`.
    pub name: String,
    /// The name to call it by: `vm:click`.
    pub full_name: String,
    /// The backend it belongs to: `vm`.
    pub resource_type: Option<String>,
    /// Whether it runs without a session.
    pub stateless: bool,
    /// What it does, and when to use it.
    pub description: String,
    /// The JSON Schema of its parameters.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Object"))]
    pub input_schema: Box<RawValue>,
    /// Hints about it: read-only, destructive, idempotent.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Object"))]
    pub annotations: Box<RawValue>,
}

/// The answer of the list of tools.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolList {
    /// The tools.
    pub tools: Vec<ToolDescription>,
    /// How many there are.
    pub count: usize,
}

/// The data of a batch's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(rename = "BatchResults")
)]
pub struct BatchResults<R = Envelope> {
    /// An envelope for each action that ran, in the order asked.
    pub results: Vec<R>,
    /// How many actions were asked for.
    pub total: usize,
    /// How many ran.
    pub executed: usize,
    /// How many of those succeeded.
    pub success_count: usize,
}
