//! A session's configuration: the backend's, overlaid by what is asked for, and held against the schema that the plugin
//! publishes.

use sandbox_protocol::ErrorKind;
use serde_json::{Map, Value};

use crate::{
    backend::Backend,
    failure::Failure,
    plugin::Kind,
    schema::{Fault, Problem, child, is_within, split},
};

/// The configuration of a session for which this is asked, as JSON.
///
/// # Errors
///
/// Code 1002 when what is asked for is not what the plugin's schema says.
pub(super) fn of_session(
    backend: &Backend,
    wanted: &Map<String, Value>,
) -> Result<String, Failure> {
    let mut config = backend.config.clone();
    config.extend(
        wanted
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let config = Value::Object(config);
    // With `initialize`, plugins of our SDK read it into a type of their own, which says the same as their schema and more.
    if backend.kind == Kind::Shared || !backend.plugin.inspection.doors.rust {
        check(backend, &config, wanted)?;
    }
    Ok(config.to_string())
}

fn check(backend: &Backend, config: &Value, wanted: &Map<String, Value>) -> Result<(), Failure> {
    let asked = |fault: &Fault| {
        let mut keys = wanted.keys();
        keys.any(|key| is_within(&fault.pointer, &child("", key)))
    };
    // The backend's own keys are in every session's configuration, known to its schema or not.
    let passes = |fault: &Fault| {
        let at_root = split(&fault.pointer).is_some_and(|(parent, _)| parent.is_empty());
        matches!(fault.problem, Problem::UnknownKey { .. }) && at_root && !asked(fault)
    };
    let faults = backend.plugin.description.session_config.all(config);
    let Some(fault) = faults.into_iter().find(|fault| !passes(fault)) else {
        return Ok(());
    };
    if matches!(fault.problem, Problem::WrongValue { .. }) && !asked(&fault) {
        // The value is the operator's, and may be a secret.
        tracing::warn!(backend = &*backend.name, %fault, "the configuration is of no use to sessions");
        let message = format!(
            "the configuration of `{}` is of no use to its sessions; the server's log says more",
            backend.name
        );
        return Err(Failure::new(ErrorKind::SessionCreationFailed, message));
    }
    let data = serde_json::to_value(&fault).unwrap_or_default();
    let message = format!("the session's configuration: {fault}");
    Err(Failure::new(ErrorKind::Parameter, message).with_data(data))
}
