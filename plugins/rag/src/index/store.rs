//! The index directory: made, opened, and its contents counted.

use std::{
    fs::{self, File},
    io, panic,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use sandbox_embedding::Identity;
use serde::{Deserialize, Serialize};
use tantivy::{
    DocId, DocSet as _, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher,
    SegmentReader, TERMINATED, TantivyError,
    directory::{MmapDirectory, error::OpenReadError},
    indexer::IndexWriterOptions,
    schema::IndexRecordOption,
};

use super::{
    Counts, IndexError,
    adopt::{self, Adoption},
    fields::{ANALYZER, Fields, ORIGIN, Origin},
    lock::Lock,
    vectors::{VectorFiles, Vectors},
};
use crate::{corpus::Fingerprint, text::Analyzer};

/// The least memory that the engine takes for a writing thread.
pub(crate) const LEAST_BYTES: usize = 15_000_000;

/// The engine, its fields, and what the last commit holds.
pub(crate) struct Store {
    pub(crate) fields: Fields,
    engine: tantivy::Index,
    reader: IndexReader,
    directory: PathBuf,
    contents: Mutex<Contents>,
    /// There with a model.
    vectors: Option<VectorFiles>,
    view: RwLock<Arc<View>>,
}

/// The index as of one commit: it stays as it is, whatever is written.
pub(crate) struct View {
    pub(crate) searcher: Searcher,
    /// The vectors of each segment; none without a model.
    pub(crate) vectors: Vec<Arc<Vectors>>,
}

/// What is in the index, written with every commit and by the same atomic step.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Contents {
    /// How many documents came from the corpus.
    pub(crate) from_corpus: u64,
    /// How many documents came from callers.
    pub(crate) from_callers: u64,
    /// The corpus that was read, and how.
    pub(crate) corpus: Option<CorpusState>,
    /// The model whose vectors the passages have.
    #[serde(default)]
    pub(crate) model: Option<Identity>,
    /// Whether there may be passages without a vector, written when no model was configured.
    #[serde(default)]
    pub(crate) unembedded: bool,
}

/// A corpus that is in the index.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct CorpusState {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) chunk_tokens: usize,
    pub(crate) chunk_overlap: usize,
    /// The model by whose tokens it was cut.
    #[serde(default)]
    pub(crate) model: Option<Identity>,
}

impl Contents {
    /// The number of documents from there.
    pub(crate) fn from(&mut self, origin: Origin) -> &mut u64 {
        match origin {
            Origin::Corpus => &mut self.from_corpus,
            Origin::Caller => &mut self.from_callers,
        }
    }

    /// All documents.
    pub(crate) const fn documents(&self) -> u64 {
        self.from_corpus + self.from_callers
    }
}

impl Store {
    /// Makes the directory if it is not there, and locks it.
    pub(crate) fn prepare(directory: &Path) -> Result<Lock, IndexError> {
        if directory.exists() && !directory.is_dir() {
            return Err(IndexError::NotADirectory);
        }
        fs::create_dir_all(directory)?;
        Lock::take(directory)
    }

    /// Opens the index of a locked directory, or makes it; with the vectors of a model, if there is one.
    pub(crate) fn open(
        directory: &Path,
        model: Option<&Identity>,
        adoption: Adoption,
    ) -> Result<Self, IndexError> {
        // The engine trusts some lengths that it reads from its files, and panics on wrong ones.
        panic::catch_unwind(|| Self::open_or_panic(directory, model, adoption))
            .unwrap_or(Err(IndexError::Damaged))
    }

    fn open_or_panic(
        directory: &Path,
        model: Option<&Identity>,
        adoption: Adoption,
    ) -> Result<Self, IndexError> {
        let files = MmapDirectory::open(directory).map_err(TantivyError::from)?;
        let (schema, fields) = Fields::schema();
        let exists = tantivy::Index::exists(&files).map_err(TantivyError::from)?;
        let engine = if exists {
            tantivy::Index::open(files).map_err(damaged)?
        } else if holds_files(directory)? {
            return Err(IndexError::Foreign);
        } else {
            tantivy::Index::create(files, schema.clone(), IndexSettings::default())?
        };
        if engine.schema() != schema {
            return Err(IndexError::Format);
        }
        engine.tokenizers().register(ANALYZER, Analyzer);
        let reader = engine
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()
            .map_err(damaged)?;
        let contents = match engine.load_metas().map_err(damaged)?.payload {
            Some(json) => serde_json::from_str(&json).map_err(|_| IndexError::Format)?,
            None => Contents::default(),
        };
        adopt::check(&contents, model, adoption)?;
        let vectors = model
            .map(|model| VectorFiles::open(directory, fields, model.dimensions))
            .transpose()?;
        let view = RwLock::new(Arc::new(View::of(&reader, vectors.as_ref())?));
        Ok(Self {
            fields,
            engine,
            reader,
            directory: directory.to_owned(),
            contents: Mutex::new(contents),
            vectors,
            view,
        })
    }

    /// The last commit.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows the last commit to searches, and what the engine has merged since.
    pub(crate) fn renew(&self) -> Result<(), IndexError> {
        self.reader.reload()?;
        let view = Arc::new(View::of(&self.reader, self.vectors.as_ref())?);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(())
    }

    /// The index's folder.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A writer with this many threads, which each flush what they hold when it takes that many
    /// bytes. There is one at a time.
    pub(crate) fn writer(&self, threads: usize, bytes: usize) -> Result<IndexWriter, IndexError> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(threads)
            .memory_budget_per_thread(bytes)
            // Merging is work in the background: it may not take every core from the searches.
            .num_merge_threads(1)
            .build();
        Ok(self.engine.writer_with_options(options)?)
    }

    /// What the last commit holds.
    pub(crate) fn contents(&self) -> Contents {
        self.contents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the next commit will hold besides its own changes.
    pub(crate) fn will_have(&self, contents: Contents) {
        *self.contents.lock().unwrap_or_else(PoisonError::into_inner) = contents;
    }

    /// Commits what was given to the writer, and shows it to searches. Durable when it returns.
    pub(crate) fn commit(
        &self,
        writer: &mut IndexWriter,
        contents: Contents,
    ) -> Result<(), IndexError> {
        let mut commit = writer.prepare_commit()?;
        let payload = serde_json::to_string(&contents).map_err(io::Error::from)?;
        commit.set_payload(&payload);
        commit.commit()?;
        // The engine syncs every file, but not the directory after its last rename.
        File::open(&self.directory)?.sync_all()?;
        self.renew()?;
        self.will_have(contents);
        Ok(())
    }

    /// How much is in it.
    pub(crate) fn counts(&self) -> Result<Counts, IndexError> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.directory)? {
            // A merge may have removed the file since.
            bytes += entry?.metadata().map_or(0, |metadata| metadata.len());
        }
        if let Some(vectors) = &self.vectors {
            bytes += vectors.bytes()?;
        }
        Ok(Counts {
            documents: self.contents().documents(),
            passages: self.view().searcher.num_docs(),
            bytes,
        })
    }

    /// Where the document of this id came from, if there is one.
    pub(crate) fn origin_of(
        &self,
        searcher: &Searcher,
        id: &str,
    ) -> Result<Option<Origin>, IndexError> {
        let term = self.fields.id_term(id);
        for segment in searcher.segment_readers() {
            let terms = segment.inverted_index(self.fields.id)?;
            let postings = terms.read_postings(&term, IndexRecordOption::Basic);
            let Some(mut postings) = postings.map_err(TantivyError::from)? else {
                continue;
            };
            let mut passage = postings.doc();
            while passage != TERMINATED {
                if !segment.is_deleted(passage) {
                    return origin(segment, passage).map(Some);
                }
                passage = postings.advance();
            }
        }
        Ok(None)
    }
}

impl View {
    fn of(reader: &IndexReader, files: Option<&VectorFiles>) -> Result<Self, IndexError> {
        let searcher = reader.searcher();
        let mut vectors = Vec::new();
        if let Some(files) = files {
            let segments = searcher.segment_readers();
            vectors = segments
                .iter()
                .map(|segment| files.of(segment))
                .collect::<Result<_, _>>()?;
            files.keep_only(segments.iter());
        }
        Ok(Self { searcher, vectors })
    }
}

pub(crate) fn origin(segment: &SegmentReader, passage: DocId) -> Result<Origin, IndexError> {
    let origins = segment.fast_fields().u64(ORIGIN)?;
    match origins.first(passage) {
        Some(0) => Ok(Origin::Corpus),
        Some(1) => Ok(Origin::Caller),
        _ => Err(IndexError::Damaged),
    }
}

/// Whether a directory without an index holds anything that a killed server of ours did not leave:
/// those are the lock and the engine's own list of files, hidden ones both.
fn holds_files(directory: &Path) -> Result<bool, IndexError> {
    for entry in fs::read_dir(directory)? {
        if !entry?.file_name().to_string_lossy().starts_with('.') {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What it means that an index which is there cannot be opened: another version wrote it, the system refused, or
/// the files are not what was written.
fn damaged(error: TantivyError) -> IndexError {
    if matches!(
        error,
        TantivyError::IncompatibleIndex(_)
            | TantivyError::OpenReadError(OpenReadError::IncompatibleIndex(_))
    ) {
        tracing::error!(%error, "the index is of another version of the engine");
        return IndexError::Format;
    }
    let refused = match &error {
        TantivyError::IoError(error) => Some(error),
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => Some(io_error),
        _ => None,
    };
    // The engine reports files that are too short as errors of reading.
    let refused = refused.is_some_and(|error| {
        !matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
        )
    });
    if refused {
        return error.into();
    }
    tracing::error!(%error, "the index cannot be opened");
    IndexError::Damaged
}
