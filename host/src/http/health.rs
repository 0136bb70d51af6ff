//! How each backend is: `/ready?verbose`.
//!
//! Who asks for it is asked for a key, for it names what went wrong in the server; `/ready` alone stays open.

use futures_util::future::join_all;
use sandbox_protocol::response::{BackendCondition, BackendHealth};
use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use crate::{backend::Backend, sandbox::Sandbox};

/// All backends, asked at the same time.
pub(super) async fn backends(sandbox: &Sandbox) -> Vec<BackendHealth> {
    let limit = sandbox.config.server.limits.probe_timeout;
    join_all(
        sandbox
            .catalog
            .backends()
            .map(|backend| health(backend, limit)),
    )
    .await
}

async fn health(backend: &Arc<Backend>, limit: Duration) -> BackendHealth {
    let (probe, probe_error) = match backend.probe(limit).await {
        None => (None, None),
        Some(Ok(found)) => (Some(found), None),
        Some(Err(failure)) => (None, Some(failure.message)),
    };
    let warm = backend.is_warm();
    let last_error = backend.last_error();
    let state = match (warm, &probe_error, &last_error) {
        (true, None, _) => BackendCondition::Warm,
        (false, ..) if backend.is_warming() => BackendCondition::Warming,
        (false, _, None) => BackendCondition::Cold,
        _ => BackendCondition::Failing,
    };
    BackendHealth {
        name: backend.name.to_string(),
        kind: backend.kind.as_str().to_owned(),
        state,
        version: backend.plugin.description.version.clone(),
        abi: format!(
            "{}.{}",
            sandbox_plugin_api::abi::ABI_MAJOR,
            backend.plugin.table.minor()
        ),
        sessions: backend.sessions.load(Ordering::Relaxed),
        last_error,
        probe,
        probe_error,
    }
}

/// Whether a query asks for it: `verbose`, `verbose=true`, `verbose=1`.
pub(super) fn is_wanted(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
        key == "verbose" && ["true", "1", ""].contains(&value)
    })
}
