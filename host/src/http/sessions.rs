//! The routes that make, end, list and refresh a worker's sessions.

use std::{collections::BTreeMap, sync::Arc};

use sandbox_protocol::{
    Seconds,
    request::{CreateSession, RefreshSession, WorkerRequest, WorkerResource},
    response::{
        Existing, RefreshDetail, SessionCreated, SessionDestroyed, SessionList, SessionRefreshed,
        SessionsRefreshed,
    },
};
use schemars::JsonSchema;
use serde::Serialize;

use super::job::{Done, Job};
use crate::{
    failure::Failure,
    plugin::Kind,
    sessions::{Opened, Seen, Session, Wanted},
};

/// `POST /api/v1/session/create`.
pub(super) async fn create(job: Job<CreateSession>) -> Result<Done<SessionCreated>, Failure> {
    let wanted = Wanted {
        config: job.request.session_config.clone(),
        custom_name: job.request.custom_name.clone(),
        ttl: job.request.ttl.map(Seconds::duration),
        auto_extend: job.request.auto_extend,
        origin: job.origin.clone(),
    };
    let opened = open(&job, &job.request.resource_type, &wanted).await?;
    Ok(created(&opened))
}

/// Makes the worker's session of this type, or finds the one that is there.
pub(super) async fn open<T>(
    job: &Job<T>,
    resource_type: &str,
    wanted: &Wanted,
) -> Result<Opened, Failure> {
    let sandbox = job.sandbox();
    let backend = sandbox.catalog.backend(resource_type)?;
    sandbox.sessions.open(&job.key(), backend, wanted).await
}

/// What a client reads about a session that it asked for.
pub(super) fn created(opened: &Opened) -> Done<SessionCreated> {
    let (session, status) = match opened {
        Opened::Created(session) => (session, None),
        Opened::Existed(session) => (session, Some(Existing::Exists)),
    };
    let shared = session.backend.kind == Kind::Shared;
    let message = || {
        format!(
            "`{0}` is shared by all workers and needs no session",
            session.backend.name
        )
    };
    let data = SessionCreated {
        status,
        session_id: session.id.to_string(),
        session_name: session.name().to_owned(),
        resource_type: session.backend.name.to_string(),
        session_status: session.status(),
        error: None,
        compatibility_mode: shared,
        compatibility_message: shared.then(message),
    };
    Done::new(data).in_session(&session.id)
}

/// `POST /api/v1/session/destroy`.
pub(super) async fn destroy(job: Job<WorkerResource>) -> Result<Done<SessionDestroyed>, Failure> {
    let sessions = &job.sandbox().sessions;
    let session = sessions
        .destroy(&job.key(), &job.request.resource_type)
        .await?;
    Ok(Done::new(destroyed(&session)).in_session(&session.id))
}

/// What a client reads about a session that is gone.
pub(super) fn destroyed(session: &Session) -> SessionDestroyed {
    SessionDestroyed {
        message: format!("session {} destroyed", session.name()),
        session_id: session.id.to_string(),
        session_name: session.name().to_owned(),
        resource_type: session.backend.name.to_string(),
    }
}

/// `POST /api/v1/session/list`.
pub(super) async fn list(job: Job<WorkerRequest>) -> Result<Done<SessionList>, Failure> {
    let sessions = job.sandbox().sessions.seen(&job.key());
    let sessions: Vec<_> = sessions.iter().map(Seen::entry).collect();
    Ok(Done::new(SessionList {
        count: sessions.len(),
        sessions,
        worker_id: job.worker,
    }))
}

/// The data of a refresh: one session's, or all of a worker's.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Refreshed {
    One(SessionRefreshed),
    All(SessionsRefreshed),
}

/// `POST /api/v1/session/refresh`.
pub(super) async fn refresh(job: Job<RefreshSession>) -> Result<Done<Refreshed>, Failure> {
    match &job.request.resource_type {
        Some(resource_type) => refresh_one(&job, resource_type).await,
        None => Ok(refresh_all(&job)),
    }
}

async fn refresh_one(
    job: &Job<RefreshSession>,
    resource_type: &str,
) -> Result<Done<Refreshed>, Failure> {
    let sessions = &job.sandbox().sessions;
    let session = sessions.refresh(&job.key(), resource_type).await?;
    let data = SessionRefreshed {
        message: format!("session {} refreshed", session.name()),
        resource_type: session.backend.name.to_string(),
        session_id: session.id.to_string(),
        expires_at: Some(session.expires_at()),
    };
    Ok(Done::new(Refreshed::One(data)).in_session(&session.id))
}

fn refresh_all(job: &Job<RefreshSession>) -> Done<Refreshed> {
    let sessions = job.sandbox().sessions.of_worker(&job.key());
    let refreshed = |session: &Arc<Session>| {
        let detail = RefreshDetail {
            status: "refreshed".to_owned(),
            expires_at: Some(session.expires_at()),
        };
        (session.backend.name.to_string(), detail)
    };
    // What is going away has no time left to restart.
    let sessions = sessions.iter().filter(|session| session.refresh());
    let details: BTreeMap<_, _> = sessions.map(refreshed).collect();
    Done::new(Refreshed::All(SessionsRefreshed {
        message: format!("{} sessions refreshed", details.len()),
        worker_id: job.worker.clone(),
        refreshed_count: details.len(),
        details,
    }))
}
