//! The route that Prometheus scrapes.

use std::{sync::Arc, time::Instant};

use axum::{extract::State, response::Response};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use sandbox_protocol::ErrorKind;

use super::{answer::json, asked::refused, front::Served};
use crate::{
    failure::Failure,
    observe::metrics::{MEDIA_TYPE, render},
};

/// `GET /metrics`.
pub(super) async fn metrics(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    if !served.sandbox.config.observe.metrics.enabled {
        let message = "`observe.metrics` is switched off";
        let failure = Failure::new(ErrorKind::RouteNotFound, message);
        return refused(&failure, &headers, Instant::now());
    }
    let mut response = json(200, render(&served.sandbox).await);
    let text = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
