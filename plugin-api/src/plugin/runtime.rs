//! The plugin's own tokio runtime: one per library, made when it is first needed, never shut down.

use std::{
    io,
    sync::{Mutex, OnceLock, PoisonError},
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
    let runtime = Builder::new_multi_thread()
        .worker_threads(host::worker_threads())
        .thread_name("plugin")
        .enable_all()
        .build()?;
    Ok(RUNTIME.get_or_init(|| runtime).handle())
}
