//! What callers read when the index fails; the log gets the whole story.

use std::{error::Error as _, io::ErrorKind};

use sandbox_embedding::ModelError;
use sandbox_plugin_api::prelude::*;

use crate::index::IndexError;

/// The error for the operator when the model cannot be loaded.
pub(crate) fn explain_model(error: &ModelError, name: &str) -> Error {
    Error::config(match error {
        ModelError::File { source, .. } if source.kind() == ErrorKind::NotFound => format!(
            "model_name {name}: {error}; it names a local folder with config.json, tokenizer.json and \
             model.safetensors, and nothing is downloaded"
        ),
        ModelError::Device(_) => format!("device: {error}"),
        _ => format!("model_name {name}: {error}"),
    })
}

/// The error for the caller. `index` is the index's path as the configuration says it.
pub(crate) fn explain(error: &IndexError, index: &str) -> Error {
    let rebuild = format!(
        "move the folder {index} away and start again: the index is built anew from the corpus, and \
         documents that rag:index added must be added again"
    );
    match error {
        IndexError::Locked { .. } => Error::unavailable(format!(
            "{error}: stop that server, or give this one an index_path of its own ({index} now)"
        )),
        IndexError::NotADirectory | IndexError::Foreign => Error::config(format!(
            "index_path {index}: {error}; name an empty folder, or one that does not exist"
        )),
        IndexError::Format | IndexError::Damaged => Error::failed(format!("{error}: {rebuild}")),
        IndexError::OtherModel { .. } => Error::config(format!(
            "{error}: vectors of two models cannot be compared. Set model_name to the model of the \
             index, or give its passages new vectors with rag-build --change-model, or {rebuild}"
        )),
        IndexError::Corpus(error) => Error::config(match error.source() {
            Some(cause) => format!("corpus_path: {error}: {cause}"),
            None => format!("corpus_path: {error}"),
        }),
        IndexError::Cluster(_) => Error::unavailable(error.to_string()),
        IndexError::Cancelled => Error::failed("opening the index was cancelled"),
        IndexError::Closed => Error::unavailable("the index is closed: the backend is stopping"),
        // The causes hold paths of the server, which are the operator's to read.
        IndexError::Engine(_) | IndexError::Io(_) | IndexError::Weights(_) | IndexError::Failed => {
            tracing::error!(?error, index, "the index failed");
            let kind = io_kind(error).map_or_else(String::new, |kind| format!(" ({kind})"));
            Error::failed(format!("{error}{kind}; the server's log says more"))
        }
    }
}

/// "no storage space", "permission denied" and the like: what an operator can act on.
fn io_kind(error: &IndexError) -> Option<ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}
