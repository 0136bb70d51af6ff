//! Counts the queries that came and those that are under way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::answers::BatcherStats;

/// The counters; each is exact by itself, together they are a moment's glance.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    total: AtomicU64,
    batches: AtomicU64,
    waiting: AtomicU64,
}

/// A query under way, until this is dropped: also when its call is cancelled.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Queries>);

impl Queries {
    /// Counts this many queries.
    pub(crate) fn arrived(&self, count: usize) {
        self.total.fetch_add(count as u64, Relaxed);
    }

    /// Counts a batch: a run of the model, or a call that needs none.
    pub(crate) fn ran(&self) {
        self.batches.fetch_add(1, Relaxed);
    }

    /// Counts a query as waiting or running.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        self.waiting.fetch_add(1, Relaxed);
        UnderWay(Arc::clone(self))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "an average needs no more than 52 bits"
    )]
    pub(crate) fn stats(&self) -> BatcherStats {
        let (total, batches) = (self.total.load(Relaxed), self.batches.load(Relaxed));
        BatcherStats {
            total_queries: total,
            total_batches: batches,
            avg_batch_size: total as f64 / batches.max(1) as f64,
            queue_size: self.waiting.load(Relaxed),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}
