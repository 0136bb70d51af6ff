//! Answers about sessions, workers and initialisation: each is the `data` of an envelope.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// `initialize` is running.
    Creating,
    /// Calls run in it.
    Active,
    /// It is being destroyed.
    Closing,
    /// It could not be made.
    Error,
    /// A state that this version does not know.
    #[serde(other)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

/// Says that a session was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// The only value there is.
    Exists,
}

/// The data of session create and init resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionCreated {
    /// Present when the session was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Existing>,
    /// The session's identifier.
    pub session_id: String,
    /// The session's name.
    pub session_name: String,
    /// Its resource type.
    pub resource_type: String,
    /// Where it is in its life.
    pub session_status: SessionStatus,
    /// What went wrong, if anything.
    #[serde(default)]
    pub error: Option<String>,
    /// `true` when the backend is shared and needs no session; absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compatibility_mode: bool,
    /// Says so in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility_message: Option<String>,
}

/// The data of session destroy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionDestroyed {
    /// What happened, for people.
    pub message: String,
    /// Which session it was.
    pub session_id: String,
    /// The session's name.
    pub session_name: String,
    /// Its resource type.
    pub resource_type: String,
}

/// The data of session list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionList {
    /// Whose sessions.
    pub worker_id: String,
    /// The sessions.
    pub sessions: Vec<SessionEntry>,
    /// How many there are.
    pub count: usize,
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionEntry {
    /// Its resource type.
    pub resource_type: String,
    /// The session's identifier.
    pub session_id: String,
    /// The session's name.
    pub session_name: String,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// Whether a call made it, rather than a create.
    pub auto_created: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_activity: Timestamp,
    /// When it ends, if it is not used before; null when it never does.
    pub expires_at: Option<Timestamp>,
}

/// The data of session refresh for one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionRefreshed {
    /// What happened, for people.
    pub message: String,
    /// The session's resource type.
    pub resource_type: String,
    /// The session's identifier.
    pub session_id: String,
    /// When it ends now.
    pub expires_at: Option<Timestamp>,
}

/// The data of session refresh for all types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionsRefreshed {
    /// What happened, for people.
    pub message: String,
    /// Whose sessions.
    pub worker_id: String,
    /// How many were refreshed.
    pub refreshed_count: usize,
    /// Each by its resource type.
    pub details: BTreeMap<String, RefreshDetail>,
}

/// One session among those refreshed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefreshDetail {
    /// `refreshed`.
    pub status: String,
    /// When it ends now.
    pub expires_at: Option<Timestamp>,
}

/// The data of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// Whose heartbeat.
    pub worker_id: String,
    /// The resource types of its sessions.
    pub active_sessions: Vec<String>,
    /// The server's clock.
    pub timestamp: Timestamp,
}

/// The data of a worker's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerStatus {
    /// Whose status.
    pub worker_id: String,
    /// The resource types of its sessions.
    pub active_resources: Vec<String>,
    /// Its sessions by resource type.
    pub sessions: BTreeMap<String, SessionState>,
    /// How many tools there are to call.
    pub tools_available: usize,
}

/// A session in a worker's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionState {
    /// The session's identifier.
    pub session_id: String,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_activity: Timestamp,
}

/// The data of a disconnect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Disconnected {
    /// Who left.
    pub worker_id: String,
    /// How many sessions went with it.
    pub sessions_cleaned: usize,
}

/// The data of init batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InitBatchResults {
    /// For whom.
    pub worker_id: String,
    /// What became of each resource type.
    pub results: BTreeMap<String, InitResult>,
    /// How many were asked for.
    pub total: usize,
    /// How many succeeded.
    pub success_count: usize,
}

/// Whether one resource of an init batch was initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum InitVerdict {
    /// It was.
    Success,
    /// It was not.
    Error,
}

/// What became of one resource of an init batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InitResult {
    /// Whether it was initialised.
    pub status: InitVerdict,
    /// The session's identifier, when there is one.
    pub session_id: Option<String>,
    /// Where the session is in its life.
    pub session_status: Option<SessionStatus>,
    /// What went wrong, if anything.
    pub error: Option<String>,
}

/// The data of init from-config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigLoaded {
    /// Whether the file was read.
    pub config_loaded: bool,
    /// The file's content, with the overrides.
    pub config: Map<String, Value>,
}
