//! The route that ends a session by its id: for operators, who know neither its worker nor its key.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use sandbox_protocol::{
    Code, ErrorKind, Operation,
    request::{KillSession, parse},
    response::SessionDestroyed,
    splice::CallMeta,
};

use super::{
    answer::{done, refusal},
    asked::{Asked, bad},
    front::Served,
    operator::is_operator,
    sessions::destroyed,
};
use crate::{
    failure::Failure,
    observe::{Admin, Why, record::shown},
};

/// What is said of a session that is not there.
const NO_SUCH: &str = "there is no such session";

/// `POST /api/v1/session/kill`.
pub(super) async fn kill(State(served): State<Arc<Served>>, asked: Asked) -> Response {
    let request = parse::<KillSession>(&asked.body);
    let trace = asked
        .trace_of(&request, |request| request.trace_id.as_deref())
        .into_owned();
    let result = match &request {
        Ok(request) => end(&served, &asked, &request.session_id).await,
        Err(error) => Err(bad(error)),
    };
    let meta = CallMeta {
        tool: Some(Operation::SessionKill.as_str()),
        elapsed: asked.started.elapsed(),
        resource_type: Operation::SessionKill.resource_type(),
        trace_id: trace.as_str(),
        ..CallMeta::default()
    };
    match result {
        Err(failure) => refusal(&failure, &meta),
        Ok(data) => {
            let session_id = Some(&*data.session_id);
            done(Code::SUCCESS, &data, &CallMeta { session_id, ..meta })
        }
    }
}

async fn end(served: &Served, asked: &Asked, id: &str) -> Result<SessionDestroyed, Failure> {
    let sandbox = &served.sandbox;
    let caller = asked.visitor.caller.owner();
    let operates = is_operator(served, &asked.visitor, &asked.headers);
    let told = |error| {
        sandbox.observers.admin(&Admin {
            action: Operation::SessionKill.as_str(),
            key: caller,
            target: shown(id).into(),
            error,
        });
    };
    let session = match sandbox.sessions.by_id(id) {
        Some(session) if operates || session.owner() == caller => session,
        found => {
            told(Some(
                found.map_or(NO_SUCH, |_| "the session is another key's"),
            ));
            // What is another's is not there, for everybody but operators.
            return Err(Failure::new(ErrorKind::NoSession, NO_SUCH));
        }
    };
    tracing::info!(session = id, key = caller, "asked to kill a session");
    sandbox
        .sessions
        .close(&session, Duration::ZERO, Why::Destroyed)
        .wait()
        .await;
    told(None);
    Ok(destroyed(&session))
}
