//! The requests that run tools. The server reads them without copying anything out of the body.

use super::{BadRequest, null, parse};
use crate::Seconds;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The body of an execute: one tool, run for one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id and action")]
pub struct ExecuteRequest<'a> {
    /// Who calls; a header may serve instead.
    #[serde(borrow, default, deserialize_with = "null::borrowed_text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<Cow<'a, str>>,
    /// Which tool.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    /// The tool's parameters, as they came: the tool itself reads them.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Object>"))]
    pub params: Option<&'a RawValue>,
    /// How long the tool may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
    /// The trace, where no header gives it.
    #[serde(borrow, default, deserialize_with = "null::borrowed_text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Cow<'a, str>>,
}

impl<'a> ExecuteRequest<'a> {
    /// Reads the body of an execute.
    ///
    /// # Errors
    ///
    /// When the body is not such a request.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadRequest> {
        parse(body)
    }
}

/// The body of a batch: several tools, run for one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id and actions")]
pub struct BatchRequest<'a> {
    /// Who calls; a header may serve instead.
    #[serde(borrow, default, deserialize_with = "null::borrowed_text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<Cow<'a, str>>,
    /// What to run.
    #[serde(borrow)]
    pub actions: Vec<Action<'a>>,
    /// Whether to run the actions at the same time.
    #[serde(default, deserialize_with = "null::as_default")]
    pub parallel: bool,
    /// Whether to leave the rest out after the first failure.
    #[serde(default = "null::yes", deserialize_with = "null::as_true")]
    pub stop_on_error: bool,
    /// The trace, where no header gives it.
    #[serde(borrow, default, deserialize_with = "null::borrowed_text")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Cow<'a, str>>,
}

impl<'a> BatchRequest<'a> {
    /// Reads the body of a batch.
    ///
    /// # Errors
    ///
    /// When the body is not such a request.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadRequest> {
        parse(body)
    }
}

/// One action of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with action")]
pub struct Action<'a> {
    /// Which tool.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    /// The tool's parameters, as they came.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Object>"))]
    pub params: Option<&'a RawValue>,
    /// How long the tool may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
}

/// Reads a body that is a tool's parameters and nothing else; it may be left out.
///
/// # Errors
///
/// When the body is no JSON object, or nests too deep.
pub fn parse_params(body: &[u8]) -> Result<Option<&RawValue>, BadRequest> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    parse(body).map(Some)
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
