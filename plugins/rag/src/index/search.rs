//! Questions: which passages answer one best, and one of each document.

use std::collections::{HashMap, HashSet};

use sandbox_embedding::Int8;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tantivy::{DocAddress, Score, columnar::Column};

use super::{
    Filter, IndexError,
    fields::DOCUMENT,
    store::{Store, View},
};
use crate::{mode::Mode, text::query_terms};

/// Reciprocal rank fusion: a document's score is the sum of `1 / (RANK + its rank)` over the rankings
/// that it is in. 60 is what its authors found to do well everywhere (Cormack, Clarke and Büttcher,
/// 2009).
const RANK: f32 = 60.0;
/// How far down the rankings that are fused are looked at, at least: a document that is somewhere in
/// both should be found.
const DEPTH: usize = 50;

/// What is asked, ready to be looked up.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(super) terms: Vec<String>,
    pub(super) filter: Filter,
    top_k: usize,
    by_words: bool,
    pub(super) meaning: Option<Meaning>,
}

/// What a question means to the model.
#[derive(Clone, Debug)]
pub(crate) struct Meaning {
    pub(super) vector: Vec<f32>,
    pub(super) small: Int8,
    /// How much of the question the model knows, from 0 to 1.
    known: f32,
}

impl Meaning {
    pub(crate) fn new(vector: Vec<f32>, known: f32) -> Self {
        Self {
            small: Int8::nearest(&vector),
            vector,
            known,
        }
    }
}

impl Question {
    /// `text` is plain text: no character has a meaning as syntax.
    pub(crate) fn new(text: &str, mode: Mode, filter: Filter, top_k: usize) -> Self {
        let by_words = mode != Mode::Dense;
        Self {
            terms: if by_words {
                query_terms(text)
            } else {
                Vec::new()
            },
            filter,
            top_k,
            by_words,
            meaning: None,
        }
    }

    /// The words to look for, in the form of the index.
    pub(crate) fn terms(&self) -> &[String] {
        &self.terms
    }

    /// What the results must have.
    pub(crate) const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// How many results are wanted.
    pub(crate) const fn top_k(&self) -> usize {
        self.top_k
    }

    /// How many results each ranking must have.
    pub(crate) fn depth(&self) -> usize {
        if self.is_hybrid() {
            self.top_k.max(DEPTH)
        } else {
            self.top_k
        }
    }

    /// Whether it is looked for by its words and its meaning.
    pub(crate) const fn is_hybrid(&self) -> bool {
        self.by_words && self.meaning.is_some()
    }

    /// What it means.
    pub(crate) fn vector(&self) -> Option<&[f32]> {
        self.meaning
            .as_ref()
            .map(|meaning| meaning.vector.as_slice())
    }

    /// How much say its meaning has: what is asked in a script that the model does not know means
    /// nothing to it, and then the words decide.
    pub(crate) fn known(&self) -> f32 {
        self.meaning.as_ref().map_or(0.0, |meaning| meaning.known)
    }

    /// Says what it means, for the modes that look for that.
    pub(crate) fn by_meaning(self, meaning: Meaning) -> Self {
        Self {
            meaning: Some(meaning),
            ..self
        }
    }
}

/// A passage that answers the question.
#[derive(Clone, Debug, JsonSchema, PartialEq, Serialize)]
pub(crate) struct Passage {
    /// The document's id.
    pub(crate) id: String,
    /// The document's title, null if it has none.
    pub(crate) title: Option<String>,
    /// The text: the whole document, or the best passage of a long one.
    pub(crate) content: String,
    /// How well it fits: higher is better, comparable within one answer only.
    pub(crate) score: f32,
    /// The document's metadata.
    pub(crate) metadata: Map<String, Value>,
}

/// A way to order passages by how well they answer a question: by words, or by meaning.
pub(crate) trait Ranker: Send + Sync {
    /// The best passages, best first, at most `limit`; fewer only if there are no more.
    fn rank(
        &self,
        view: &View,
        question: &Question,
        limit: usize,
    ) -> Result<Vec<(Score, DocAddress)>, IndexError>;
}

/// A document's best passage.
pub(crate) struct Hit<P> {
    pub(crate) score: f32,
    /// The passage, or where it is.
    pub(crate) at: P,
    /// A hash of the document's id.
    pub(crate) document: Option<u64>,
}

/// The best passage of each of the best documents.
pub(crate) fn search(
    store: &Store,
    words: &dyn Ranker,
    nearest: &dyn Ranker,
    question: &Question,
) -> Result<Vec<Passage>, IndexError> {
    let view = store.view();
    // Where documents have several passages, some of the first will be of the same document.
    let several = view.searcher.num_docs() > store.contents().documents();
    let rank = |ranker: &dyn Ranker, wanted| documents(&view, ranker, question, wanted, several);
    let depth = question.depth();
    let hits = if question.is_hybrid() {
        fuse([
            (rank(words, depth)?, 1.0),
            (rank(nearest, depth)?, question.known()),
        ])
    } else if question.meaning.is_some() {
        rank(nearest, depth)?
    } else {
        rank(words, depth)?
    };
    let best = hits.into_iter().take(question.top_k);
    best.map(|hit| {
        let stored = store.fields.read(&view.searcher, hit.at)?;
        Ok(Passage {
            id: stored.id,
            title: stored.title,
            content: stored.content,
            score: hit.score,
            metadata: stored.metadata,
        })
    })
    .collect()
}

/// The documents that a ranker puts first, at least as many as are wanted if there are so many.
fn documents(
    view: &View,
    ranker: &dyn Ranker,
    question: &Question,
    wanted: usize,
    several: bool,
) -> Result<Vec<Hit<DocAddress>>, IndexError> {
    let passages = usize::try_from(view.searcher.num_docs()).unwrap_or(usize::MAX);
    let mut limit = if several { wanted * 2 } else { wanted };
    loop {
        let found = ranker.rank(view, question, limit)?;
        let all = found.len() < limit || limit >= passages;
        let hits = one_of_each_document(view, found)?;
        if hits.len() >= wanted || all {
            return Ok(hits);
        }
        limit *= 4;
    }
}

/// One ranking of several, each of which has a weight. Of a document's passages, that counts which
/// stands higher.
pub(crate) fn fuse<P>(rankings: [(Vec<Hit<P>>, f32); 2]) -> Vec<Hit<P>> {
    let mut fused: Vec<(Hit<P>, usize)> = Vec::new();
    let mut places: HashMap<Option<u64>, usize> = HashMap::new();
    for (hits, weight) in rankings {
        if weight <= 0.0 {
            continue;
        }
        for (rank, hit) in hits.into_iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
            let score = weight / (RANK + 1.0 + rank as f32);
            if let Some(place) = places.get(&hit.document) {
                let (known, best_rank) = &mut fused[*place];
                known.score += score;
                if rank < *best_rank {
                    (known.at, *best_rank) = (hit.at, rank);
                }
            } else {
                places.insert(hit.document, fused.len());
                fused.push((Hit { score, ..hit }, rank));
            }
        }
    }
    // Stable: of two that are equally good, the one with the words comes first.
    fused.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
    fused.into_iter().map(|(hit, _)| hit).collect()
}

fn one_of_each_document(
    view: &View,
    ranked: Vec<(Score, DocAddress)>,
) -> Result<Vec<Hit<DocAddress>>, IndexError> {
    let segments = view.searcher.segment_readers();
    let mut columns: Vec<Option<Column<u64>>> = vec![None; segments.len()];
    let mut seen = HashSet::with_capacity(ranked.len());
    let mut hits = Vec::with_capacity(ranked.len());
    for (score, at) in ranked {
        let segment = at.segment_ord as usize;
        let column = match &mut columns[segment] {
            Some(column) => column,
            none => none.insert(segments[segment].fast_fields().u64(DOCUMENT)?),
        };
        let document = column.first(at.doc_id);
        if seen.insert(document) {
            hits.push(Hit {
                score,
                at,
                document,
            });
        }
    }
    Ok(hits)
}
