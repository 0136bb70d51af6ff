//! The plugin's own tokio runtime: one per library, made when it is first needed, never shut down.

use std::{
    cell::Cell,
    io, mem, panic,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

use super::host;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// A handle to the runtime.
///
/// # Errors
///
/// When the operating system gives no threads or timers. The next call tries again.
pub(crate) fn handle() -> Result<&'static Handle, String> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle());
    }
    first_handle().map_err(|error| format!("the plugin's runtime could not start: {error}"))
}

thread_local! {
    /// Whether this thread is inside the runtime for good.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the caller's side uses the same tokio as the plugin's.
static SHARES_TOKIO: AtomicBool = AtomicBool::new(false);

/// Says that backends are driven from their own program, by a test.
#[cfg(feature = "testkit")]
pub(crate) fn share_tokio() {
    SHARES_TOKIO.store(true, Ordering::Relaxed);
}

/// Has this thread work inside the runtime: what runs on it may spawn tasks, and make timers and sockets.
///
/// To enter counts a reference that all threads share, which is too much for each call of an inline tool. So a thread of
/// the host stays inside once it is: it has no use of its own for this library's tokio. In a test program it may have one,
/// and enters for the moment. Where the runtime cannot start there is nothing to be inside of.
pub(crate) fn enter() -> Option<EnterGuard<'static>> {
    if IS_INSIDE.get() {
        return None;
    }
    let runtime = handle().ok()?;
    match Handle::try_current() {
        // The thread ends, and tokio's part of it has ended.
        Err(error) if error.is_thread_local_destroyed() => None,
        Ok(_) => Some(runtime.enter()),
        Err(_) if SHARES_TOKIO.load(Ordering::Relaxed) => Some(runtime.enter()),
        Err(_) => {
            mem::forget(runtime.enter());
            IS_INSIDE.set(true);
            None
        }
    }
}

/// One thread makes the runtime, and others that come meanwhile wait for it.
fn first_handle() -> io::Result<&'static Handle> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle());
    }
    try_threads(host::worker_threads())?;
    let building = panic::catch_unwind(|| {
        Builder::new_multi_thread()
            .worker_threads(host::worker_threads())
            .thread_name("plugin")
            .enable_all()
            .build()
    });
    let runtime = building.map_err(|_| io::Error::other("a thread could not be started"))??;
    Ok(RUNTIME.get_or_init(|| runtime).handle())
}

/// Whether so many threads can be started. A runtime panics when one of its workers cannot start, and waits for those that
/// did for ever, so this is found out before.
fn try_threads(count: usize) -> io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    // All of them must be there at the same time.
    let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let start = |_| {
        let gate = Arc::clone(&gate);
        thread::Builder::new().spawn(move || drop(gate.lock()))
    };
    let threads: io::Result<Vec<_>> = (0..count).map(start).collect();
    drop(closed);
    for thread in threads? {
        // It does nothing that panics.
        let _ = thread.join();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_the_host_stays_inside() {
        let stays = || {
            assert!(Handle::try_current().is_err());
            for _ in 0..2 {
                assert!(enter().is_none());
                assert!(Handle::try_current().is_ok());
            }
            // Other runtimes are not in its way.
            let other = Builder::new_current_thread().build().expect("a runtime");
            assert_eq!(other.block_on(async { 1 }), 1);
        };
        thread::spawn(stays).join().expect("it stays inside");
    }
}
