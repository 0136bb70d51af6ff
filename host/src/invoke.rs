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
/// An operation that outlives its cancellation comes back in `Err` beside what ended the wait: its
/// caller decides what becomes of it.
pub async fn invoke(
    mut pending: Pending,
    timeout: Duration,
    called_off: impl Future<Output = ()>,
) -> Result<End, (End, Pending)> {
    let end = tokio::select! {
        biased;
        answer = &mut pending => return Ok(End::Answered(answer)),
        () = tokio::time::sleep(timeout) => End::TimedOut,
        () = called_off => End::CalledOff,
    };
    pending.cancel();
    match tokio::time::timeout(CANCEL_GRACE, &mut pending).await {
        // It had finished just before the cancellation reached it.
        Ok(answer) if answer.status() == Status::Completed => Ok(End::Answered(answer)),
        Ok(_) => Ok(end),
        Err(_) => Err((end, pending)),
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
            ErrorKind::SessionClosing,
            format!("{doing} was cancelled: the session or the server is closing"),
        )),
    }
}
