//! Ranks passages by how near their vectors are to a question's.
//!
//! Every vector is looked at: in 8 bits a number, which takes a millisecond or two for a hundred
//! thousand on one core, and then the nearest few hundred again exactly. No graph has to be built,
//! kept in memory or repaired after removals, filters are exact and make the search faster, and what
//! is found is what comparing exactly finds, but for a passage in a thousand.

use std::ops::Range;

use rayon::prelude::*;
use tantivy::{
    DocAddress, DocId, Score, Searcher, SegmentOrdinal,
    query::{EnableScoring, Weight},
};

use super::{
    IndexError,
    best::Best,
    fields::Fields,
    search::{Meaning, Question, Ranker},
    store::View,
};

/// How many more passages are compared exactly than are wanted, and how many at least: rounding to
/// 8 bits moves a passage by a few places.
const MORE: usize = 4;
const AT_LEAST: usize = 200;
/// How many passages a thread takes at a time: about a tenth of a millisecond.
const SHARE: u32 = 8192;

/// By meaning: the cosine of the angle between the vectors.
pub(crate) struct Nearest {
    fields: Fields,
}

/// Passages of a segment that one thread compares.
struct Part {
    segment: SegmentOrdinal,
    rows: Rows,
}

enum Rows {
    All(Range<DocId>),
    Filtered(Vec<DocId>),
}

impl Nearest {
    pub(crate) const fn new(fields: Fields) -> Self {
        Self { fields }
    }

    fn parts(&self, view: &View, question: &Question) -> Result<Vec<Part>, IndexError> {
        let weight = question.filter.query(self.fields.filter);
        let weight = weight
            .map(|filter| filter.weight(EnableScoring::disabled_from_searcher(&view.searcher)));
        let weight = weight.transpose()?;
        let mut parts = Vec::new();
        for (segment, vectors) in (0..).zip(&view.vectors) {
            let part = |rows| Part { segment, rows };
            if let Some(weight) = &weight {
                let rows = passing(&view.searcher, segment, weight.as_ref())?;
                parts.push(part(Rows::Filtered(rows)));
                continue;
            }
            let rows = DocId::try_from(vectors.rows()).unwrap_or(DocId::MAX);
            let shares = (0..rows).step_by(SHARE as usize);
            parts.extend(shares.map(|from| part(Rows::All(from..rows.min(from + SHARE)))));
        }
        Ok(parts)
    }
}

impl Ranker for Nearest {
    fn rank(
        &self,
        view: &View,
        question: &Question,
        limit: usize,
    ) -> Result<Vec<(Score, DocAddress)>, IndexError> {
        let Some(meaning) = &question.meaning else {
            return Ok(Vec::new());
        };
        let count = (limit * MORE).max(AT_LEAST);
        let parts = self.parts(view, question)?;
        let candidates = if parts.len() <= 1 {
            parts
                .iter()
                .flat_map(|part| part.nearest(view, meaning, count))
                .collect()
        } else {
            let found = parts
                .par_iter()
                .map(|part| part.nearest(view, meaning, count));
            found.reduce(Vec::new, |some, others| best_of(some, others, count))
        };
        let exact = candidates.into_iter().map(|(_, at)| {
            let vectors = &view.vectors[at.segment_ord as usize];
            (vectors.score(at.doc_id, &meaning.vector), at)
        });
        let mut exact: Vec<_> = exact.collect();
        exact.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        exact.truncate(limit);
        Ok(exact)
    }
}

impl Part {
    /// About the nearest passages of the part, and about how near they are.
    fn nearest(&self, view: &View, meaning: &Meaning, count: usize) -> Vec<(f32, DocAddress)> {
        let vectors = &view.vectors[self.segment as usize];
        let alive = view.searcher.segment_reader(self.segment).alive_bitset();
        let is_alive = |row| alive.is_none_or(|alive| alive.is_alive(row));
        let mut best = Best::new(count);
        let query = &meaning.small;
        match &self.rows {
            Rows::All(rows) => vectors.offer(query, rows.clone(), is_alive, &mut best),
            Rows::Filtered(rows) => {
                vectors.offer(query, rows.iter().copied(), is_alive, &mut best);
            }
        }
        let found = best.take().into_iter();
        let found = found.map(|(score, row)| (score, DocAddress::new(self.segment, row)));
        found.collect()
    }
}

fn best_of(
    mut some: Vec<(f32, DocAddress)>,
    others: Vec<(f32, DocAddress)>,
    count: usize,
) -> Vec<(f32, DocAddress)> {
    some.extend(others);
    if some.len() > count {
        some.select_nth_unstable_by(count - 1, |a, b| b.0.total_cmp(&a.0));
        some.truncate(count);
    }
    some
}

/// The passages of a segment that a filter lets through.
fn passing(
    searcher: &Searcher,
    segment: SegmentOrdinal,
    filter: &dyn Weight,
) -> Result<Vec<DocId>, IndexError> {
    let mut passages = Vec::new();
    let segment = searcher.segment_reader(segment);
    filter.for_each_no_score(segment, &mut |some| passages.extend_from_slice(some))?;
    Ok(passages)
}
