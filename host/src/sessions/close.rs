//! Ending a session: no new calls, the running ones end or are called off, then `cleanup`, exactly once.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use sandbox_plugin_api::host::{Function, Request, SessionHandle};
use sandbox_protocol::ErrorKind;
use tokio::time::timeout;

use super::{Session, Sessions, Slot, WorkerKey};
use crate::{
    backend::Backend,
    failure::Failure,
    flight::Flight,
    invoke::{answered, invoke},
    observe::Why,
};

/// How long calls that were called off may take to leave. A plugin that ignores its cancellation
/// does not keep its session alive beyond this.
const LEAVE: Duration = Duration::from_secs(2);

/// How many sessions end at the same time when all of them do.
const AT_ONCE: usize = 64;

impl Sessions {
    /// Ends a session; whoever asks a second time waits for the first.
    pub fn close(
        self: &Arc<Self>,
        session: &Arc<Session>,
        grace: Duration,
        why: Why,
    ) -> Flight<()> {
        let mine = Arc::clone(session);
        self.map.decide(
            &session.key,
            &session.backend.name,
            |slot, _, _| match slot {
                Some(Slot::Active(active)) if Arc::ptr_eq(active, &mine) => {
                    mine.gate.close();
                    let flight = self.start_end(&mine, grace, why);
                    let closing = Slot::Closing(Arc::clone(&mine), flight.clone());
                    (Some(closing), flight)
                }
                Some(Slot::Closing(_, flight)) => (None, flight.clone()),
                // It is gone already, and another may have taken its place.
                _ => (None, Flight::start(&self.tasks, async {})),
            },
        )
    }

    /// Begins to end a session whose gate is closed.
    pub(super) fn start_end(
        self: &Arc<Self>,
        session: &Arc<Session>,
        grace: Duration,
        why: Why,
    ) -> Flight<()> {
        let (sessions, session) = (Arc::clone(self), Arc::clone(session));
        Flight::start(&self.tasks, async move {
            sessions.end(&session, grace, why).await;
            sessions.map.clear(&session.key, &session.backend.name);
        })
    }

    /// Ends a temporary session in the background.
    pub(super) fn close_temporary(self: &Arc<Self>, session: &Arc<Session>) {
        let session = Arc::clone(session);
        session.gate.close();
        let sessions = Arc::clone(self);
        self.tasks
            .spawn(async move { sessions.end(&session, Duration::ZERO, Why::CallOver).await });
    }

    /// Ends the worker's session of this type, letting calls end for the grace time.
    ///
    /// # Errors
    ///
    /// Code 1003 when there is none.
    pub async fn destroy(
        self: &Arc<Self>,
        key: &WorkerKey<'_>,
        resource_type: &str,
    ) -> Result<Arc<Session>, Failure> {
        loop {
            match self.map.find(key, resource_type) {
                None => return Err(none(key.worker(), resource_type)),
                Some(Slot::Closing(..)) => return Err(closing(resource_type)),
                Some(Slot::Creating(_, flight)) => {
                    flight.wait().await;
                }
                Some(Slot::Active(session)) => {
                    self.close(&session, self.bounds.grace, Why::Destroyed)
                        .wait()
                        .await;
                    return Ok(session);
                }
            }
        }
    }

    /// Ends all sessions of a worker; says how many.
    pub async fn disconnect(self: &Arc<Self>, key: &WorkerKey<'_>) -> usize {
        let key = key.clone().into_owned();
        let slots = self.map.slots(&key).into_iter();
        let slots = slots.map(|(name, _)| (key.clone(), name)).collect();
        self.end_slots(slots, self.bounds.grace, Why::Destroyed)
            .await
    }

    /// Ends every session there is; says how many.
    pub async fn close_all(self: &Arc<Self>, grace: Duration) -> usize {
        self.end_slots(self.map.all(), grace, Why::Stopping).await
    }

    async fn end_slots(
        self: &Arc<Self>,
        slots: Vec<(WorkerKey<'static>, Arc<str>)>,
        grace: Duration,
        why: Why,
    ) -> usize {
        let slots = slots.into_iter();
        let ending =
            slots.map(|(key, name)| Arc::clone(self).end_slot(key, name, grace, why).boxed());
        let ended = stream::iter(ending.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        ended
            .filter(|ended| std::future::ready(*ended))
            .count()
            .await
    }

    /// Ends what is in one slot, whatever it is; whether this ended a session.
    async fn end_slot(
        self: Arc<Self>,
        key: WorkerKey<'static>,
        name: Arc<str>,
        grace: Duration,
        why: Why,
    ) -> bool {
        let session = match self.map.find(&key, &name) {
            None => return false,
            Some(Slot::Closing(_, flight)) => {
                flight.wait().await;
                return false;
            }
            Some(Slot::Active(session)) => session,
            Some(Slot::Creating(_, flight)) => match flight.wait().await {
                Some(Ok(session)) => session,
                _ => return false,
            },
        };
        self.close(&session, grace, why).wait().await;
        true
    }

    /// Waits for the calls inside, calls off what is left, and cleans up.
    async fn end(&self, session: &Arc<Session>, grace: Duration, why: Why) {
        if !grace.is_zero() {
            let _ = timeout(grace, session.gate.emptied()).await;
        }
        session.call_off();
        if timeout(LEAVE, session.gate.emptied()).await.is_err() {
            tracing::warn!(
                session = &*session.id,
                calls = session.gate.inside(),
                "calls ignore their cancellation; the session is cleaned up under them"
            );
        }
        if let Some(handle) = session.handle() {
            cleanup(&session.backend, session.worker(), &session.id, handle).await;
        }
        self.observers.session_closed(session, why);
    }
}

/// Runs `cleanup`; its failure is logged and changes nothing.
pub(super) async fn cleanup(
    backend: &Arc<Backend>,
    worker: &str,
    session_id: &str,
    handle: &SessionHandle,
) {
    let limit = backend.limits.cleanup;
    let doing = "cleaning up";
    let request = Request {
        worker,
        session_id,
        session: Some(handle),
        timeout: Some(limit),
        ..Request::default()
    };
    let pending = backend
        .handle
        .start(Function::Cleanup, &request, None, None);
    let leave = |pending| backend.leave(doing, pending);
    let end = invoke(pending, limit, std::future::pending(), leave);
    let failure = match answered(end.await, doing, limit) {
        Ok(answer) if answer.is_success() => return,
        Ok(answer) => {
            backend.panicked(doing, &answer);
            Failure::of_answer(&answer, ErrorKind::BackendFailed, doing)
        }
        Err(failure) => failure,
    };
    tracing::warn!(backend = &*backend.name, worker, session = session_id, error = %failure, "cleanup failed");
}

/// The session is on its way out.
pub(super) fn closing(resource_type: &str) -> Failure {
    Failure::new(
        ErrorKind::SessionClosing,
        format!("the worker's `{resource_type}` session is being destroyed"),
    )
}

/// There is no such session.
pub(super) fn none(worker: &str, resource_type: &str) -> Failure {
    Failure::new(
        ErrorKind::NoSession,
        format!("worker `{worker}` has no `{resource_type}` session"),
    )
}
