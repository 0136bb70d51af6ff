//! Work on large texts, kept from delaying others.
//!
//! Reading or writing tens of megabytes takes tens of milliseconds, in which a runtime's thread would serve
//! nobody else. The thread hands its other work over before it begins.

use std::{future::poll_fn, pin::Pin};

use tokio::runtime::{Handle, RuntimeFlavor};

/// From how many bytes on. Smaller texts are read faster than the work is handed over.
const LARGE: usize = 256 * 1024;

/// Runs `work` on a text of this many bytes.
pub(super) async fn aside<T>(bytes: usize, mut work: Pin<&mut impl Future<Output = T>>) -> T {
    if bytes < LARGE || !has_several_threads() {
        return work.await;
    }
    poll_fn(|context| tokio::task::block_in_place(|| work.as_mut().poll(context))).await
}

/// The same for work that does not wait.
pub(crate) fn at_once<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes < LARGE || !has_several_threads() {
        return work();
    }
    tokio::task::block_in_place(work)
}

fn has_several_threads() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread
}
