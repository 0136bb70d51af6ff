//! Single flight: one piece of work, any number that wait for it, and nobody who can cancel it by going away.

use std::future::Future;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Work under way, and later its result. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Flight<T>(watch::Receiver<Option<T>>);

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Starts `work` in a task of its own, which `tasks` counts.
    pub fn start(tasks: &TaskTracker, work: impl Future<Output = T> + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(None);
        tasks.spawn(async move {
            let result = work.await;
            sender.send_replace(Some(result));
        });
        Self(receiver)
    }

    /// Waits for the result; `None` if the task died without one.
    pub async fn wait(&self) -> Option<T> {
        let mut receiver = self.0.clone();
        let result = receiver.wait_for(Option::is_some).await.ok()?;
        result.clone()
    }

    /// The result, if it is there.
    pub fn result(&self) -> Option<T> {
        self.0.borrow().clone()
    }
}
