//! Calls that go on after their client was answered with a handle, and what came of them.

use std::{pin::Pin, sync::Arc, time::Duration};

use dashmap::DashMap;
use rmcp::model::{CallToolResult, DetailedTask, Task, TaskPayload, TaskStatus};
use sandbox_protocol::Timestamp;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;

/// How often a client is asked to look again.
const POLL_MS: u64 = 2000;

/// A call under way.
pub(super) type Work = Pin<Box<dyn Future<Output = CallToolResult> + Send>>;

/// All calls that were detached and are not forgotten yet.
pub(super) struct Detached {
    calls: Arc<DashMap<Box<str>, Arc<Call>>>,
    limit: usize,
    keep: Duration,
}

/// One of them.
pub(super) struct Call {
    owner: Option<Arc<str>>,
    started: Timestamp,
    progress: Option<Arc<Progress>>,
    cancelled: CancellationToken,
    end: watch::Receiver<Option<CallToolResult>>,
    keep: Duration,
}

impl Detached {
    pub(super) fn new(limit: usize, keep: Duration) -> Self {
        Self {
            calls: Arc::default(),
            limit,
            keep,
        }
    }

    /// Lets a call go on by itself and names it; gives it back when there are too many.
    pub(super) fn adopt(
        &self,
        work: Work,
        owner: Option<Arc<str>>,
        progress: Option<Arc<Progress>>,
    ) -> Result<(Box<str>, Arc<Call>), Work> {
        let mut number = [0; 16];
        if self.calls.len() >= self.limit || getrandom::fill(&mut number).is_err() {
            return Err(work);
        }
        let id: Box<str> = format!("{:032x}", u128::from_ne_bytes(number)).into();
        let (ended, end) = watch::channel(None);
        let call = Arc::new(Call {
            owner,
            started: Timestamp::now(),
            progress,
            cancelled: CancellationToken::new(),
            end,
            keep: self.keep,
        });
        self.calls.insert(id.clone(), Arc::clone(&call));
        let (calls, name, running) = (Arc::clone(&self.calls), id.clone(), Arc::clone(&call));
        tokio::spawn(async move {
            // Dropping the work cancels it in the plugin.
            let result = running.cancelled.run_until_cancelled(work).await;
            ended.send_replace(result);
            // A call that was cancelled has the state of one that never says anything.
            tokio::time::sleep(running.keep).await;
            calls.remove(&name);
        });
        Ok((id, call))
    }

    /// The call of this name, for the holder of the key that made it.
    pub(super) fn find(&self, id: &str, owner: Option<&str>) -> Option<Arc<Call>> {
        let call = Arc::clone(&*self.calls.get(id)?);
        (call.owner.as_deref() == owner).then_some(call)
    }
}

impl Call {
    /// Ends it.
    pub(super) fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Whether it was ended before it had a result.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled() && self.end.borrow().is_none()
    }

    /// How far it is, in words.
    pub(super) fn says(&self) -> Option<String> {
        self.progress.as_ref()?.says()
    }

    /// Its result, when it has one within this time.
    pub(super) async fn result(&self, within: Duration) -> Option<CallToolResult> {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some);
        tokio::select! {
            ended = timeout(within, ended) => ended.ok()?.ok()?.clone(),
            () = self.cancelled.cancelled() => None,
        }
    }

    /// As the extension for tasks shows it.
    pub(super) fn task(&self, id: &str) -> Task {
        let now = Timestamp::now().to_string();
        let mut task = Task::new(id, TaskStatus::Working, self.started.to_string(), now)
            .with_poll_interval_ms(POLL_MS);
        task.status_message = self.says();
        task.ttl_ms = u64::try_from(self.keep.as_millis()).ok();
        task
    }

    /// The same with what came of it.
    pub(super) fn detailed_task(&self, id: &str) -> DetailedTask {
        let end = self.end.borrow().clone();
        let payload = match end.map(serde_json::to_value) {
            Some(Ok(serde_json::Value::Object(result))) => TaskPayload::Completed { result },
            _ if self.cancelled.is_cancelled() => TaskPayload::Cancelled,
            _ => TaskPayload::Working,
        };
        DetailedTask::new(self.task(id), payload)
    }
}
