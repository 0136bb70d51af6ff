//! Calls that can be cancelled by a notification which comes over another connection: those of the older
//! generation over HTTP. In the newer one, and on stdio, the SDK knows which call is meant.

use std::sync::Arc;

use dashmap::DashMap;
use rmcp::model::RequestId;
use tokio_util::sync::CancellationToken;

use super::handles::Handle;

type Running = DashMap<(u64, RequestId), CancellationToken>;

/// The calls that run.
#[derive(Default)]
pub(super) struct Cancels(Arc<Running>);

/// A call that runs; it is forgotten when this is dropped.
pub(super) struct Registered {
    running: Arc<Running>,
    key: (u64, RequestId),
    pub(super) cancelled: CancellationToken,
}

impl Cancels {
    /// A call begins.
    pub(super) fn register(&self, handle: &Handle, id: &RequestId) -> Registered {
        let key = (handle.number(), id.clone());
        let cancelled = CancellationToken::new();
        self.0.insert(key.clone(), cancelled.clone());
        Registered {
            running: Arc::clone(&self.0),
            key,
            cancelled,
        }
    }

    /// The client does not want the result any more.
    pub(super) fn cancel(&self, handle: &Handle, id: RequestId) {
        if let Some((_, cancelled)) = self.0.remove(&(handle.number(), id)) {
            cancelled.cancel();
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.running.remove(&self.key);
    }
}
