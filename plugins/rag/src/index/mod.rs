//! The index on disk: one directory, one server, one place that writes.
//!
//! [`store`] opens it and knows what is in it, [`refresh`] brings the corpus into it, [`writer`]
//! writes what callers send, [`search`] reads. The engine commits atomically: what a killed server
//! leaves behind is the last commit.

mod error;
mod fields;
mod filter;
mod lock;
mod refresh;
mod search;
mod store;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    error::IndexError,
    filter::{Filter, FilterError},
    search::{Passage, Question},
    writer::{Change, Changed, Prepared},
};
use self::{lock::Lock, search::Bm25, store::Store, writer::Writer};
use crate::{document::Document, text::Chunking};

/// Where an index is, and what goes into it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) corpus: Option<PathBuf>,
    pub(crate) chunking: Chunking,
}

/// How far the work on the corpus is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) bytes: u64,
    pub(crate) of: u64,
    pub(crate) documents: u64,
}

/// How much is in an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counts {
    pub(crate) documents: u64,
    pub(crate) passages: u64,
    pub(crate) bytes: u64,
}

/// An open index. The lock is let go of last.
pub(crate) struct Index {
    store: Arc<Store>,
    writer: Writer,
    ranker: Bm25,
    chunking: Chunking,
    _lock: Lock,
}

impl Index {
    /// Opens the index, makes it if there is none, and brings the corpus into it if that changed.
    pub(crate) fn open(
        place: &Place,
        cancelled: &CancellationToken,
        progress: impl FnMut(Progress),
    ) -> Result<Self, IndexError> {
        let lock = Store::prepare(&place.directory)?;
        let store = Arc::new(Store::open(&place.directory)?);
        if let Some(corpus) = &place.corpus {
            refresh::refresh(&store, corpus, place.chunking, cancelled, progress)?;
        }
        Ok(Self {
            ranker: Bm25::new(store.fields),
            writer: Writer::start(Arc::clone(&store))?,
            store,
            chunking: place.chunking,
            _lock: lock,
        })
    }

    /// The passages that answer the question best, one of each document.
    pub(crate) fn search(&self, question: &Question) -> Result<Vec<Passage>, IndexError> {
        search::search(&self.store, &self.ranker, question)
    }

    /// Cuts documents into passages, ready to be written. Takes time for long ones.
    pub(crate) fn prepare(&self, documents: &[Document]) -> Vec<Prepared> {
        let prepare = |document| Prepared::new(document, self.store.fields, self.chunking);
        documents.iter().map(prepare).collect()
    }

    /// Carries out a change. When this returns, the change is on disk and the next search sees it.
    pub(crate) async fn change(&self, change: Change) -> Result<Changed, IndexError> {
        self.writer.change(change).await
    }

    /// How much is in it.
    pub(crate) fn counts(&self) -> Result<Counts, IndexError> {
        self.store.counts()
    }
}
