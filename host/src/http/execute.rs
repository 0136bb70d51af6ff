//! The route that runs one tool, and answers at once or as a stream of events.

use std::{pin::pin, sync::Arc};

use axum::{extract::State, response::Response};
use sandbox_plugin_api::host::Events;
use sandbox_protocol::{Seconds, request::ExecuteRequest, routes};

use super::{
    answer::{size, write_outcome},
    aside::{aside, at_once},
    asked::{Asked, bad},
    front::Served,
    once::{key_of, once},
    stream,
};
use crate::{
    dispatch::{Call, dispatch},
    observe::Front,
};

/// `POST /api/v1/execute`.
pub(super) async fn execute(State(served): State<Arc<Served>>, asked: Asked) -> Response {
    if stream::is_wanted(&asked.headers) {
        let idle = served.sandbox.config.server.limits.idle_timeout;
        return stream::stream(idle, |events| answer(served, asked, Some(events)));
    }
    answer(served, asked, None).await
}

async fn answer(served: Arc<Served>, asked: Asked, events: Option<Arc<dyn Events>>) -> Response {
    let length = asked.body.len();
    if key_of(&asked.headers).is_none() {
        return aside(length, pin!(run(&served, &asked, events))).await;
    }
    let work = async move |served: Arc<Served>, asked: Arc<Asked>| {
        aside(length, pin!(run(&served, &asked, events))).await
    };
    once(served, asked, routes::EXECUTE, work).await
}

async fn run(served: &Served, asked: &Asked, events: Option<Arc<dyn Events>>) -> Response {
    let mut request = match ExecuteRequest::parse(&asked.body) {
        Ok(request) => request,
        Err(error) => return asked.refused(&bad(&error)),
    };
    let trace = asked.trace(request.trace_id.take());
    let worker = match asked.worker(request.worker_id.as_deref()) {
        Ok(worker) => worker,
        Err(failure) => return asked.refused(&failure),
    };
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
        parent: asked.parent(),
        events,
    };
    let outcome = dispatch(&served.sandbox, call).await;
    let mut envelope = Vec::new();
    let written = at_once(size(&outcome), || {
        write_outcome(&mut envelope, &outcome, &request.action, trace.as_str())
    });
    written.response(envelope)
}
