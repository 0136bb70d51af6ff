//! The index on disk: one directory, one server, one place that writes.
//!
//! [`store`] opens it and knows what is in it, [`refresh`] brings the corpus into it, [`writer`]
//! writes what callers send, [`search`] reads: with [`words`] by what is written, with [`nearest`] by
//! what is meant. The engine commits atomically: what a killed server leaves behind is the last
//! commit. [`vectors`] says why that is true of vectors too.

mod adopt;
mod best;
mod embed;
mod error;
mod fields;
mod filter;
mod known;
mod lock;
mod nearest;
mod refresh;
mod search;
mod store;
mod vectors;
mod words;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector_tests;

use std::{path::PathBuf, sync::Arc};

use sandbox_embedding::Model;
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    adopt::Adoption,
    error::IndexError,
    fields::hash,
    filter::{Filter, FilterError, terms_of},
    search::{Hit, Meaning, Passage, Question, fuse},
    writer::{Change, Changed, Prepared},
};
use self::{
    embed::{Nothing, Preparation},
    fields::Origin,
    lock::Lock,
    nearest::Nearest,
    store::Store,
    words::Bm25,
    writer::Writer,
};
use crate::{cutting::Cutting, document::Document, text::Chunking};

/// Where an index is, and what goes into it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) corpus: Option<PathBuf>,
    pub(crate) chunking: Chunking,
    /// What to do with an index of another model.
    pub(crate) adoption: Adoption,
}

/// How far the work on the corpus is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) bytes: u64,
    pub(crate) of: u64,
    pub(crate) documents: u64,
    /// How many vectors were there before.
    pub(crate) reused: u64,
}

/// How much is in an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counts {
    pub(crate) documents: u64,
    pub(crate) passages: u64,
    pub(crate) bytes: u64,
}

/// How many passages are embedded before others have a turn.
const TOGETHER: usize = 64;

/// An open index. The lock is let go of last.
pub(crate) struct Index {
    store: Arc<Store>,
    writer: Writer,
    words: Bm25,
    nearest: Nearest,
    preparation: Preparation,
    _lock: Lock,
}

impl Index {
    /// Opens the index, makes it if there is none, and brings the corpus into it if that changed.
    pub(crate) fn open(
        place: &Place,
        model: Option<Arc<Model>>,
        cancelled: &CancellationToken,
        mut progress: impl FnMut(Progress),
    ) -> Result<Self, IndexError> {
        let lock = Store::prepare(&place.directory)?;
        let identity = model.as_ref().map(|model| model.identity());
        let store = Arc::new(Store::open(&place.directory, identity, place.adoption)?);
        let preparation = Preparation {
            fields: store.fields,
            cutting: Cutting {
                chunking: place.chunking,
                model,
            },
        };
        let read_again = place.corpus.is_some();
        adopt::adopt(&store, &preparation, read_again, cancelled, &mut progress)?;
        if let Some(corpus) = &place.corpus {
            refresh::refresh(&store, corpus, &preparation, cancelled, progress)?;
        }
        Ok(Self {
            words: Bm25::new(store.fields),
            nearest: Nearest::new(store.fields),
            writer: Writer::start(Arc::clone(&store), preparation.cutting.model.is_some())?,
            store,
            preparation,
            _lock: lock,
        })
    }

    /// The passages that answer the question best, one of each document.
    pub(crate) fn search(&self, question: &Question) -> Result<Vec<Passage>, IndexError> {
        search::search(&self.store, &self.words, &self.nearest, question)
    }

    /// Cuts documents into passages and embeds them, ready to be written. Takes time.
    pub(crate) fn prepare(&self, documents: &[Document]) -> Result<Vec<Prepared>, IndexError> {
        let mut prepared = Vec::with_capacity(documents.len());
        let (mut drafts, mut lengths) = (Vec::new(), Vec::new());
        for (place, document) in documents.iter().enumerate() {
            let before = drafts.len();
            drafts.extend(self.preparation.drafts(document, Origin::Caller));
            lengths.push((&document.id, drafts.len() - before));
            if drafts.len() >= TOGETHER || place + 1 == documents.len() {
                let drafts = std::mem::take(&mut drafts);
                let mut passages = self.preparation.finish(drafts, &mut Nothing)?.into_iter();
                let of_document = lengths.drain(..).map(|(id, length)| Prepared {
                    id: id.clone(),
                    passages: passages.by_ref().take(length).collect(),
                });
                prepared.extend(of_document);
            }
        }
        Ok(prepared)
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
