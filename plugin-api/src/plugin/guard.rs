//! Where panics stop: every entry point runs in a guard, which also tells the log for whom it runs.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
};

use crate::{
    abi::{Outcome, STATUS_PANICKED},
    context::Ids,
};

thread_local! {
    /// How many guards are around what this thread runs.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Message and place of the last panic inside a guard.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    /// For whom this thread works at the moment.
    static CURRENT: RefCell<Option<Ids>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic in it comes back as its message and place.
pub(crate) fn guard<T>(ids: Option<&Ids>, work: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    let previous = CURRENT.with_borrow_mut(|current| std::mem::replace(current, ids.cloned()));
    DEPTH.set(DEPTH.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    CURRENT.with_borrow_mut(|current| *current = previous);
    result.map_err(|payload| {
        let message = PANIC
            .take()
            .unwrap_or_else(|| payload_text(payload.as_ref()).to_owned());
        // A payload may panic when it is dropped; the few bytes are a small price.
        std::mem::forget(payload);
        message
    })
}

/// For whom this thread works, if it works for anybody.
pub(crate) fn with_current<T>(read: impl FnOnce(Option<&Ids>) -> T) -> T {
    CURRENT.with(|current| match current.try_borrow() {
        Ok(current) => read(current.as_ref()),
        Err(_) => read(None),
    })
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
                PANIC.set(Some(describe(info)));
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
