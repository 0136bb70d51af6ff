//! The route that tells what happens, as it happens: one stream of events for each console that looks.
//!
//! `view` is who may see what, `state` what is shown of backends and sessions, `stream` the stream itself. A
//! stream costs calls nothing but the feed's events: what can be read off the server is read off it once a second,
//! by the stream's own task, and sent when it differs.

mod state;
mod stream;
mod view;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Extension, body::Body, extract::State, response::Response};
use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use sandbox_protocol::ErrorKind;

use super::{
    asked::{Visitor, refused},
    front::Served,
};
use crate::failure::Failure;
use stream::events;
use view::View;

pub(super) use stream::Streams;

/// `GET /api/v1/events`.
pub(super) async fn stream(
    State(served): State<Arc<Served>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Response {
    let Some(place) = served.streams.take() else {
        let failure = Failure::new(ErrorKind::TooManyRequests, "too many look on already")
            .retry_after(Duration::from_secs(1));
        return refused(&failure, &headers, Instant::now());
    };
    let view = View::of(&served, &visitor, &headers);
    let mut response = Response::new(Body::from_stream(events(served, view, place)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect answers before they pass them on would collect for ever.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
