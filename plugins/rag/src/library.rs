//! Where documents are kept and found: an index on this machine's disk, or a cluster.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::task;

use crate::{
    document::Document,
    index::{Change, Changed, Counts, Index, IndexError, Passage, Question},
};

/// What a library answers, later.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, IndexError>> + Send + 'a>>;

/// All that the tools need of an index. Dropping a future gives the call up.
pub(crate) trait Library: Send + Sync {
    /// The passages that answer the question best, one of each document.
    fn search(&self, question: Question) -> Answer<'_, Vec<Passage>>;

    /// Writes documents, in the place of those with their ids. Durable when it answers.
    fn put(&self, documents: Vec<Document>) -> Answer<'_, Changed>;

    /// Removes documents. Durable when it answers.
    fn delete(&self, ids: Vec<String>) -> Answer<'_, Changed>;

    /// How much is in it.
    fn counts(&self) -> Answer<'_, Counts>;
}

impl Library for Arc<Index> {
    fn search(&self, question: Question) -> Answer<'_, Vec<Passage>> {
        // It takes microseconds to a few milliseconds: less than handing it over would pay for.
        Box::pin(async move { Index::search(self, &question) })
    }

    fn put(&self, documents: Vec<Document>) -> Answer<'_, Changed> {
        Box::pin(async move {
            let index = Self::clone(self);
            let prepared = task::spawn_blocking(move || index.prepare(&documents));
            // It panics where the index's own thread would.
            let prepared = prepared.await.map_err(|_| IndexError::Failed)??;
            self.change(Change::Put(prepared)).await
        })
    }

    fn delete(&self, ids: Vec<String>) -> Answer<'_, Changed> {
        Box::pin(self.change(Change::Delete(ids)))
    }

    fn counts(&self) -> Answer<'_, Counts> {
        Box::pin(async move {
            let index = Self::clone(self);
            let counts = task::spawn_blocking(move || Index::counts(&index));
            counts.await.map_err(|_| IndexError::Failed)?
        })
    }
}
