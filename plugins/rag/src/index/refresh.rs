//! Brings the corpus into the index when it is not there yet or has changed.
//!
//! One commit replaces all that came from the corpus before; documents that callers added stay, and
//! hide those of the corpus with the same id. A server killed in between leaves the old state.

use std::{collections::HashMap, path::Path, thread};

use tantivy::{IndexWriter, Searcher};
use tokio_util::sync::CancellationToken;

use super::{
    IndexError, Progress,
    fields::Origin,
    store::{Contents, CorpusState, LEAST_BYTES, Store},
};
use crate::{
    corpus::{Corpus, Fingerprint, Lines},
    text::Chunking,
};

/// Up to this size a corpus is read by one thread with the engine's least memory: a server with a
/// small corpus stays small.
const SMALL: u64 = 16 * 1024 * 1024;
/// What each writing thread holds before it writes a segment.
const BYTES_PER_THREAD: usize = 64 * 1024 * 1024;
/// More threads make more segments than they save time.
const MAX_THREADS: usize = 4;
/// How many documents there are between two looks at progress and cancellation.
const STEP: u64 = 512;

pub(crate) fn refresh(
    store: &Store,
    path: &Path,
    chunking: Chunking,
    cancelled: &CancellationToken,
    progress: impl FnMut(Progress),
) -> Result<(), IndexError> {
    let corpus = Corpus::at(path)?;
    let contents = store.contents();
    let known = contents.corpus.as_ref().filter(|state| {
        state.chunk_tokens == chunking.tokens && state.chunk_overlap == chunking.overlap
    });
    if known.is_some_and(|state| corpus.is_untouched(&state.fingerprint)) {
        return Ok(());
    }
    let fingerprint = corpus.fingerprint()?;
    if known.is_some_and(|state| state.fingerprint.same_content(&fingerprint)) {
        // Only the file's time is new: noted, so that the next start need not read the file.
        let mut writer = store.writer(1, LEAST_BYTES)?;
        let corpus = Some(state(fingerprint, chunking));
        return store.commit(&mut writer, Contents { corpus, ..contents });
    }
    tracing::info!(bytes = corpus.bytes(), "reading the corpus into the index");
    let writer = if corpus.bytes() <= SMALL {
        store.writer(1, LEAST_BYTES)?
    } else {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        store.writer(cores.min(MAX_THREADS), BYTES_PER_THREAD)?
    };
    let searcher = store.searcher();
    let mut rebuild = Rebuild {
        store,
        chunking,
        writer,
        searcher,
        callers: contents.from_callers > 0,
        lines_of_ids: HashMap::new(),
        written: 0,
    };
    rebuild.read(&corpus, cancelled, progress)?;
    let written = rebuild.finish(&contents, fingerprint)?;
    tracing::info!(documents = written, "the corpus is in the index");
    Ok(())
}

fn state(fingerprint: Fingerprint, chunking: Chunking) -> CorpusState {
    CorpusState {
        fingerprint,
        chunk_tokens: chunking.tokens,
        chunk_overlap: chunking.overlap,
    }
}

/// A corpus on its way into the index.
struct Rebuild<'a> {
    store: &'a Store,
    chunking: Chunking,
    writer: IndexWriter,
    /// What was there before.
    searcher: Searcher,
    /// Whether callers added documents, whose ids must be looked up.
    callers: bool,
    lines_of_ids: HashMap<String, usize>,
    written: u64,
}

impl Rebuild<'_> {
    fn read(
        &mut self,
        corpus: &Corpus,
        cancelled: &CancellationToken,
        mut progress: impl FnMut(Progress),
    ) -> Result<(), IndexError> {
        self.writer
            .delete_term(self.store.fields.origin_term(Origin::Corpus));
        let mut lines = corpus.lines()?;
        while self.add_next(&mut lines)? {
            if !self.written.is_multiple_of(STEP) {
                continue;
            }
            if cancelled.is_cancelled() {
                return Err(IndexError::Cancelled);
            }
            progress(Progress {
                bytes: lines.position(),
                of: corpus.bytes(),
                documents: self.written,
            });
        }
        Ok(())
    }

    /// Adds the next document; false at the end.
    fn add_next(&mut self, lines: &mut Lines) -> Result<bool, IndexError> {
        let Some(line) = lines.next().transpose()? else {
            return Ok(false);
        };
        let document = line.document;
        if let Some(earlier) = self.lines_of_ids.insert(document.id.clone(), line.number) {
            if line.has_id {
                return Err(lines.twice(document.id, earlier).into());
            }
            // The same text twice is one document.
            return Ok(true);
        }
        if self.callers
            && self.store.origin_of(&self.searcher, &document.id)? == Some(Origin::Caller)
        {
            return Ok(true);
        }
        for passage in self
            .store
            .fields
            .passages(&document, Origin::Corpus, self.chunking)
        {
            self.writer.add_document(passage)?;
        }
        self.written += 1;
        Ok(true)
    }

    fn finish(mut self, before: &Contents, fingerprint: Fingerprint) -> Result<u64, IndexError> {
        let contents = Contents {
            from_corpus: self.written,
            corpus: Some(state(fingerprint, self.chunking)),
            from_callers: before.from_callers,
        };
        self.store.commit(&mut self.writer, contents)?;
        self.writer.wait_merging_threads()?;
        Ok(self.written)
    }
}
