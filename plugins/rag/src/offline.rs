//! Builds an index without a server, as `rag-build` does it.

use std::sync::Arc;

use sandbox_embedding::Model;
use sandbox_plugin_api::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    failure::{explain, explain_model},
    index::{Adoption, Index, Progress},
};

/// How far a build is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// How much of the corpus was read, in bytes.
    pub done: u64,
    /// How much there is to read.
    pub of: u64,
    /// How many documents were read.
    pub documents: u64,
    /// How many vectors were there before: in the index, or of a build that was interrupted.
    pub reused: u64,
}

/// What a build has made.
#[derive(Clone, Copy, Debug)]
pub struct Built {
    /// The documents in the index.
    pub documents: u64,
    /// The passages that they were cut into.
    pub passages: u64,
    /// The size of the index, in bytes.
    pub bytes: u64,
    /// How many vectors were there before.
    pub reused: u64,
}

/// Brings an index up to date, or makes it. With `change_model`, one of another model gets the vectors
/// of this one.
///
/// # Errors
/// With a message that says what to do.
pub fn build(config: &Config, change_model: bool, mut step: impl FnMut(Step)) -> Result<Built> {
    config.check()?;
    let folder = std::env::current_dir()?;
    let mut place = config.place(&folder);
    if change_model {
        place.adoption = Adoption::Any;
    }
    let model = config.model(&folder).map(|(folder, device)| {
        let name = folder.display().to_string();
        Model::load(&folder, device).map_err(|error| explain_model(&error, &name))
    });
    let mut last = Step::default();
    let progress = |progress: Progress| {
        last = Step {
            done: progress.bytes,
            of: progress.of,
            documents: progress.documents,
            reused: progress.reused,
        };
        step(last);
    };
    let never = CancellationToken::new();
    let index = Index::open(&place, model.transpose()?.map(Arc::new), &never, progress);
    let counts = index.and_then(|index| index.counts());
    let counts = counts.map_err(|error| explain(&error, &config.library_name()))?;
    Ok(Built {
        documents: counts.documents,
        passages: counts.passages,
        bytes: counts.bytes,
        reused: last.reused,
    })
}
