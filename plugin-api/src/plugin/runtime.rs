//! The plugin's own tokio runtime: one per library, made when it is first needed, never shut down.

use std::{
    io, panic,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
};

use tokio::runtime::{Builder, Handle, Runtime};

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
