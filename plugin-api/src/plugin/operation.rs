//! How a function of a backend becomes an operation: started, cancelled, and completed exactly once.
#![expect(
    unsafe_code,
    reason = "calls the host's completion and hands out handles"
)]

use std::{
    future::Future,
    mem::ManuallyDrop,
    pin::Pin,
    ptr,
    task::{Context, Poll, Waker},
};

use futures_util::future::BoxFuture;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::{
    guard::{guard, panicked},
    runtime,
};
use crate::{
    abi::{Completion, Opaque, Outcome, STATUS_CANCELLED},
    context::Ids,
};

/// What an operation runs, and where.
pub(crate) enum Work {
    /// On the plugin's runtime.
    Task(BoxFuture<'static, Outcome>),
    /// First on the caller's thread; on the runtime if it has to wait.
    Inline(BoxFuture<'static, Outcome>),
    /// On a thread that may block.
    Blocking(Box<dyn FnOnce() -> Outcome + Send>),
}

/// Starts `work`; returns the operation's handle, or null when it has completed already.
pub(crate) fn start(
    work: Work,
    ids: Ids,
    cancellation: CancellationToken,
    completion: Completion,
) -> *mut Opaque {
    let finisher = Finisher::new(completion);
    let abort = match work {
        Work::Task(future) => {
            let task = Running::new(future, ids, finisher);
            runtime::handle().spawn(task).abort_handle()
        }
        Work::Inline(future) => {
            let mut task = Running::new(future, ids, finisher);
            let _runtime = runtime::handle().enter();
            match Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(()) => return ptr::null_mut(),
                Poll::Pending => runtime::handle().spawn(task).abort_handle(),
            }
        }
        Work::Blocking(function) => {
            let task = move || {
                let outcome = guard(Some(&ids), function).unwrap_or_else(panicked);
                finisher.finish(outcome);
            };
            runtime::handle().spawn_blocking(task).abort_handle()
        }
    };
    let operation = Box::new(Operation {
        abort,
        cancellation,
    });
    Box::into_raw(operation).cast()
}

/// What the host's handle of an operation points to.
struct Operation {
    abort: AbortHandle,
    cancellation: CancellationToken,
}

/// Cancels the operation with this handle.
///
/// # Safety
///
/// The handle must come from [`start`] and not have been released.
pub(crate) unsafe fn cancel(operation: *mut Opaque) {
    // SAFETY: the caller vouches that the box is still there.
    if let Some(operation) = unsafe { operation.cast::<Operation>().as_ref() } {
        operation.cancellation.cancel();
        operation.abort.abort();
    }
}

/// Frees a handle; the operation itself goes on if it runs.
///
/// # Safety
///
/// The handle must come from [`start`], and this must be its only release.
pub(crate) unsafe fn release(operation: *mut Opaque) {
    if !operation.is_null() {
        // SAFETY: the handle is the box that `start` leaked.
        drop(unsafe { Box::from_raw(operation.cast::<Operation>()) });
    }
}

/// A future on its way to its completion; panics in it, and in its destructors, stop here.
struct Running {
    future: Option<BoxFuture<'static, Outcome>>,
    ids: Ids,
    finisher: Option<Finisher>,
}

impl Running {
    fn new(future: BoxFuture<'static, Outcome>, ids: Ids, finisher: Finisher) -> Self {
        Self {
            future: Some(future),
            ids,
            finisher: Some(finisher),
        }
    }

    /// Drops the future, and only then completes: with `outcome`, or with the panic of the drop.
    fn end(&mut self, outcome: Outcome) {
        let future = self.future.take();
        let outcome = match guard(Some(&self.ids), || drop(future)) {
            Ok(()) => outcome,
            Err(message) => panicked(message),
        };
        if let Some(finisher) = self.finisher.take() {
            finisher.finish(outcome);
        }
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(future) = &mut this.future else {
            return Poll::Ready(());
        };
        let outcome = match guard(Some(&this.ids), || future.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(message) => panicked(message),
        };
        this.end(outcome);
        Poll::Ready(())
    }
}

impl Drop for Running {
    /// Reached with a future only when the task was aborted.
    fn drop(&mut self) {
        if self.finisher.is_some() {
            self.end(cancelled());
        }
    }
}

fn cancelled() -> Outcome {
    Outcome {
        status: STATUS_CANCELLED,
        code: 2002,
        message: "cancelled".to_owned().into(),
        ..Outcome::SUCCESS
    }
}

/// The promise to complete exactly once: dropping it unused completes as cancelled.
struct Finisher(Completion);

// SAFETY: the ABI allows the completion to be called from any thread; `user` is only handed back.
unsafe impl Send for Finisher {}

impl Finisher {
    const fn new(completion: Completion) -> Self {
        Self(completion)
    }

    fn finish(self, outcome: Outcome) {
        ManuallyDrop::new(self).call(outcome);
    }

    fn call(&self, outcome: Outcome) {
        // The host takes what the outcome owns; dropping it here would free it twice.
        let mut outcome = ManuallyDrop::new(outcome);
        // SAFETY: called once, since `finish` consumes the finisher and `drop` runs only without
        // it; the pointer is good for the length of the call.
        unsafe { (self.0.complete)(self.0.user, &raw mut *outcome) }
    }
}

impl Drop for Finisher {
    fn drop(&mut self) {
        self.call(cancelled());
    }
}
