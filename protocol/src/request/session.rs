//! The requests about sessions, workers, warm-up and the server. They are rare, so they own what they hold.

use super::{BadRequest, null};
use crate::Seconds;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value};

/// The body of the routes that take a worker only: list, heartbeat, status, disconnect.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id")]
pub struct WorkerRequest {
    /// Whose sessions; a header may serve instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// The trace, where no header gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// The body of session destroy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id and resource_type")]
pub struct WorkerResource {
    /// Whose session; a header may serve instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Of which type.
    pub resource_type: String,
    /// The trace, where no header gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// The body of session kill.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with session_id")]
pub struct KillSession {
    /// Which session.
    pub session_id: String,
    /// The trace, where no header gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// The body of session create.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id and resource_type")]
pub struct CreateSession {
    /// For whom; a header may serve instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Of which type.
    pub resource_type: String,
    /// Laid over the configuration file's, key by key.
    #[serde(default)]
    pub session_config: Map<String, Value>,
    /// Becomes part of the session's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_name: Option<String>,
    /// How long the session lives unused; else the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Seconds>,
    /// Whether a call restarts the time to live.
    #[serde(default = "null::yes")]
    pub auto_extend: bool,
    /// The trace, where no header gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// By hand, since its configuration has two names, either of which may be null: an alias may not stand twice.
impl<'de> Deserialize<'de> for CreateSession {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(expecting = "an object with worker_id and resource_type")]
        struct Written {
            worker_id: Option<String>,
            resource_type: String,
            session_config: Option<Map<String, Value>>,
            config: Option<Map<String, Value>>,
            custom_name: Option<String>,
            ttl: Option<Seconds>,
            auto_extend: Option<bool>,
            trace_id: Option<String>,
        }
        let written = Written::deserialize(deserializer)?;
        let session_config = match (written.session_config, written.config) {
            (Some(_), Some(_)) => {
                let message = "`session_config` and `config` are the same; give one of them";
                return Err(D::Error::custom(message));
            }
            (config, None) | (None, config) => config.unwrap_or_default(),
        };
        Ok(Self {
            worker_id: written.worker_id,
            resource_type: written.resource_type,
            session_config,
            custom_name: written.custom_name,
            ttl: written.ttl,
            auto_extend: written.auto_extend.unwrap_or(true),
            trace_id: written.trace_id,
        })
    }
}

/// The body of session refresh.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id")]
pub struct RefreshSession {
    /// Whose sessions; a header may serve instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Of which type; all of them, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The trace, where no header gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// The body of init resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id and resource_type")]
pub struct InitResource {
    /// For whom; a header may serve instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Of which type.
    pub resource_type: String,
    /// Laid over the configuration file's, key by key.
    #[serde(default, deserialize_with = "null::as_default")]
    pub init_config: Map<String, Value>,
    /// The trace, where no header gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// The body of init batch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id and resource_configs")]
pub struct InitBatch {
    /// For whom; a header may serve instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// What each type is configured with; see [`InitBatch::configs`].
    #[serde(default, deserialize_with = "null::as_default")]
    pub resource_configs: Map<String, Value>,
    /// The trace, where no header gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// Resource types, each with its configuration, in the order asked.
pub type ResourceConfigs = Vec<(String, Map<String, Value>)>;

impl InitBatch {
    /// Each type with its configuration, whether given bare or as `{"content": {…}}`.
    ///
    /// # Errors
    ///
    /// Names the first type whose configuration is not an object.
    pub fn configs(self) -> Result<ResourceConfigs, BadRequest> {
        let config = |(name, value): (String, Value)| {
            let field = || format!("resource_configs.{name}");
            let config = content(value).ok_or_else(|| {
                BadRequest::new(Some(&field()), format!("`{}`: expected an object", field()))
            })?;
            Ok((name, config))
        };
        self.resource_configs.into_iter().map(config).collect()
    }
}

fn content(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Null => Some(Map::new()),
        Value::Object(mut config) => match config.get_mut("content").map(Value::take) {
            None => Some(config),
            Some(Value::Null) => Some(Map::new()),
            Some(Value::Object(content)) => Some(content),
            Some(_) => None,
        },
        _ => None,
    }
}

/// The body of init from-config.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with worker_id and config_path")]
pub struct InitFromConfig {
    /// For whom; a header may serve instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Which file, below the directory of the server's own configuration.
    pub config_path: String,
    /// Laid over the file, one level deep, where the file has the key.
    #[serde(default, deserialize_with = "null::as_default")]
    pub override_params: Map<String, Value>,
    /// The trace, where no header gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// The body of warm-up; it may be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with backends")]
pub struct Warmup {
    /// Which backends; all of them, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backends: Option<Vec<String>>,
}

/// The body of shutdown; it may be left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(expecting = "an object with force and cleanup_sessions")]
pub struct Shutdown {
    /// Whether to cancel running calls at once.
    #[serde(default, deserialize_with = "null::as_default")]
    pub force: bool,
    /// Whether to clean the sessions before the answer.
    #[serde(default = "null::yes", deserialize_with = "null::as_true")]
    pub cleanup_sessions: bool,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            force: false,
            cleanup_sessions: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse, parse_or_default};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_session_is_created_with_either_name_of_its_config() {
        for key in ["session_config", "config"] {
            let body = format!(r#"{{"worker_id":"w","resource_type":"vm","{key}":{{"a":1}}}}"#);
            let request: CreateSession = parse(body.as_bytes()).unwrap();
            assert_eq!(request.session_config["a"], 1);
            assert!(request.auto_extend && request.ttl.is_none());
        }
    }

    #[test]
    fn null_counts_as_absent_beside_the_other_name() {
        let config = |members: &str| {
            let body = format!(r#"{{"resource_type":"vm",{members}}}"#);
            parse::<CreateSession>(body.as_bytes()).map(|request| request.session_config)
        };
        for members in [
            r#""session_config":null,"config":null"#,
            r#""config":null,"session_config":{}"#,
        ] {
            assert!(config(members).unwrap().is_empty());
        }
        assert_eq!(
            config(r#""session_config":null,"config":{"a":1}"#).unwrap()["a"],
            1
        );
        let both = config(r#""session_config":{"a":1},"config":{"a":2}"#).unwrap_err();
        assert!(
            both.to_string().contains("`session_config` and `config`"),
            "{both}"
        );
        let wrong = config(r#""config":5"#).unwrap_err();
        assert_eq!(wrong.field(), Some("config"));
    }

    #[test]
    fn missing_fields_are_named() {
        let missing = |error: BadRequest| error.to_string();
        let body = br#"{"worker_id":"w"}"#;
        assert!(missing(parse::<CreateSession>(body).unwrap_err()).contains("`resource_type`"));
        assert!(missing(parse::<WorkerResource>(body).unwrap_err()).contains("`resource_type`"));
        assert!(missing(parse::<InitResource>(body).unwrap_err()).contains("`resource_type`"));
        assert!(missing(parse::<InitFromConfig>(body).unwrap_err()).contains("`config_path`"));
    }

    #[test]
    fn a_batch_takes_configs_bare_or_as_content() {
        let configs = |value| {
            parse::<InitBatch>(json!({"resource_configs": value}).to_string().as_bytes())
                .unwrap()
                .configs()
        };
        let read = configs(json!({"a": {"content": {"x": 1}}, "b": {"x": 2}, "c": null})).unwrap();
        let read: Vec<_> = read
            .into_iter()
            .map(|(name, c)| (name, Value::Object(c)))
            .collect();
        assert_eq!(
            json!(read),
            json!([["a", {"x": 1}], ["b", {"x": 2}], ["c", {}]])
        );
        let error = configs(json!({"a": {"content": 1}})).unwrap_err();
        assert_eq!(error.field(), Some("resource_configs.a"));
    }

    #[test]
    fn warmup_and_shutdown_need_no_body() {
        for body in [&b""[..], b" ", b"null", b"{}"] {
            assert!(parse_or_default::<Warmup>(body).unwrap().backends.is_none());
            let shutdown: Shutdown = parse_or_default(body).unwrap();
            assert!(!shutdown.force && shutdown.cleanup_sessions);
        }
        parse_or_default::<Warmup>(b"[]").unwrap_err();
    }
}
