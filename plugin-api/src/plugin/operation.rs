//! How a function of a backend becomes an operation: started, cancelled, and completed exactly once.
#![expect(
    unsafe_code,
    reason = "calls the host's completion and hands out handles"
)]

mod blocking;

use std::{
    future::Future,
    mem::ManuallyDrop,
    pin::Pin,
    ptr,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    thread,
};

use futures_util::future::BoxFuture;
use tokio::{runtime::Handle, task::AbortHandle};

use self::blocking::BlockingJob;
use super::{
    guard::{guard_for, panicked},
    runtime,
};
use crate::{
    abi::{Completion, Opaque, Outcome, STATUS_CANCELLED},
    context::OperationState,
    error::Error,
    reply::error_outcome,
};

/// What an operation runs, and where.
pub(crate) enum Work {
    /// On the plugin's runtime.
    Task(BoxFuture<'static, Outcome>),
    /// First on the caller's thread; on the runtime if it has to wait.
    Inline(BoxFuture<'static, Outcome>),
    /// On a thread that may block.
    Blocking(BlockingFunction),
    /// Done already.
    Ready(Outcome),
}

type BlockingFunction = Box<dyn FnOnce() -> Outcome + Send>;

/// Starts `work`; returns the operation's handle, or null when it has completed already.
pub(crate) fn start(work: Work, state: Arc<OperationState>, finisher: Finisher) -> *mut Opaque {
    if let Work::Ready(outcome) = work {
        finisher.finish(outcome);
        return ptr::null_mut();
    }
    let runtime = match runtime::handle() {
        Ok(runtime) => runtime,
        Err(message) => {
            let mut state = Some(state);
            let dropped = guard_for(&mut state, || drop(work));
            finisher.finish(dropped.map_or_else(panicked, |()| unavailable(message)));
            return ptr::null_mut();
        }
    };
    let operation = match work {
        Work::Task(future) => {
            let task = Running::new(future, Arc::clone(&state), finisher);
            let abort = runtime.spawn(task).abort_handle();
            Some(Operation::new(state, Reach::Task(abort)))
        }
        Work::Inline(future) => start_here(Running::new(future, state, finisher), runtime),
        Work::Blocking(function) => blocking::start(function, state, finisher, |operation| {
            drop(runtime.spawn_blocking(move || operation.run()));
        }),
        Work::Ready(_) => None,
    };
    operation.map_or(ptr::null_mut(), |operation| {
        Arc::into_raw(operation).cast_mut().cast()
    })
}

/// Polls once on this thread; what has to wait goes on on the runtime, where the poll is repeated
/// with a waker that wakes.
fn start_here(mut task: Running, runtime: &Handle) -> Option<Arc<Operation>> {
    let _inside = runtime::enter();
    let polled = Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop()));
    if polled.is_ready() {
        return None;
    }
    let state = task.state.clone()?;
    let abort = runtime.spawn(task).abort_handle();
    Some(Operation::new(state, Reach::Task(abort)))
}

/// What the host's handle of an operation points to.
struct Operation {
    state: Arc<OperationState>,
    reach: Reach,
}

/// How an operation is reached to be cancelled.
enum Reach {
    /// A task of the runtime.
    Task(AbortHandle),
    /// A job for a thread that may block, until one has taken it.
    Blocking(Mutex<Option<BlockingJob>>),
}

impl Operation {
    fn new(state: Arc<OperationState>, reach: Reach) -> Arc<Self> {
        Arc::new(Self { state, reach })
    }

    fn cancel(&self) {
        self.state.cancel();
        match &self.reach {
            Reach::Task(abort) => abort.abort(),
            // Dropping it completes it.
            Reach::Blocking(_) => drop(self.take_job()),
        }
    }
}

/// Cancels the operation with this handle.
///
/// # Safety
///
/// The handle must come from [`start`] and not have been released.
pub(crate) unsafe fn cancel(operation: *mut Opaque) {
    // SAFETY: the handle holds one reference, so what it points to is still there.
    if let Some(operation) = unsafe { operation.cast::<Operation>().as_ref() } {
        operation.cancel();
    }
}

/// Frees a handle; the operation itself goes on if it runs.
///
/// # Safety
///
/// The handle must come from [`start`], and this must be its only release.
pub(crate) unsafe fn release(operation: *mut Opaque) {
    if !operation.is_null() {
        // SAFETY: the handle is the reference that `start` leaked.
        drop(unsafe { Arc::from_raw(operation.cast_const().cast::<Operation>()) });
    }
}

/// A future on its way to its completion; panics in it, and in its destructors, stop here.
struct Running {
    future: Option<BoxFuture<'static, Outcome>>,
    state: Option<Arc<OperationState>>,
    finisher: Option<Finisher>,
}

impl Running {
    fn new(
        future: BoxFuture<'static, Outcome>,
        state: Arc<OperationState>,
        finisher: Finisher,
    ) -> Self {
        Self {
            future: Some(future),
            state: Some(state),
            finisher: Some(finisher),
        }
    }

    /// Drops the future, and only then completes: with `outcome`, or with the panic of the drop.
    fn end(&mut self, outcome: Outcome) {
        let future = self.future.take();
        let outcome = match guard_for(&mut self.state, || drop(future)) {
            Ok(()) => outcome,
            Err(message) => panicked_in(&mut self.state, message),
        };
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(finisher) = self.finisher.take() {
            finisher.finish(outcome);
        }
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { future, state, .. } = &mut *self;
        // Set in place: an outcome is large, and this is on the way of every call.
        let mut outcome = None;
        let polled = guard_for(state, || {
            let Some(running) = future else {
                return Poll::Ready(());
            };
            running.as_mut().poll(context).map(|ended| {
                outcome = Some(ended);
                drop(future.take());
            })
        });
        match (polled, outcome) {
            (Ok(Poll::Pending), _) => return Poll::Pending,
            (Ok(Poll::Ready(())), Some(outcome)) => self.finish(outcome),
            (Ok(Poll::Ready(())), None) => {}
            (Err(message), _) => {
                let outcome = panicked_in(&mut self.state, message);
                self.end(outcome);
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Running {
    /// Reached with a future only when the task was aborted, or could not be started.
    fn drop(&mut self) {
        if self.finisher.is_some() {
            self.end(unfinished());
        }
    }
}

/// The outcome of work that was dropped before it ended.
fn unfinished() -> Outcome {
    if thread::panicking() {
        return panicked("the operation could not be started".to_owned());
    }
    Outcome {
        status: STATUS_CANCELLED,
        code: 2002,
        message: "cancelled".to_owned().into(),
        ..Outcome::SUCCESS
    }
}

/// The outcome of an operation that panicked. That of a cancelled one may reach nobody: it is logged as well.
fn panicked_in(state: &mut Option<Arc<OperationState>>, message: String) -> Outcome {
    if state.as_ref().is_some_and(|state| state.is_cancelled()) {
        let _ = guard_for(state, || {
            tracing::error!(panic = message, "a cancelled operation panicked");
        });
    }
    panicked(message)
}

/// The outcome of work that the operating system gives no thread for.
fn unavailable(message: String) -> Outcome {
    error_outcome(&Error::unavailable(message))
}

/// The promise to complete exactly once: dropping it unused completes as cancelled.
pub(crate) struct Finisher {
    completion: Completion,
    /// The operation, if it has a listener: who is told of events only until it is over.
    heard: Option<Arc<OperationState>>,
}

// SAFETY: the ABI allows the completion to be called from any thread; `user` is only handed back.
unsafe impl Send for Finisher {}

impl Finisher {
    pub(crate) const fn new(completion: Completion) -> Self {
        Self {
            completion,
            heard: None,
        }
    }

    /// Ends the events of an operation that has a listener before it completes.
    pub(crate) fn end_events_of(&mut self, state: &Arc<OperationState>) {
        self.heard = Some(Arc::clone(state));
    }

    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.end_events();
        ManuallyDrop::new(self).call(outcome);
    }

    fn end_events(&mut self) {
        if let Some(state) = self.heard.take() {
            state.end_events();
        }
    }

    fn call(&self, outcome: Outcome) {
        // The host takes what the outcome owns; dropping it here would free it twice.
        let mut outcome = ManuallyDrop::new(outcome);
        // SAFETY: called once, since `finish` consumes the finisher and `drop` runs only without
        // it; the pointer is good for the length of the call.
        unsafe { (self.completion.complete)(self.completion.user, &raw mut *outcome) }
    }
}

impl Drop for Finisher {
    fn drop(&mut self) {
        self.end_events();
        self.call(unfinished());
    }
}
