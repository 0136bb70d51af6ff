//! The routes about a worker as a whole.

use sandbox_protocol::{
    Timestamp,
    request::WorkerRequest,
    response::{Disconnected, Heartbeat, WorkerStatus},
};

use super::job::{Done, Job};
use crate::failure::Failure;

/// `POST /api/v1/lifecycle/heartbeat`.
pub(super) async fn heartbeat(job: Job<WorkerRequest>) -> Result<Done<Heartbeat>, Failure> {
    let sessions = job.sandbox().sessions.of_worker(&job.key());
    Ok(Done::new(Heartbeat {
        active_sessions: sessions
            .iter()
            .map(|session| session.backend.name.to_string())
            .collect(),
        timestamp: Timestamp::now(),
        worker_id: job.worker,
    }))
}

/// `POST /api/v1/lifecycle/status`.
pub(super) async fn status(job: Job<WorkerRequest>) -> Result<Done<WorkerStatus>, Failure> {
    let sessions = job.sandbox().sessions.seen(&job.key());
    let active = sessions.iter().filter(|session| session.is_there());
    Ok(Done::new(WorkerStatus {
        active_resources: active.map(|it| it.resource_type.to_string()).collect(),
        sessions: sessions
            .iter()
            .map(|session| (session.resource_type.to_string(), session.state()))
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
