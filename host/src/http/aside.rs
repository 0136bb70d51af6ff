//! Work on large texts, kept from delaying others.
//!
//! Reading or writing tens of megabytes takes tens of milliseconds, in which a runtime's thread would serve
//! nobody else. The thread hands its other work over before it begins.

use std::{
    future::{Future, poll_fn},
    pin::pin,
};

use tokio::runtime::{Handle, RuntimeFlavor};

/// From how many bytes on. Smaller texts are read faster than the work is handed over.
const LARGE: usize = 256 * 1024;

/// Runs `work` on a text of this many bytes.
pub(super) async fn aside<T>(bytes: usize, work: impl Future<Output = T>) -> T {
    let several = || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if bytes < LARGE || !several() {
        return work.await;
    }
    let mut work = pin!(work);
    poll_fn(|context| tokio::task::block_in_place(|| work.as_mut().poll(context))).await
}
