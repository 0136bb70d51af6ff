//! What web pages may do: those of the configured origins everything, all others nothing.

use axum::response::Response;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
        ORIGIN, VARY,
    },
    request::Parts,
};
use sandbox_protocol::ErrorKind;

use crate::{config::Origins, failure::Failure};

/// The headers that clients of this server send.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-abandon, idempotency-instance, idempotency-key, idempotency-repeat, \
     last-event-id, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id, traceparent, tracestate, x-api-key, x-worker-id",
);

/// Refuses a request that may change something and comes from a page of another origin.
pub(super) fn check(origins: &Origins, head: &Parts) -> Result<(), Failure> {
    let reads = [Method::GET, Method::HEAD].contains(&head.method);
    if reads
        || head
            .headers
            .get_all(ORIGIN)
            .iter()
            .all(|origin| allows(origins, origin))
    {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::Forbidden,
        "web pages of this origin may not use the server; `security.allowed_origins` can allow it",
    ))
}

/// The answer to a browser that asks before it sends the request itself.
pub(super) fn preflight(head: &Parts) -> Option<Response> {
    let asks = head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, DELETE"),
        );
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        response
    })
}

/// Lets the page that asked read the answer.
pub(super) fn decorate(origins: &Origins, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let Some(origin) = origin.filter(|origin| allows(origins, origin)) else {
        return;
    };
    let (allowed, varies) = match origins {
        Origins::Any(_) => (HeaderValue::from_static("*"), false),
        Origins::Listed(_) => (origin.clone(), true),
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "idempotency-instance, idempotency-replayed, mcp-session-id, retry-after, www-authenticate",
        ),
    );
    if varies {
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}

fn allows(origins: &Origins, origin: &HeaderValue) -> bool {
    matches!(origins, Origins::Any(_)) || origin.to_str().is_ok_and(|origin| origins.allows(origin))
}
