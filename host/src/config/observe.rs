//! What the server lets be seen, as operators write it: metrics, traces, the audit log.
//! Owns the keys; `rules.rs` resolves the paths, `crate::observe` does the work.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::masking::MASK;

/// What the server lets be seen: metrics, traces, the audit log.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Observe {
    /// Counters for Prometheus.
    pub metrics: Metrics,
    /// Spans for an OpenTelemetry collector.
    pub traces: Traces,
    /// One line per call, session and admin action, in a file.
    pub audit: Audit,
}

/// Counters for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether `GET /metrics` answers. It asks for a key as every route does.
    pub enabled: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Spans for an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// Where spans are sent, as OTLP over HTTP with protobuf: `http://127.0.0.1:4318/v1/traces`, say. No
    /// spans are made when absent.
    pub endpoint: Option<String>,
    /// Headers to send along, for a collector that asks for a token.
    #[serde(serialize_with = "masked")]
    pub headers: BTreeMap<String, String>,
    /// Which part of the calls whose caller did not decide is traced: 0 none, 1 all. A `traceparent` with a
    /// decision is followed.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample: f64,
    /// The name of this service among others.
    #[schemars(length(min = 1))]
    pub service_name: String,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: BTreeMap::new(),
            sample: 1.0,
            service_name: "sandbox".to_owned(),
        }
    }
}

/// One line per call, session and admin action, in a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// The file, made with mode 600; nothing is written when absent. A relative path is relative to this file.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub file: Option<PathBuf>,
    /// What is written of a call's parameters.
    pub params: AuditParams,
    /// The size at which the file is put aside as `FILE.1` and a new one begun, in bytes; 0: never.
    #[schemars(range(max = 1_099_511_627_776_u64))]
    pub max_bytes: u64,
    /// How many files that were put aside are kept.
    #[schemars(range(min = 1, max = 1000))]
    pub keep: u32,
    /// How much may wait to be written, in bytes. When the disk cannot follow, lines beyond it are left out; the
    /// file and the metrics say how many.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub queue_bytes: usize,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            file: None,
            params: AuditParams::default(),
            max_bytes: 100 << 20,
            keep: 5,
            queue_bytes: 32 << 20,
        }
    }
}

/// What the audit log says of parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum AuditParams {
    /// Their SHA-256 and size: enough to prove what was asked, not to learn it.
    #[default]
    Hash,
    /// All of them, secrets included.
    Plain,
    /// Nothing.
    None,
}

/// Header values are tokens more often than not.
fn masked<S: Serializer>(headers: &BTreeMap<String, String>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(headers.keys().map(|name| (name, MASK)))
}
