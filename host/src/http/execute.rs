//! The route that runs one tool, and answers at once or as a stream of events.

use std::{pin::pin, sync::Arc};

use axum::{body::Body, response::Response};
use futures_util::FutureExt;
use http::HeaderMap;
use sandbox_plugin_api::host::Events;
use sandbox_protocol::{Seconds, TraceId, request::ExecuteRequest, routes};

use super::{
    answer::{Carried, Text, size, write_outcome},
    aside::{aside, at_once},
    asked::{Asked, bad},
    front::Served,
    once::{key_of, look_up, once},
    stream,
};
use crate::{
    dispatch::{Call, dispatch},
    failure::Failure,
    observe::Front,
};

/// `POST /api/v1/execute`, however the answer is wanted: as a stream of events, once for a key, or plainly.
pub(super) async fn execute(served: Arc<Served>, asked: Asked) -> Response {
    if stream::is_wanted(&asked.headers) {
        return streamed(served, asked);
    }
    if key_of(&asked.headers).is_none() {
        return answer(&served, &asked, None).await;
    }
    let work =
        async move |served: Arc<Served>, asked: Arc<Asked>| answer(&served, &asked, None).await;
    once(served, asked, routes::EXECUTE, work).await
}

/// Answers with events; what a key stands for is said at the head of them.
fn streamed(served: Arc<Served>, asked: Asked) -> Response {
    let idle = served.sandbox.config.server.limits.idle_timeout;
    let mut marks = HeaderMap::new();
    let mut response = stream::stream(idle, |events| {
        if key_of(&asked.headers).is_none() {
            let answer = async move { answer(&served, &asked, Some(events)).await };
            return answer.boxed();
        }
        let work = async move |served: Arc<Served>, asked: Arc<Asked>| {
            answer(&served, &asked, Some(events)).await
        };
        let found = look_up(served, asked, routes::EXECUTE, work);
        marks = found.marks();
        found.answer().boxed()
    });
    response.headers_mut().extend(marks);
    response
}

/// Whether neither a stream of events nor an answer for a key is asked for.
pub(super) fn is_plain(asked: &Asked) -> bool {
    !stream::is_wanted(&asked.headers) && key_of(&asked.headers).is_none()
}

/// Answers a plain request.
///
/// What all threads share is borrowed here: counting references to it is where they would meet. What is large is
/// borrowed too, as a future has room twice for what it is given and holds.
pub(super) async fn plainly(served: &Served, asked: &Asked) -> Response<Carried> {
    match aside(asked.body.len(), pin!(run(served, asked, None))).await {
        Ok(answer) => answer.map(Carried::Left),
        Err(failure) => asked.refused(&failure).map(Carried::Right),
    }
}

async fn answer(served: &Served, asked: &Asked, events: Option<Arc<dyn Events>>) -> Response {
    match aside(asked.body.len(), pin!(run(served, asked, events))).await {
        Ok(answer) => answer.map(Body::new),
        Err(failure) => asked.refused(&failure),
    }
}

async fn run(
    served: &Served,
    asked: &Asked,
    events: Option<Arc<dyn Events>>,
) -> Result<Response<Text>, Failure> {
    let mut request = ExecuteRequest::parse(&asked.body).map_err(|error| bad(&error))?;
    let parent = asked.parent();
    let trace = TraceId::choose(parent.traceparent, request.trace_id.take());
    let worker = asked.worker(request.worker_id.as_deref())?;
    let call = Call {
        caller: &asked.visitor.caller,
        worker,
        action: &request.action,
        params: request.params,
        timeout: request.timeout.map(Seconds::duration),
        trace: trace.as_str(),
        front: if events.is_some() {
            Front::Stream
        } else {
            Front::Http
        },
        parent,
        started: asked.started,
        events,
    };
    let outcome = dispatch(&served.sandbox, &call).await;
    let mut envelope = Vec::new();
    let written = at_once(size(&outcome), || {
        write_outcome(&mut envelope, &outcome, call.action, call.trace)
    });
    Ok(written.text(envelope))
}
