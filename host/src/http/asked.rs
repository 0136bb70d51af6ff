//! A request whose body has been read: what every route with a body begins from.

use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    extract::{FromRequest, Request},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, request::Parts};
use hyper::body::Body;
use sandbox_protocol::{
    ErrorKind, TraceId, WorkerId,
    names::BadWorkerId,
    request::{BadRequest, MAX_DEPTH, nests_deeper, trace_of},
    splice::CallMeta,
};
use serde_json::json;

use super::{
    answer::{header, refusal},
    body,
    front::Served,
};
use crate::{
    failure::{Failure, internal},
    observe::Parent,
    sandbox::Caller,
};

/// The header with the worker's name, for bodies without one.
static X_WORKER_ID: HeaderName = HeaderName::from_static("x-worker-id");

/// The headers of W3C trace context.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    pub(super) peer: SocketAddr,
}

/// A request with its body.
pub(super) struct Asked {
    pub(super) visitor: Visitor,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// When all of it was there.
    pub(super) started: Instant,
    /// Whether the body has fields for worker and trace: one that is a tool's parameters has not.
    pub(super) has_fields: bool,
}

impl FromRequest<Arc<Served>> for Asked {
    type Rejection = Response;

    async fn from_request(request: Request, served: &Arc<Served>) -> Result<Self, Response> {
        let (mut head, body) = request.into_parts();
        match visitor(&mut head) {
            Some(visitor) => Self::read(head.headers, body, visitor, served).await,
            None => Err(refused(&internal(), &head.headers, Instant::now())),
        }
    }
}

fn visitor(head: &mut Parts) -> Option<Visitor> {
    head.extensions.remove()
}

impl Asked {
    /// Reads the body.
    pub(super) async fn read<B>(
        headers: HeaderMap,
        body: B,
        visitor: Visitor,
        served: &Served,
    ) -> Result<Self, Response>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Send,
    {
        let limits = &served.sandbox.config.server.limits;
        let read = body::read(body, &headers, limits).await;
        let started = Instant::now();
        let checked = read.and_then(|body| {
            check_depth(&body, limits.max_json_depth)?;
            Ok(body)
        });
        match checked {
            Ok(body) => Ok(Self {
                visitor,
                headers,
                body,
                started,
                has_fields: true,
            }),
            Err(failure) => Err(refused(&failure, &headers, started)),
        }
    }

    /// The trace of the request, given what its body says.
    pub(super) fn trace<'a>(&'a self, given: Option<Cow<'a, str>>) -> TraceId<'a> {
        TraceId::choose(header(&self.headers, &TRACEPARENT), given)
    }

    /// The trace of the request, given what it says in its body, as far as that was understood.
    pub(super) fn trace_of<'a, T, E>(
        &'a self,
        request: &'a Result<T, E>,
        given: impl FnOnce(&'a T) -> Option<&'a str>,
    ) -> TraceId<'a> {
        self.trace(match request {
            Ok(request) => given(request).map(Cow::Borrowed),
            Err(_) => self.given_trace(),
        })
    }

    /// The caller's span.
    pub(super) fn parent(&self) -> Parent<'_> {
        let traceparent = header(&self.headers, &TRACEPARENT);
        Parent {
            traceparent,
            // Without the other it means nothing.
            tracestate: traceparent.and_then(|_| header(&self.headers, &TRACESTATE)),
        }
    }

    /// The worker, given what the body says.
    pub(super) fn worker<'a>(&'a self, given: Option<&'a str>) -> Result<&'a str, Failure> {
        let by_header = || header(&self.headers, &X_WORKER_ID);
        WorkerId::choose(given, by_header).map_err(|error| self.no_worker(error))
    }

    fn no_worker(&self, error: BadWorkerId) -> Failure {
        let message = match error {
            BadWorkerId::Missing if self.headers.contains_key(&X_WORKER_ID) => {
                "the header X-Worker-ID is not UTF-8".to_owned()
            }
            BadWorkerId::Missing if !self.has_fields => {
                "there is no worker: give it in the header X-Worker-ID".to_owned()
            }
            error => error.to_string(),
        };
        Failure::new(ErrorKind::Parameter, message)
    }

    /// The trace that the body names, when the rest of it may be wrong.
    pub(super) fn given_trace(&self) -> Option<Cow<'_, str>> {
        self.has_fields.then(|| trace_of(&self.body)).flatten()
    }

    /// The answer when nothing is known but what went wrong.
    pub(super) fn refused(&self, failure: &Failure) -> Response {
        refused_in(&self.trace(self.given_trace()), failure, self.started)
    }
}

/// The answer to a request of which only the head was read.
pub(super) fn refused(failure: &Failure, headers: &HeaderMap, started: Instant) -> Response {
    let trace = TraceId::choose(header(headers, &TRACEPARENT), None);
    refused_in(&trace, failure, started)
}

fn refused_in(trace: &TraceId<'_>, failure: &Failure, started: Instant) -> Response {
    let meta = CallMeta {
        elapsed: started.elapsed(),
        trace_id: trace.as_str(),
        ..CallMeta::default()
    };
    refusal(failure, &meta)
}

/// A body that does not fit.
pub(super) fn bad(request: &BadRequest) -> Failure {
    /// A longer path has keys in it that are none.
    const LONGEST: usize = 256;
    let failure = Failure::new(ErrorKind::Parameter, request.to_string());
    match request.field() {
        Some(field) if field.len() <= LONGEST => failure.with_data(json!({ "field": field })),
        _ => failure,
    }
}

/// Holds a limit that is lower than the one that is kept everywhere.
fn check_depth(body: &[u8], limit: usize) -> Result<(), Failure> {
    if limit >= MAX_DEPTH || !nests_deeper(body, limit) {
        return Ok(());
    }
    let message = format!("the body is nested deeper than {limit} levels");
    Err(Failure::new(ErrorKind::Parameter, message))
}
