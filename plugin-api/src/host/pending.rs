//! An operation under way: a future for the caller, a slot for the plugin's completion.
#![expect(unsafe_code, reason = "the slot crosses the ABI as a pointer")]

use std::{
    any::Any,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{
    Answer, Events, SessionHandle, Status,
    backend::{RawBackend, RawSession},
    services::contain,
};
use crate::{
    abi::{Completion, Opaque, Outcome, STATUS_CANCELLED, STATUS_COMPLETED},
    sharded::Held,
};

/// What stays alive until the plugin has completed an operation.
pub type Keep = Option<Box<dyn Any + Send>>;

/// Where the plugin's completion and the caller's future meet. The plugin holds one reference
/// from the start of the operation to its completion.
///
/// It goes with the later of completion and [`Pending`], which gives the operation's handle back: so long the session
/// and the backend stay.
pub(super) struct Slot {
    _session: Option<Arc<RawSession>>,
    backend: Held<RawBackend>,
    events: Option<Arc<dyn Events>>,
    state: Mutex<State>,
}

struct State {
    progress: Progress,
    keep: Keep,
}

enum Progress {
    /// Running, and nobody has asked yet.
    Running,
    /// Running; to be woken.
    Awaited(Waker),
    /// Completed; the answer waits to be fetched.
    Done(Answer),
    /// Completed and fetched, or nobody wants to know.
    Over,
}

impl Slot {
    pub(super) fn new(
        backend: Held<RawBackend>,
        session: Option<Arc<RawSession>>,
        events: Option<Arc<dyn Events>>,
        keep: Keep,
    ) -> Arc<Self> {
        let state = State {
            progress: Progress::Running,
            keep,
        };
        Arc::new(Self {
            _session: session,
            backend,
            events,
            state: Mutex::new(state),
        })
    }

    pub(super) fn backend(&self) -> &RawBackend {
        &self.backend
    }

    pub(super) fn events(&self) -> Option<&Arc<dyn Events>> {
        self.events.as_ref()
    }

    pub(super) fn token(self: &Arc<Self>) -> *mut Opaque {
        Arc::as_ptr(self).cast_mut().cast()
    }

    /// The completion for the plugin; it owns one reference to the slot.
    pub(super) fn completion(self: &Arc<Self>) -> Completion {
        Completion {
            user: Arc::into_raw(Arc::clone(self)).cast_mut().cast(),
            complete,
        }
    }

    /// Nobody wants to know any more; `true` when it is still running.
    fn abandon(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = mem::replace(&mut state.progress, Progress::Over);
        matches!(previous, Progress::Running | Progress::Awaited(_))
    }

    fn finish(&self, answer: Answer) {
        let (previous, keep) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let next = match state.progress {
                Progress::Over => Progress::Over,
                _ => Progress::Done(answer),
            };
            (mem::replace(&mut state.progress, next), state.keep.take())
        };
        // Outside the lock: dropping `keep` may do anything, and so may waking.
        contain(|| drop(keep));
        if let Progress::Awaited(waker) = previous {
            contain(|| waker.wake());
        }
    }
}

unsafe extern "C" fn complete(user: *mut Opaque, outcome: *mut Outcome) {
    // SAFETY: `user` is the reference that `completion` leaked, and the ABI calls this once.
    let slot = unsafe { Arc::from_raw(user.cast_const().cast::<Slot>()) };
    // SAFETY: a plugin passes an outcome whose parts are now ours.
    let answer = unsafe { answer_of(outcome, Some(&slot.backend)) };
    slot.finish(answer);
}

/// Takes an outcome's parts.
///
/// # Safety
///
/// `outcome` must be null or point to an outcome whose parts nobody else will take.
pub(super) unsafe fn answer_of(outcome: *mut Outcome, backend: Option<&Arc<RawBackend>>) -> Answer {
    // SAFETY: an outcome begins with its size.
    if outcome.is_null() || unsafe { (*outcome).size } < size_of::<Outcome>() {
        let message = "the plugin completed with a malformed outcome".to_owned();
        return Answer::failure(Status::Completed, 2001, message);
    }
    // SAFETY: it has all the fields, and the caller vouches that they are ours to take.
    let outcome = unsafe { outcome.read() };
    let status = match outcome.status {
        STATUS_COMPLETED => Status::Completed,
        STATUS_CANCELLED => Status::Cancelled,
        // A status that this version does not know is no good news.
        _ => Status::Panicked,
    };
    Answer {
        status,
        code: outcome.code,
        message: outcome.message,
        data: outcome.data,
        meta: outcome.meta,
        blobs: outcome.blobs,
        session: backend.and_then(|backend| SessionHandle::new(backend, outcome.session)),
    }
}

/// An operation under way. Dropping it cancels the operation; the plugin completes it even so.
pub struct Pending {
    slot: Arc<Slot>,
    operation: *mut Opaque,
    /// [`Self::try_take`] took the answer: there is nothing to cancel, and no need to look into the slot for that.
    taken: bool,
}

// SAFETY: the ABI allows handles of operations to be used from any thread.
unsafe impl Send for Pending {}

impl Pending {
    pub(super) fn new(slot: Arc<Slot>, operation: *mut Opaque) -> Self {
        Self {
            slot,
            operation,
            taken: false,
        }
    }

    /// Asks the plugin to stop; the future then ends with what the plugin says to that.
    pub fn cancel(&self) {
        self.slot.backend.cancel(self.operation);
    }

    /// The answer, if the operation has completed.
    pub fn try_take(&mut self) -> Option<Answer> {
        let mut state = self
            .slot
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut state.progress, Progress::Over) {
            Progress::Done(answer) => {
                self.taken = true;
                Some(answer)
            }
            other => {
                state.progress = other;
                None
            }
        }
    }
}

impl Future for Pending {
    type Output = Answer;

    /// # Panics
    ///
    /// When it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut state = self
            .slot
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut state.progress, Progress::Over) {
            Progress::Done(answer) => Poll::Ready(answer),
            Progress::Over => panic!("the operation was polled after it had ended"),
            Progress::Running | Progress::Awaited(_) => {
                state.progress = Progress::Awaited(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.taken && self.slot.abandon() {
            self.cancel();
        }
        self.slot.backend.release(self.operation);
    }
}
