//! The route that runs one tool.

use std::{pin::pin, sync::Arc};

use axum::{extract::State, response::Response};
use sandbox_protocol::{Seconds, request::ExecuteRequest};

use super::{
    answer::{size, write_outcome},
    aside::{aside, at_once},
    asked::{Asked, bad},
    front::Served,
};
use crate::{
    dispatch::{Call, dispatch},
    observe::Front,
};

/// `POST /api/v1/execute`.
pub(super) async fn execute(State(served): State<Arc<Served>>, asked: Asked) -> Response {
    aside(asked.body.len(), pin!(run(&served, &asked))).await
}

async fn run(served: &Served, asked: &Asked) -> Response {
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
        front: Front::Http,
        parent: asked.parent(),
        events: None,
    };
    let outcome = dispatch(&served.sandbox, call).await;
    let mut envelope = Vec::new();
    let written = at_once(size(&outcome), || {
        write_outcome(&mut envelope, &outcome, &request.action, trace.as_str())
    });
    written.response(envelope)
}
