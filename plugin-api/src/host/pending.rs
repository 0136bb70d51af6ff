//! An operation under way: a future for the caller, a slot for the plugin's completion.
#![expect(unsafe_code, reason = "the slot crosses the ABI as a pointer")]

use std::{
    any::Any,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{
    Answer, Events, SessionHandle, Status,
    backend::{RawBackend, RawSession},
    services::{contain, tell_of},
};
use crate::{
    abi::{Buffer, Completion, Opaque, Outcome, STATUS_CANCELLED, STATUS_COMPLETED},
    sharded::Held,
};

/// What stays alive until the plugin has completed an operation.
pub type Keep = Option<Box<dyn Any + Send>>;

/// Gets an answer that nobody waits for any more.
type Heir = Box<dyn FnOnce(Answer) + Send>;

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
    /// Running, and nobody waits for it any more.
    Left(Option<Heir>),
    /// Completed, and the answer was fetched.
    Over,
}

impl Progress {
    /// Takes the answer, if it is there.
    fn take(&mut self) -> Option<Answer> {
        match mem::replace(self, Self::Over) {
            Self::Done(answer) => Some(answer),
            other => {
                *self = other;
                None
            }
        }
    }
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits any more: what the operation answers, or has answered, is the heir's. `true` when it is still
    /// running.
    fn leave(&self, heir: Option<Heir>) -> bool {
        let mut state = self.lock();
        let (previous, heir) = match &mut state.progress {
            Progress::Running | Progress::Awaited(_) => {
                let left = Progress::Left(heir);
                (mem::replace(&mut state.progress, left), None)
            }
            Progress::Done(_) => (mem::replace(&mut state.progress, Progress::Over), heir),
            Progress::Left(_) | Progress::Over => return false,
        };
        drop(state);
        // Outside the lock, as in `finish`: an answer's bytes are freed by the plugin, and its session goes with it.
        match (previous, heir) {
            (Progress::Done(answer), Some(heir)) => contain(|| heir(answer)),
            (Progress::Done(answer), None) => contain(|| drop(answer)),
            (waker, _) => {
                contain(|| drop(waker));
                return true;
            }
        }
        false
    }

    /// Takes the operation's answer; gives it back when there was one before.
    fn finish(&self, answer: Answer) -> Option<Answer> {
        let mut state = self.lock();
        let previous = match &state.progress {
            Progress::Done(_) | Progress::Over => return Some(answer),
            _ => mem::replace(&mut state.progress, Progress::Over),
        };
        let keep = state.keep.take();
        let unwanted = if let Progress::Left(_) = previous {
            Some(answer)
        } else {
            state.progress = Progress::Done(answer);
            None
        };
        drop(state);
        // Outside the lock: all of these may do anything. The heir comes before `keep`, for it may spoil what the next to
        // come would use.
        let waker = match previous {
            Progress::Left(Some(heir)) => {
                contain(|| _ = unwanted.map(heir));
                None
            }
            Progress::Awaited(waker) => Some(waker),
            _ => None,
        };
        contain(|| drop(keep));
        if let Some(waker) = waker {
            contain(|| waker.wake());
        }
        None
    }
}

unsafe extern "C" fn complete(user: *mut Opaque, outcome: *mut Outcome) {
    let slot = user.cast_const().cast::<Slot>();
    // SAFETY: `user` is the reference that `completion` leaked, and the ABI calls this once. A plugin that calls it again
    // finds the slot only as long as the caller holds it; what can be noticed then is.
    let known = unsafe { &*slot };
    // SAFETY: a plugin passes an outcome whose parts are now ours.
    let answer = unsafe { answer_of(outcome, Some(&known.backend)) };
    if let Some(again) = known.finish(answer) {
        // Whether its parts are other ones than the first time's nobody knows: freeing none of them is safe.
        mem::forget(again);
        tell_of("a plugin completed an operation twice; the second answer is ignored");
    } else {
        // SAFETY: as above, and this was the first time.
        drop(unsafe { Arc::from_raw(slot) });
    }
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
    let buffers = [&outcome.message, &outcome.data, &outcome.meta];
    if !(buffers.into_iter().all(Buffer::is_sound) && outcome.blobs.is_sound()) {
        // Not to be read, and so not to be freed either.
        mem::forget(outcome);
        let message = "the plugin completed with lengths that no memory has".to_owned();
        return Answer::failure(Status::Completed, 2001, message);
    }
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
    /// The answer was taken: there is nothing to cancel, and no need to look into the slot for that.
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
        let answer = self.slot.lock().progress.take();
        self.taken |= answer.is_some();
        answer
    }

    /// Whether the answer was taken.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.taken
    }

    /// Waits no longer, as if this was dropped; but `heir` gets the answer: from a thread of the plugin's, or at once
    /// when it is there. It comes before what is kept for the operation is dropped.
    pub fn leave(self, heir: impl FnOnce(Answer) + Send + 'static) {
        if !self.taken && self.slot.leave(Some(Box::new(heir))) {
            self.cancel();
        }
    }
}

impl Future for Pending {
    type Output = Answer;

    /// # Panics
    ///
    /// When it is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut state = self.slot.lock();
        if let Some(answer) = state.progress.take() {
            drop(state);
            self.taken = true;
            return Poll::Ready(answer);
        }
        let former = match &mut state.progress {
            Progress::Over | Progress::Left(_) | Progress::Done(_) => {
                panic!("the operation was polled after it had ended")
            }
            Progress::Awaited(waker) if waker.will_wake(context.waker()) => None,
            progress @ (Progress::Running | Progress::Awaited(_)) => Some(mem::replace(
                progress,
                Progress::Awaited(context.waker().clone()),
            )),
        };
        drop(state);
        // Another task's waker may be the last that holds that task.
        drop(former);
        Poll::Pending
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.taken && self.slot.leave(None) {
            self.cancel();
        }
        self.slot.backend.release(self.operation);
    }
}
