//! The routes of the Model Context Protocol: from this front's requests to those of [`crate::mcp`].

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, Path, Request, State, rejection::PathRejection},
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri};
use sandbox_protocol::ErrorKind;

use super::{answer::bare, asked::Asked, front::Served, routes::turned_away};
use crate::{
    failure::Failure,
    mcp::{self, WELL_KNOWN},
};

/// `/mcp`.
pub(super) async fn all(State(served): State<Arc<Served>>, request: Request) -> Response {
    answer(&served, None, request).await
}

/// `/mcp/{backend}`.
pub(super) async fn one(
    State(served): State<Arc<Served>>,
    backend: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let Ok(Path(backend)) = backend else {
        let failure = Failure::new(ErrorKind::Parameter, "the backend's name is not UTF-8");
        return turned_away(&failure, request);
    };
    match served.sandbox.catalog.backend(&backend) {
        Ok(_) => answer(&served, Some(backend), request).await,
        Err(failure) => turned_away(&failure, request),
    }
}

async fn answer(served: &Arc<Served>, backend: Option<String>, request: Request) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let asked = match Asked::from_request(request, served).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let Some(front) = &served.mcp else {
        let message = "`mcp.enabled` is false in this server's configuration";
        return asked.refused(&Failure::new(ErrorKind::RouteNotFound, message));
    };
    let request = mcp::Request {
        caller: asked.visitor.caller,
        method,
        uri,
        backend,
        headers: asked.headers,
        body: asked.body,
    };
    front.answer(request).await.map(Body::new)
}

/// `/.well-known/oauth-protected-resource/…`.
pub(super) async fn metadata(
    State(served): State<Arc<Served>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path().strip_prefix(WELL_KNOWN).unwrap_or_default();
    let path = if path.is_empty() { mcp::PATH } else { path };
    let document = mcp::document(&served.sandbox.config, &headers, path);
    bare(StatusCode::OK, &document)
}
