//! The table of routes.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{any, get, post},
};
use sandbox_protocol::{ErrorKind, Operation, routes as path};

use super::{
    asked::{Asked, refused},
    batch, call,
    discard::discard,
    events, execute, from_config,
    front::Served,
    init,
    job::operation,
    kill, mcp, metrics, openapi, pages, server, sessions, shutdown, tools, warmup, workers,
};
use crate::{failure::Failure, mcp::WELL_KNOWN};

/// All routes.
pub(super) fn router() -> Router<Arc<Served>> {
    Router::new()
        .route(path::EXECUTE, post(run_tool))
        .route(path::EXECUTE_BATCH, post(batch::batch))
        .route(
            path::SESSION_CREATE,
            operation(Operation::SessionCreate, sessions::create),
        )
        .route(
            path::SESSION_DESTROY,
            operation(Operation::SessionDestroy, sessions::destroy),
        )
        .route(
            path::SESSION_LIST,
            operation(Operation::SessionList, sessions::list),
        )
        .route(
            path::SESSION_REFRESH,
            operation(Operation::SessionRefresh, sessions::refresh),
        )
        .route(
            path::HEARTBEAT,
            operation(Operation::SessionHeartbeat, workers::heartbeat),
        )
        .route(
            path::STATUS,
            operation(Operation::SessionStatus, workers::status),
        )
        .route(
            path::DISCONNECT,
            operation(Operation::SessionDisconnect, workers::disconnect),
        )
        .route(
            path::INIT_RESOURCE,
            operation(Operation::InitResource, init::resource),
        )
        .route(
            path::INIT_BATCH,
            operation(Operation::InitBatch, init::batch),
        )
        .route(
            path::INIT_FROM_CONFIG,
            operation(Operation::InitFromConfig, from_config::load),
        )
        .route(path::TOOLS, get(tools::list))
        .route(path::TOOL_SCHEMA, get(tools::schema))
        .route(path::TOOL_CALL, post(call::call))
        .route(path::OPENAPI, get(openapi::routes))
        .route(path::OPENAPI_TOOLS, get(openapi::tools))
        .route(path::EVENTS, get(events::stream))
        .route(path::SESSION_KILL, post(kill::kill))
        .route(path::UI, get(pages::ui))
        .route(path::DOCS, get(pages::docs))
        .route(path::ASSET, get(pages::asset))
        .route(path::WARMUP, post(warmup::warm_up))
        .route(path::WARMUP_STATUS, get(warmup::status))
        .route(path::SHUTDOWN, post(shutdown::shut_down))
        .route(path::METRICS, get(metrics::metrics))
        .route(path::HEALTH, get(server::health))
        .route(path::READY, get(server::ready))
        .route(crate::mcp::PATH, any(mcp::all))
        .route("/mcp/{backend}", any(mcp::one))
        .route(WELL_KNOWN, get(mcp::metadata))
        .route(
            "/.well-known/oauth-protected-resource/{*path}",
            get(mcp::metadata),
        )
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
}

async fn run_tool(State(served): State<Arc<Served>>, asked: Asked) -> Response {
    execute::execute(served, asked).await
}

pub(super) async fn no_route(request: Request) -> Response {
    /// As much of an unknown path as is worth repeating.
    const SHOWN: usize = 80;
    let path: String = request.uri().path().chars().take(SHOWN).collect();
    let message = format!("there is no route {path}");
    turned_away(&Failure::new(ErrorKind::RouteNotFound, message), request)
}

async fn no_method(request: Request) -> Response {
    let message = format!(
        "{} does not take {}",
        request.uri().path(),
        request.method()
    );
    turned_away(&Failure::new(ErrorKind::MethodNotAllowed, message), request)
}

/// The answer to a request whose body nobody reads.
pub(super) fn turned_away(failure: &Failure, request: Request) -> Response {
    let (head, body) = request.into_parts();
    discard(body, &head.headers);
    refused(failure, &head.headers, Instant::now())
}
