//! Brings the corpus into the index when it is not there yet or has changed.
//!
//! One commit replaces all that came from the corpus before; documents that callers added stay, and
//! hide those of the corpus with the same id. A server killed in between leaves the old state.

use std::{collections::HashMap, mem, path::Path, thread};

use tantivy::{IndexWriter, Searcher};
use tokio_util::sync::CancellationToken;

use super::{
    IndexError, Progress,
    embed::{Draft, Known, Nothing, Preparation},
    fields::Origin,
    known::Earlier,
    store::{Contents, CorpusState, LEAST_BYTES, Store},
};
use crate::{
    corpus::{Corpus, Fingerprint, Lines},
    cutting::Cutting,
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
/// How many passages are embedded together, and how often a slow build is looked at.
const TOGETHER: usize = 64;

pub(crate) fn refresh(
    store: &Store,
    path: &Path,
    preparation: &Preparation,
    cancelled: &CancellationToken,
    progress: impl FnMut(Progress),
) -> Result<(), IndexError> {
    let corpus = Corpus::at(path)?;
    let contents = store.contents();
    let cutting = &preparation.cutting;
    let (chunking, model) = (cutting.chunking, cutting.model.as_ref());
    let known = contents.corpus.as_ref().filter(|state| {
        state.chunk_tokens == chunking.tokens
            && state.chunk_overlap == chunking.overlap
            // Without a model, passages that were cut by one are as good as others.
            && (model.is_none() || state.model.as_ref() == model.map(|model| model.identity()))
    });
    if known.is_some_and(|state| corpus.is_untouched(&state.fingerprint)) {
        return Ok(());
    }
    let fingerprint = corpus.fingerprint()?;
    if known.is_some_and(|state| state.fingerprint.same_content(&fingerprint)) {
        // Only the file's time is new: noted, so that the next start need not read the file.
        let mut writer = store.writer(1, LEAST_BYTES)?;
        let corpus = contents.corpus.clone().map(|state| CorpusState {
            fingerprint,
            ..state
        });
        return store.commit(&mut writer, Contents { corpus, ..contents });
    }
    tracing::info!(bytes = corpus.bytes(), "reading the corpus into the index");
    let writer = if corpus.bytes() <= SMALL {
        store.writer(1, LEAST_BYTES)?
    } else {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        store.writer(cores.min(MAX_THREADS), BYTES_PER_THREAD)?
    };
    let mut earlier = match model {
        Some(model) => Some(Earlier::find(
            &store.view(),
            store.directory(),
            model.identity(),
            contents.model.as_ref() == Some(model.identity()),
        )?),
        None => None,
    };
    let mut nothing = Nothing;
    let mut rebuild = Rebuild {
        store,
        preparation,
        writer,
        searcher: store.view().searcher.clone(),
        callers: contents.from_callers > 0,
        lines_of_ids: HashMap::new(),
        written: 0,
        drafts: Vec::new(),
        known: match &mut earlier {
            Some(earlier) => earlier,
            None => &mut nothing,
        },
    };
    rebuild.read(&corpus, cancelled, progress)?;
    let written = rebuild.finish(contents, fingerprint)?;
    if let Some(earlier) = earlier {
        earlier.committed();
    }
    tracing::info!(documents = written, "the corpus is in the index");
    Ok(())
}

/// A corpus on its way into the index.
struct Rebuild<'a> {
    store: &'a Store,
    preparation: &'a Preparation,
    writer: IndexWriter,
    /// What was there before.
    searcher: Searcher,
    /// Whether callers added documents, whose ids must be looked up.
    callers: bool,
    lines_of_ids: HashMap<String, usize>,
    written: u64,
    /// Passages that will be embedded and written together.
    drafts: Vec<Draft>,
    known: &'a mut dyn Known,
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
            let embedded = self.drafts.len() >= TOGETHER;
            if embedded {
                self.write()?;
            }
            let slow = self.preparation.cutting.model.is_some();
            let step = self.written.is_multiple_of(STEP) || (embedded && slow);
            if !step {
                continue;
            }
            if cancelled.is_cancelled() {
                return Err(IndexError::Cancelled);
            }
            progress(self.progress(&lines, corpus));
        }
        self.write()?;
        progress(self.progress(&lines, corpus));
        Ok(())
    }

    fn progress(&self, lines: &Lines, corpus: &Corpus) -> Progress {
        Progress {
            bytes: lines.position(),
            of: corpus.bytes(),
            documents: self.written,
            reused: self.known.reused(),
        }
    }

    fn write(&mut self) -> Result<(), IndexError> {
        let drafts = mem::take(&mut self.drafts);
        for passage in self.preparation.finish(drafts, self.known)? {
            self.writer.add_document(passage)?;
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
        let drafts = self.preparation.drafts(&document, Origin::Corpus);
        self.drafts.extend(drafts);
        self.written += 1;
        Ok(true)
    }

    fn finish(mut self, before: Contents, fingerprint: Fingerprint) -> Result<u64, IndexError> {
        let Cutting { chunking, model } = &self.preparation.cutting;
        let contents = Contents {
            from_corpus: self.written,
            corpus: Some(CorpusState {
                fingerprint,
                chunk_tokens: chunking.tokens,
                chunk_overlap: chunking.overlap,
                model: model.as_ref().map(|model| model.identity().clone()),
            }),
            unembedded: before.unembedded || (model.is_none() && before.model.is_some()),
            ..before
        };
        self.store.commit(&mut self.writer, contents)?;
        self.writer.wait_merging_threads()?;
        // What was merged just now is made ready while nobody waits.
        self.store.renew()?;
        Ok(self.written)
    }
}
