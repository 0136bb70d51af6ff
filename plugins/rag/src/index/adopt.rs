//! Gives vectors to passages that have none, when a model is configured for an index that was made
//! without one, or that was written to while none was configured.
//!
//! One commit for all of them, as everywhere: a server killed in between leaves the state before.

use std::{collections::HashSet, mem};

use sandbox_embedding::Identity;
use tantivy::{DocAddress, TantivyDocument};
use tokio_util::sync::CancellationToken;

use super::{
    IndexError, Progress,
    embed::{Known as _, Preparation},
    fields::Origin,
    known::Earlier,
    store::{Contents, LEAST_BYTES, Store, View, origin},
};
use crate::document::Document;

/// How many passages are embedded together.
const TOGETHER: usize = 64;

/// What the index's model has to do with the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// An index of another model is refused.
    Same,
    /// An index of another model gets the vectors of this one.
    Any,
}

/// Makes sure that all passages have vectors of the model. Those of the corpus are passed over if it
/// is `read_again` anyway.
pub(crate) fn adopt(
    store: &Store,
    preparation: &Preparation,
    read_again: bool,
    cancelled: &CancellationToken,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), IndexError> {
    let contents = store.contents();
    let Some(model) = &preparation.cutting.model else {
        return Ok(());
    };
    let same = contents.model.as_ref() == Some(model.identity());
    // Vectors of another model go with this commit, all of them: after it nobody knows them from ours.
    let read_again = read_again && (same || contents.model.is_none());
    if same && !contents.unembedded {
        return Ok(());
    }
    let contents = Contents {
        model: Some(model.identity().clone()),
        unembedded: false,
        ..contents
    };
    let view = store.view();
    if view.searcher.num_docs() == 0 {
        // The first commit will say it.
        store.will_have(contents);
        return Ok(());
    }
    let documents = without_vector(&view, preparation, same, read_again)?;
    let mut earlier = Earlier::find(&view, store.directory(), model.identity(), same)?;
    let mut writer = store.writer(1, LEAST_BYTES)?;
    for id in &documents {
        writer.delete_term(preparation.fields.id_term(id));
    }
    let mut drafts = Vec::new();
    let mut written = 0;
    let all = view.searcher.num_docs();
    let mut passages = passages(&view).peekable();
    while let Some(at) = passages.next() {
        let stored = preparation.fields.read(&view.searcher, at)?;
        if documents.contains(&stored.id) {
            let origin = origin(view.searcher.segment_reader(at.segment_ord), at.doc_id)?;
            let document = Document {
                id: stored.id,
                title: stored.title,
                contents: String::new(),
                metadata: stored.metadata,
            };
            drafts.push(preparation.draft(&document, &stored.content, origin));
        }
        if drafts.len() >= TOGETHER || passages.peek().is_none() {
            if cancelled.is_cancelled() {
                return Err(IndexError::Cancelled);
            }
            written += drafts.len() as u64;
            for passage in preparation.finish(mem::take(&mut drafts), &mut earlier)? {
                writer.add_document(passage)?;
            }
            progress(Progress {
                bytes: written,
                of: all,
                documents: written,
                reused: earlier.reused(),
            });
        }
    }
    store.commit(&mut writer, contents)?;
    earlier.committed();
    Ok(())
}

/// The ids of the documents that are to be embedded.
fn without_vector(
    view: &View,
    preparation: &Preparation,
    same: bool,
    read_again: bool,
) -> Result<HashSet<String>, IndexError> {
    let mut ids = HashSet::new();
    for at in passages(view) {
        let segment = view.searcher.segment_reader(at.segment_ord);
        if read_again && origin(segment, at.doc_id)? == Origin::Corpus {
            continue;
        }
        let passage: TantivyDocument = view.searcher.doc(at)?;
        // Vectors of another model are as good as none.
        if !same || preparation.fields.vector(&passage).is_none() {
            ids.insert(preparation.fields.stored(&passage)?.id);
        }
    }
    Ok(ids)
}

fn passages(view: &View) -> impl Iterator<Item = DocAddress> + '_ {
    let segments = (0..).zip(view.searcher.segment_readers());
    segments.flat_map(|(number, segment)| {
        segment
            .doc_ids_alive()
            .map(move |passage| DocAddress::new(number, passage))
    })
}

/// Whether vectors of the configured model can be written into an index.
pub(crate) fn check(
    contents: &Contents,
    model: Option<&Identity>,
    adoption: Adoption,
) -> Result<(), IndexError> {
    match (&contents.model, model) {
        (Some(theirs), Some(ours)) if theirs != ours && adoption == Adoption::Same => {
            let name = |model: &Identity| {
                format!(
                    "the model {} ({} dimensions, {})",
                    model.name, model.dimensions, model.fingerprint
                )
            };
            Err(IndexError::OtherModel {
                ours: name(ours),
                theirs: name(theirs),
            })
        }
        _ => Ok(()),
    }
}
