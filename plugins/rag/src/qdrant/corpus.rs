//! Reads a corpus into a collection when it is not there yet or has changed.
//!
//! A cluster has no commit that spans a corpus: documents are replaced one after the other, and those
//! that are no more go at the end. What was read is noted last, so that whoever is interrupted reads
//! it again.

use std::collections::HashMap;

use qdrant_client::{Payload, qdrant::Filter};
use serde::{Deserialize, Serialize};
use tokio::task;
use tokio_util::sync::CancellationToken;

use super::{
    Qdrant, TOGETHER,
    filters::{is, of_documents, of_origin, older},
    points::Origin,
};
use crate::{
    corpus::{Corpus, Fingerprint, Lines},
    cutting::Cutting,
    document::Document,
    index::{IndexError, Place, Progress},
};

/// The point that says what was read; no passage has this id.
const STATE: &str = "00000000-0000-0000-0000-000000000001";

/// What a collection holds.
#[derive(Deserialize, PartialEq, Serialize)]
struct State {
    corpus: Option<Fingerprint>,
    settings: Settings,
}

/// With other settings a corpus has other passages.
#[derive(Deserialize, PartialEq, Serialize)]
struct Settings {
    chunk_tokens: usize,
    chunk_overlap: usize,
    /// The model's fingerprint.
    model: Option<String>,
}

pub(super) async fn refresh(
    qdrant: &Qdrant,
    place: &Place,
    cancelled: &CancellationToken,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<(), IndexError> {
    let known = qdrant.collection.payload(STATE).await?;
    let known = known.and_then(|mut payload| payload.remove("state"));
    let known = known.and_then(|state| serde_json::from_value::<State>(state.into()).ok());
    let Cutting { chunking, model } = &qdrant.cutting;
    let settings = Settings {
        chunk_tokens: chunking.tokens,
        chunk_overlap: chunking.overlap,
        model: model
            .as_ref()
            .map(|model| model.identity().fingerprint.clone()),
    };
    check_model(qdrant, known.as_ref(), &settings)?;
    // The corpus that is there, if it was cut as it would be now.
    let there = known.as_ref().filter(|known| known.settings == settings);
    let there = there.and_then(|known| known.corpus.clone());
    let corpus = match &place.corpus {
        None => known.as_ref().and_then(|known| known.corpus.clone()),
        Some(path) => {
            let corpus = Corpus::at(path)?;
            if there
                .as_ref()
                .is_some_and(|there| corpus.is_untouched(there))
            {
                return Ok(());
            }
            let (corpus, now) = blocking(move || {
                let now = corpus.fingerprint()?;
                Ok((corpus, now))
            })
            .await?;
            if !there.is_some_and(|there| there.same_content(&now)) {
                read(qdrant, &corpus, &now, cancelled, &mut progress).await?;
            }
            Some(now)
        }
    };
    let state = State { corpus, settings };
    if known.as_ref() != Some(&state) {
        let state = serde_json::to_value(state).map_err(std::io::Error::from)?;
        let payload = Payload::from([("state", state.into())]);
        qdrant.collection.set_payload(STATE, payload).await?;
    }
    Ok(())
}

fn check_model(qdrant: &Qdrant, known: Option<&State>, ours: &Settings) -> Result<(), IndexError> {
    let theirs = known.and_then(|known| known.settings.model.as_ref());
    match (theirs, &ours.model) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(IndexError::Cluster(format!(
            "the collection {} has vectors of another model ({theirs}, model_name is {ours}): set \
             model_name to that one, or name another collection, which is made anew from the corpus",
            qdrant.collection.name()
        ))),
        _ => Ok(()),
    }
}

async fn read(
    qdrant: &Qdrant,
    corpus: &Corpus,
    fingerprint: &Fingerprint,
    cancelled: &CancellationToken,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(), IndexError> {
    let mut lines = corpus.lines()?;
    let mut seen = HashMap::new();
    let write = serde_json::to_string(fingerprint).map_err(std::io::Error::from)?;
    let mut documents = 0;
    let mut some;
    loop {
        if cancelled.is_cancelled() {
            return Err(IndexError::Cancelled);
        }
        (lines, seen, some) = blocking(move || next(lines, seen)).await?;
        if some.is_empty() {
            break;
        }
        documents += some.len() as u64;
        let mine = without_callers(qdrant, some).await?;
        qdrant.write(mine, Origin::Corpus, &write).await?;
        progress(Progress {
            bytes: lines.position(),
            of: corpus.bytes(),
            documents,
            reused: 0,
        });
    }
    // What the corpus has no more.
    let gone = older([of_origin(Origin::Corpus)], &write);
    Ok(qdrant.collection.delete(gone).await?)
}

/// Documents of callers hide those of the corpus with the same id.
async fn without_callers(
    qdrant: &Qdrant,
    mut documents: Vec<Document>,
) -> Result<Vec<Document>, IndexError> {
    let ids: Vec<String> = documents
        .iter()
        .map(|document| document.id.clone())
        .collect();
    let callers = Filter::must([of_origin(Origin::Caller), of_documents(&ids)]);
    if qdrant.collection.count(callers).await? == 0 {
        return Ok(documents);
    }
    let mut hidden = Vec::new();
    for id in &ids {
        let one = Filter::must([of_origin(Origin::Caller), is("id", id)]);
        hidden.push(qdrant.collection.count(one).await? > 0);
    }
    let mut hidden = hidden.into_iter();
    documents.retain(|_| !hidden.next().unwrap_or_default());
    Ok(documents)
}

/// The lines of the ids so far.
type Seen = HashMap<String, usize>;

/// The next documents, none at the end.
fn next(mut lines: Lines, mut seen: Seen) -> Result<(Lines, Seen, Vec<Document>), IndexError> {
    let mut documents = Vec::new();
    while documents.len() < TOGETHER
        && let Some(line) = lines.next().transpose()?
    {
        match seen.insert(line.document.id.clone(), line.number) {
            None => documents.push(line.document),
            Some(earlier) if line.has_id => {
                return Err(lines.twice(line.document.id, earlier).into());
            }
            // The same text twice is one document.
            Some(_) => {}
        }
    }
    Ok((lines, seen, documents))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
) -> Result<T, IndexError> {
    task::spawn_blocking(work)
        .await
        .map_err(|_| IndexError::Failed)?
}
