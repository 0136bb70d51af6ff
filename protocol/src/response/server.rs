//! Answers about the server as a whole: these are bare, without an envelope.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The answer of `/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// `healthy`, as long as the process lives.
    pub status: String,
    /// The server's version.
    pub version: String,
    /// The server's clock.
    pub timestamp: Timestamp,
}

/// Whether the server takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It does.
    Ready,
    /// Not yet.
    Starting,
    /// Not any more.
    Draining,
}

/// The answer of `/ready`; its HTTP status is 503 unless `status` is [`Readiness::Ready`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ready {
    /// Whether the server takes calls.
    pub status: Readiness,
    /// How many tools it serves.
    #[serde(default)]
    pub tools_count: usize,
    /// How many workers have sessions.
    #[serde(default)]
    pub active_workers: usize,
    /// How many sessions there are.
    #[serde(default)]
    pub total_sessions: usize,
}

/// The answer of `/ready`, and what the server does without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadyOrNot {
    /// The answer as far as it is always there.
    #[serde(flatten)]
    pub ready: Ready,
    /// Optional resources that could not be loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_loaded: Vec<String>,
    /// How each backend is, when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backends: Option<Vec<BackendHealth>>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackendHealth {
    /// Its name.
    pub name: String,
    /// Which of its resources it has per session.
    #[cfg_attr(
        feature = "schema",
        schemars(extend("enum" = ["shared", "session", "hybrid"]))
    )]
    pub kind: String,
    /// How it is.
    pub state: BackendCondition,
    /// Its version.
    pub version: String,
    /// The ABI that its plugin has.
    pub abi: String,
    /// How many sessions it has.
    pub sessions: usize,
    /// What its last failure said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What its `probe` found, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<serde_json::Value>,
    /// Why its `probe` found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_error: Option<String>,
}

/// How a backend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BackendCondition {
    /// Calls run in it at once.
    Warm,
    /// It is being warmed up.
    Warming,
    /// The next call warms it up.
    Cold,
    /// Its last warm-up failed, it panicked, or its probe says so.
    Failing,
    /// A state that this version does not know.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

/// How a warm-up went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WarmupVerdict {
    /// Every backend asked for is warm.
    Success,
    /// At least one is not.
    PartialError,
}

/// The answer of a warm-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarmupOutcome {
    /// How it went.
    pub status: WarmupVerdict,
    /// Whether each backend asked for is warm.
    pub results: BTreeMap<String, bool>,
    /// All backends counted.
    pub summary: WarmupSummary,
    /// Why a backend is not warm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
}

/// All backends counted by their warmth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarmupSummary {
    /// How many there are.
    pub total: usize,
    /// How many are warm.
    pub warmed_up: usize,
    /// How many are not.
    pub pending: usize,
}

/// The answer of the warm-up's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarmupStatus {
    /// Each backend's state.
    pub backends: BTreeMap<String, BackendState>,
    /// All backends counted.
    pub summary: WarmupSummary,
}

/// A backend's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackendState {
    /// Whether its plugin is loaded.
    pub loaded: bool,
    /// Whether it is warm.
    pub warmed_up: bool,
}

/// The answer of a shutdown; the server drains and exits after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShutdownStarted {
    /// `success`.
    pub status: String,
    /// What happens now, for people.
    pub message: String,
    /// How many sessions were cleaned before the answer.
    pub sessions_cleaned: usize,
}
