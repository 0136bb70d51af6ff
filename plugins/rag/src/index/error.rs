//! What can go wrong with an index.

use std::io;

use tantivy::TantivyError;

use crate::corpus::CorpusError;

/// Why an index cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// Another server has it open.
    #[error("another server has the index open{}", process_text(*.process))]
    Locked {
        /// That server's process, if it said so.
        process: Option<u32>,
    },
    /// The path is not a directory.
    #[error("the index path is a file; an index is a directory")]
    NotADirectory,
    /// The directory holds something else.
    #[error("the index directory holds files, but no index")]
    Foreign,
    /// The index was written by a version that does it differently.
    #[error("the index was written in another format")]
    Format,
    /// A file of the index is not what was written.
    #[error("the index is damaged")]
    Damaged,
    /// The engine's own error.
    #[error("the index engine failed")]
    Engine(#[from] TantivyError),
    /// The system's error.
    #[error("the index directory cannot be used")]
    Io(#[from] io::Error),
    /// The corpus cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The index has vectors of another model.
    #[error("the index was made with {theirs}, and model_name is {ours}")]
    OtherModel {
        /// The model that is configured.
        ours: String,
        /// The model of the index.
        theirs: String,
    },
    /// The model's weights cannot be read any more.
    #[error("the model's files cannot be read")]
    Weights(#[source] io::Error),
    /// The Qdrant server did not do what it was asked.
    #[error("the Qdrant server: {0}")]
    Cluster(String),
    /// The changes that were to be written with this one could not be.
    #[error("the index could not be written")]
    Failed,
    /// Whoever asked for it does not want it any more.
    #[error("cancelled")]
    Cancelled,
    /// The index was closed.
    #[error("the index is closed")]
    Closed,
}

fn process_text(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}
