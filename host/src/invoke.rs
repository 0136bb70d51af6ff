//! Waits for an operation of a plugin: until it ends, its time is up, or it is called off.

use std::time::Duration;

use crate::failure::Failure;
use sandbox_plugin_api::host::{Answer, Pending, Status};
use sandbox_protocol::ErrorKind;

/// How long a cancelled operation may take to end before its caller is answered without it.
///
/// Dropping a future takes microseconds and killing a process group milliseconds; what takes
/// longer than this will not end soon.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// What ended the wait.
#[derive(Debug)]
pub enum End {
    /// The plugin answered.
    Answered(Answer),
    /// Its time was up; it was cancelled.
    TimedOut,
    /// It was called off; it was cancelled.
    CalledOff,
}

/// Waits for `pending`, until `called_off` ends. Dropping the returned future cancels the operation.
///
/// An operation that is not waited for until its end, as it outlives its cancellation or as the future is dropped, goes
/// to `leave`: what it may still answer, a panic above all, is its caller's business even so.
pub async fn invoke(
    pending: Pending,
    timeout: Duration,
    called_off: impl Future<Output = ()>,
    leave: impl FnOnce(Pending),
) -> End {
    let mut running = Running(Some((pending, leave)));
    let end = tokio::select! {
        biased;
        answer = running.answer() => return End::Answered(answer),
        () = tokio::time::sleep(timeout) => End::TimedOut,
        () = called_off => End::CalledOff,
    };
    running.cancel();
    match tokio::time::timeout(CANCEL_GRACE, running.answer()).await {
        // It had finished just before the cancellation reached it, or the cancellation made it panic.
        Ok(answer) if answer.status() != Status::Cancelled => End::Answered(answer),
        Ok(_) | Err(_) => end,
    }
}

/// An operation, and who has it when it is not waited for.
struct Running<L: FnOnce(Pending)>(Option<(Pending, L)>);

impl<L: FnOnce(Pending)> Running<L> {
    /// Waits for its answer.
    async fn answer(&mut self) -> Answer {
        match &mut self.0 {
            Some((pending, _)) => pending.await,
            // Only dropping takes it out.
            None => std::future::pending().await,
        }
    }

    fn cancel(&self) {
        if let Some((pending, _)) = &self.0 {
            pending.cancel();
        }
    }
}

impl<L: FnOnce(Pending)> Drop for Running<L> {
    fn drop(&mut self) {
        if let Some((pending, leave)) = self.0.take()
            && !pending.is_taken()
        {
            pending.cancel();
            leave(pending);
        }
    }
}

/// The answer, or the failure of `doing` it.
pub fn answered(end: End, doing: &str, timeout: Duration) -> Result<Answer, Failure> {
    match end {
        End::Answered(answer) => Ok(answer),
        End::TimedOut => Err(Failure::new(
            ErrorKind::TimedOut,
            format!(
                "{doing} took longer than {} s and was cancelled",
                timeout.as_secs_f64()
            ),
        )),
        End::CalledOff => Err(Failure::new(
            ErrorKind::ServiceUnavailable,
            format!("{doing} was cancelled: the server is stopping"),
        )),
    }
}
