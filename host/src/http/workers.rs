//! The routes about a worker as a whole.

use sandbox_protocol::{
    Timestamp,
    request::WorkerRequest,
    response::{Disconnected, Heartbeat, SessionState, WorkerStatus},
};

use super::job::{Done, Job};
use crate::{failure::Failure, sessions::Session};

/// `POST /api/v1/lifecycle/heartbeat`.
pub(super) async fn heartbeat(job: Job<WorkerRequest>) -> Result<Done<Heartbeat>, Failure> {
    let sessions = job.sandbox().sessions.of_worker(&job.key());
    Ok(Done::new(Heartbeat {
        active_sessions: sessions
            .iter()
            .map(|session| resource_type(session))
            .collect(),
        timestamp: Timestamp::now(),
        worker_id: job.worker,
    }))
}

/// `POST /api/v1/lifecycle/status`.
pub(super) async fn status(job: Job<WorkerRequest>) -> Result<Done<WorkerStatus>, Failure> {
    let sessions = job.sandbox().sessions.of_worker(&job.key());
    let state = |session: &Session| SessionState {
        session_id: session.id.to_string(),
        status: session.status(),
        created_at: session.created_at(),
        last_activity: session.last_activity(),
    };
    Ok(Done::new(WorkerStatus {
        active_resources: sessions
            .iter()
            .map(|session| resource_type(session))
            .collect(),
        sessions: sessions
            .iter()
            .map(|session| (resource_type(session), state(session)))
            .collect(),
        tools_available: job.sandbox().catalog.visible(),
        worker_id: job.worker,
    }))
}

/// `POST /api/v1/worker/disconnect`.
pub(super) async fn disconnect(job: Job<WorkerRequest>) -> Result<Done<Disconnected>, Failure> {
    let sessions_cleaned = job.sandbox().sessions.disconnect(&job.key()).await;
    Ok(Done::new(Disconnected {
        worker_id: job.worker,
        sessions_cleaned,
    }))
}

fn resource_type(session: &Session) -> String {
    session.backend.name.to_string()
}
