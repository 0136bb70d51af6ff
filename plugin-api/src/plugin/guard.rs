//! Where panics stop: every entry point runs in a guard, which also tells the log for whom it runs.
//!
//! A thread-local of the author's may log, or call, in its destructor, when those here are gone: what asks for one of
//! them does without it then, since a panic there ends the process.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    mem,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::{Arc, Once},
};

use crate::{
    abi::{Outcome, STATUS_PANICKED},
    context::OperationState,
};

thread_local! {
    /// How many guards are around what this thread runs.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Message and place of the last panic inside a guard.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    /// For whom this thread works at the moment.
    static CURRENT: RefCell<Option<Arc<OperationState>>> = const { RefCell::new(None) };
}

/// Runs `work` on behalf of the operation in `state`; a panic in it comes back as its message and place.
///
/// The state is moved into place and back instead of counted: this is on the way of every poll.
pub(crate) fn guard_for<T>(
    state: &mut Option<Arc<OperationState>>,
    work: impl FnOnce() -> T,
) -> Result<T, String> {
    let Ok(previous) = CURRENT.try_with(|current| current.replace(state.take())) else {
        return guard(work);
    };
    let result = guard(work);
    if let Ok(own) = CURRENT.try_with(|current| current.replace(previous)) {
        *state = own;
    }
    result
}

/// Runs `work` on nobody's behalf.
pub(crate) fn guard<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    DEPTH.set(DEPTH.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(describe_payload)
}

/// For which operation this thread works, if for any.
pub(crate) fn current() -> Option<Arc<OperationState>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// Message and place of a panic that was caught. Drops the payload, which may panic again.
fn describe_payload(payload: Box<dyn Any + Send>) -> String {
    let text = payload_text(payload.as_ref());
    let message = PANIC
        .try_with(RefCell::take)
        .ok()
        .flatten()
        // The hook is not told of panics that are resumed: then it remembers another one.
        .filter(|message| message.starts_with(text))
        .unwrap_or_else(|| text.to_owned());
    let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
    // That one may panic when it is dropped, too, and so for ever: its few bytes are left alone.
    dropped.unwrap_or_else(mem::forget);
    message
}

/// The outcome of an operation that panicked.
pub(crate) fn panicked(message: String) -> Outcome {
    Outcome {
        status: STATUS_PANICKED,
        code: 2001,
        message: message.into(),
        ..Outcome::SUCCESS
    }
}

/// Keeps message and place of panics inside guards; leaves others to the hook that was there.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.get() > 0 {
                let _ = PANIC.try_with(|last| last.replace(Some(describe(info))));
            } else {
                tracing::error!(panic = %describe(info), "a thread of the plugin panicked");
                previous(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = payload_text(info.payload());
    match info.location() {
        Some(place) => format!("{message}, at {place}"),
        None => message.to_owned(),
    }
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "panic without a message"
    }
}
