//! The plugin's own tokio runtime: one per library, made when it is first needed, never shut down.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

use super::host;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// A handle to the runtime.
///
/// # Panics
///
/// When the operating system gives no threads; the guard round every entry point turns that into
/// a failed operation.
pub(crate) fn handle() -> &'static Handle {
    RUNTIME
        .get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(host::worker_threads())
                .thread_name("plugin")
                .enable_all()
                .build()
                .expect("the operating system gives threads and timers")
        })
        .handle()
}
