//! Several questions at once, on all cores.

use std::{num::NonZero, panic, sync::Arc, thread};

use sandbox_plugin_api::prelude::*;
use tokio::task::{JoinSet, yield_now};

use crate::{
    answers::{BatchAnswer, BatchError, context},
    batcher::Meant,
    index::{IndexError, Passage, Question},
    library::Library,
    queries::UnderWay,
    room::Kept,
};

/// A question of a batch: its place there, and that it is under way.
pub(crate) struct Asked {
    pub(crate) place: usize,
    pub(crate) question: Question,
    /// What it means will be known later, if that is asked for.
    pub(crate) meant: Option<Meant>,
    pub(crate) under_way: UnderWay,
}

/// The result for the question at a place.
pub(crate) type Found = (usize, Result<Kept, IndexError>);

/// Asks all questions, in any order, and keeps of each what there is `room` for.
///
/// There are as many tasks as cores, and each lets others run after every question: a large batch
/// does not keep a single search waiting. Dropping the future ends them.
pub(crate) async fn search(
    library: &Arc<dyn Library>,
    asked: Vec<Asked>,
    room: usize,
) -> Vec<Found> {
    let mut tasks = JoinSet::new();
    for lane in lanes(asked) {
        let library = Arc::clone(library);
        tasks.spawn(async move {
            let mut found = Vec::with_capacity(lane.len());
            for asked in lane {
                let passages = answer_to(&*library, asked.question, asked.meant).await;
                // At once: together, all that is found may be more than there is memory.
                let kept = passages.map(|passages| Kept::within(room, passages));
                found.push((asked.place, kept));
                drop(asked.under_way);
                yield_now().await;
            }
            found
        });
    }
    let mut found = Vec::new();
    while let Some(lane) = tasks.join_next().await {
        match lane {
            Ok(lane) => found.extend(lane),
            // A panic in one query fails the call, as it does in a single search.
            Err(error) => panic::resume_unwind(error.into_panic()),
        }
    }
    found
}

/// The passages for one question, when it is known what it means.
pub(crate) async fn answer_to(
    library: &dyn Library,
    question: Question,
    meant: Option<Meant>,
) -> Result<Vec<Passage>, IndexError> {
    let question = match meant {
        Some(meant) => question.by_meaning(meant.meaning().await?),
        None => question,
    };
    library.search(question).await
}

/// Deals the questions out, one lane for each core.
fn lanes(asked: Vec<Asked>) -> Vec<Vec<Asked>> {
    let count = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(asked.len());
    let mut lanes: Vec<Vec<Asked>> = (0..count).map(|_| Vec::new()).collect();
    for (turn, asked) in asked.into_iter().enumerate() {
        lanes[turn % count].push(asked);
    }
    lanes
}

/// Puts the results in the order of the queries.
pub(crate) fn answer(count: usize, results: Vec<(usize, Result<Kept>)>) -> BatchAnswer {
    let mut answer = BatchAnswer {
        count,
        results: vec![Vec::new(); count],
        contexts: vec![String::new(); count],
        ..BatchAnswer::default()
    };
    for (place, result) in results {
        match result {
            Ok(kept) => {
                answer.contexts[place] = context(&kept.passages);
                answer.results[place] = kept.passages;
                if let Some(bytes) = kept.full_bytes {
                    answer.truncated = true;
                    answer.truncated_queries.push(place);
                    *answer.full_bytes.get_or_insert_default() += bytes;
                }
            }
            Err(error) => answer.errors.push(BatchError {
                index: place,
                error: error.message().to_owned(),
            }),
        }
    }
    answer.errors.sort_by_key(|error| error.index);
    answer.truncated_queries.sort_unstable();
    answer
}
