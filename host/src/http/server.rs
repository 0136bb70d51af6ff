//! The routes that tell whether the server lives, and whether it takes calls.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{StatusCode, Uri};
use sandbox_protocol::{
    Timestamp,
    response::{Health, Readiness, Ready, ReadyOrNot},
};

use super::{answer::bare, front::Served, health};

/// `GET /health`.
pub(super) async fn health() -> Response {
    let health = Health {
        status: "healthy".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        timestamp: Timestamp::now(),
    };
    bare(StatusCode::OK, &health)
}

/// `GET /ready`.
pub(super) async fn ready(State(served): State<Arc<Served>>, uri: Uri) -> Response {
    let sandbox = &served.sandbox;
    let status = sandbox.readiness();
    let configured = sandbox.config.enabled().map(|(name, _)| name);
    let answer = ReadyOrNot {
        ready: Ready {
            status,
            tools_count: sandbox.catalog.visible(),
            active_workers: sandbox.sessions.workers(),
            total_sessions: sandbox.sessions.count(),
        },
        not_loaded: configured
            .filter(|name| sandbox.catalog.backend(name).is_err())
            .map(ToOwned::to_owned)
            .collect(),
        backends: if health::is_wanted(uri.query()) {
            Some(health::backends(sandbox).await)
        } else {
            None
        },
    };
    let status = match status {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    bare(status, &answer)
}
