//! The route that runs one tool by its own address: the path is its name, the body its parameters.
//!
//! It is `execute` in the form that descriptions of interfaces can describe: one operation for each tool.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use http::{HeaderName, Uri};
use sandbox_protocol::{ErrorKind, Seconds, request::parse_params};

use super::{
    answer::{header, size, write_outcome},
    aside::{aside, at_once},
    asked::{Asked, bad},
    front::Served,
    once::{key_of, once},
};
use crate::{
    dispatch::{Call, dispatch},
    failure::Failure,
    observe::Front,
};

/// `POST /api/v1/tools/{name}/call`.
pub(super) async fn call(
    State(served): State<Arc<Served>>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    mut asked: Asked,
) -> Response {
    asked.has_fields = false;
    let Ok(Path(name)) = name else {
        let failure = Failure::new(ErrorKind::Parameter, "the tool's name is not UTF-8");
        return asked.refused(&failure);
    };
    if key_of(&asked.headers).is_none() {
        return answer(&served, &name, &uri, &asked).await;
    }
    // Name and time limit are what another request says in its body.
    let route = uri.to_string();
    let work = async move |served: Arc<Served>, asked: Arc<Asked>| {
        answer(&served, &name, &uri, &asked).await
    };
    once(served, asked, &route, work).await
}

async fn answer(served: &Served, name: &str, uri: &Uri, asked: &Asked) -> Response {
    let answer = pin!(run(served, name, uri, asked));
    match aside(asked.body.len(), answer).await {
        Ok(response) => response,
        Err(failure) => asked.refused(&failure),
    }
}

async fn run(served: &Served, name: &str, uri: &Uri, asked: &Asked) -> Result<Response, Failure> {
    let params = parse_params(&asked.body).map_err(|error| bad(&error))?;
    let trace = asked.trace(None);
    let call = Call {
        caller: &asked.visitor.caller,
        worker: asked.worker(None)?,
        action: name,
        params,
        timeout: timeout(uri.query().unwrap_or_default())?,
        trace: trace.as_str(),
        front: front(asked),
        parent: asked.parent(),
        started: asked.started,
        events: None,
    };
    let outcome = dispatch(&served.sandbox, &call).await;
    let mut envelope = Vec::new();
    let written = at_once(size(&outcome), || {
        write_outcome(&mut envelope, &outcome, call.action, call.trace)
    });
    Ok(written.response(envelope))
}

/// Where a browser says that a request comes from.
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Browsers say whether the page that asks is of the server itself; the console and `/docs` are.
fn front(asked: &Asked) -> Front {
    match header(&asked.headers, &SEC_FETCH_SITE) {
        Some("same-origin") => Front::Console,
        _ => Front::Http,
    }
}

/// How long the tool may run, when the address says so.
fn timeout(query: &str) -> Result<Option<Duration>, Failure> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, text)) = pairs.find(|(key, _)| *key == "timeout") else {
        return Ok(None);
    };
    let seconds = text
        .parse()
        .ok()
        .and_then(|number| Seconds::new(number).ok());
    let wrong = "`timeout` must be a number of seconds above 0";
    seconds
        .map(|seconds| Some(seconds.duration()))
        .ok_or_else(|| Failure::new(ErrorKind::Parameter, wrong))
}
