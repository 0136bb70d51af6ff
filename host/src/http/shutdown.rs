//! The route that stops the server.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use http::StatusCode;
use sandbox_protocol::{
    request::{Shutdown, parse_or_default},
    response::ShutdownStarted,
};

use super::{
    answer::bare,
    asked::{Asked, bad},
    front::Served,
    operator,
};
use crate::{
    failure::{Failure, internal},
    observe::Admin,
};

/// `POST /api/v1/server/shutdown`.
pub(super) async fn shut_down(State(served): State<Arc<Served>>, asked: Asked) -> Response {
    match stop(&served, &asked).await {
        Ok(started) => bare(StatusCode::OK, &started),
        Err(failure) => asked.refused(&failure),
    }
}

async fn stop(served: &Served, asked: &Asked) -> Result<ShutdownStarted, Failure> {
    let admin = Admin {
        action: "server:shutdown",
        key: asked.visitor.caller.owner(),
        target: "".into(),
        error: None,
    };
    let observers = &served.sandbox.observers;
    operator::check(
        served,
        &asked.visitor,
        &asked.headers,
        "stopping the server",
    )
    .inspect_err(|failure| {
        observers.admin(&Admin {
            error: Some(&failure.message),
            ..admin.clone()
        });
    })?;
    let request: Shutdown = parse_or_default(&asked.body).map_err(|error| bad(&error))?;
    let grace = if request.force {
        Duration::ZERO
    } else {
        served.sandbox.config.server.grace_period
    };
    tracing::info!(
        force = request.force,
        key = asked.visitor.caller.owner(),
        "asked to stop"
    );
    observers.admin(&admin);
    served.sandbox.drain();
    let sandbox = Arc::clone(&served.sandbox);
    // A task of its own: it goes on when the client does not wait for the answer. The command ends
    // the process only after it.
    let stopped = tokio::spawn(async move {
        let ended = sandbox.stop(grace).await;
        sandbox.stop_asked.cancel();
        ended
    });
    let sessions_cleaned = if request.cleanup_sessions {
        stopped.await.map_err(|_| internal())?
    } else {
        0
    };
    Ok(ShutdownStarted {
        status: "success".to_owned(),
        message: "the server is stopping".to_owned(),
        sessions_cleaned,
    })
}
