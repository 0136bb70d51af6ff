//! Questions: which passages answer one best, and one of each document.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tantivy::{
    DocAddress, Score, Searcher, Term,
    collector::TopDocs,
    columnar::Column,
    query::{BooleanQuery, Occur, Query, TermQuery},
    schema::IndexRecordOption,
};

use super::{
    Filter, IndexError,
    fields::{DOCUMENT, Fields},
    store::Store,
};
use crate::text::query_terms;

/// A page pasted as a question has hundreds of words; its rarest ones find what it is about, and
/// each further one costs time.
const MAX_TERMS: usize = 96;

/// What is asked, ready to be looked up.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    terms: Vec<String>,
    filter: Filter,
    top_k: usize,
}

impl Question {
    /// `text` is plain text: no character has a meaning as syntax.
    pub(crate) fn new(text: &str, filter: Filter, top_k: usize) -> Self {
        Self {
            terms: query_terms(text),
            filter,
            top_k,
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

/// A way to order passages by how well they answer a question. Full text is one; a vector index is
/// another, and a fusion of both a third.
pub(crate) trait Ranker: Send + Sync {
    /// The best passages, best first, at most `limit`; fewer only if there are no more.
    fn rank(
        &self,
        searcher: &Searcher,
        question: &Question,
        limit: usize,
    ) -> Result<Vec<(Score, DocAddress)>, IndexError>;
}

/// Full text: BM25 over the terms that question and passage share.
pub(crate) struct Bm25 {
    fields: Fields,
}

impl Bm25 {
    pub(crate) const fn new(fields: Fields) -> Self {
        Self { fields }
    }

    fn query(
        &self,
        searcher: &Searcher,
        question: &Question,
    ) -> Result<Box<dyn Query>, IndexError> {
        let terms = self.rarest(searcher, &question.terms)?;
        let words = terms.into_iter().map(|term| -> Box<dyn Query> {
            Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
        });
        let words: Box<dyn Query> = Box::new(BooleanQuery::union(words.collect()));
        Ok(match question.filter.query(self.fields.filter) {
            None => words,
            Some(filter) => Box::new(BooleanQuery::new(vec![
                (Occur::Must, words),
                (Occur::Must, filter),
            ])),
        })
    }

    fn rarest(&self, searcher: &Searcher, terms: &[String]) -> Result<Vec<Term>, IndexError> {
        let terms = terms
            .iter()
            .map(|term| Term::from_field_text(self.fields.terms, term));
        if terms.len() <= MAX_TERMS {
            return Ok(terms.collect());
        }
        let mut counted = terms
            .map(|term| Ok((searcher.doc_freq(&term)?, term)))
            .collect::<Result<Vec<_>, IndexError>>()?;
        counted.retain(|(count, _)| *count > 0);
        counted.sort_by_key(|(count, _)| *count);
        Ok(counted
            .into_iter()
            .take(MAX_TERMS)
            .map(|(_, term)| term)
            .collect())
    }
}

impl Ranker for Bm25 {
    fn rank(
        &self,
        searcher: &Searcher,
        question: &Question,
        limit: usize,
    ) -> Result<Vec<(Score, DocAddress)>, IndexError> {
        if question.terms.is_empty() {
            return Ok(Vec::new());
        }
        let query = self.query(searcher, question)?;
        Ok(searcher.search(&query, &TopDocs::with_limit(limit).order_by_score())?)
    }
}

/// The best passage of each of the best documents.
pub(crate) fn search(
    store: &Store,
    ranker: &dyn Ranker,
    question: &Question,
) -> Result<Vec<Passage>, IndexError> {
    let searcher = store.searcher();
    let passages = usize::try_from(searcher.num_docs()).unwrap_or(usize::MAX);
    // Where documents have several passages, some of the first will be of the same document.
    let several = searcher.num_docs() > store.contents().documents();
    let mut limit = if several {
        question.top_k * 2
    } else {
        question.top_k
    };
    let best = loop {
        let hits = ranker.rank(&searcher, question, limit)?;
        let all = hits.len() < limit || limit >= passages;
        let best = one_of_each_document(&searcher, hits)?;
        if best.len() >= question.top_k || all {
            break best;
        }
        limit *= 4;
    };
    let best = best.into_iter().take(question.top_k);
    best.map(|(score, at)| {
        let stored = store.fields.read(&searcher, at)?;
        Ok(Passage {
            id: stored.id,
            title: stored.title,
            content: stored.content,
            score,
            metadata: stored.metadata,
        })
    })
    .collect()
}

fn one_of_each_document(
    searcher: &Searcher,
    mut hits: Vec<(Score, DocAddress)>,
) -> Result<Vec<(Score, DocAddress)>, IndexError> {
    let mut columns: Vec<Option<Column<u64>>> = vec![None; searcher.segment_readers().len()];
    let mut seen = HashSet::with_capacity(hits.len());
    let mut failure = None;
    hits.retain(|(_, at)| {
        let column = match &mut columns[at.segment_ord as usize] {
            Some(column) => column,
            none => match searcher
                .segment_reader(at.segment_ord)
                .fast_fields()
                .u64(DOCUMENT)
            {
                Ok(column) => none.insert(column),
                Err(error) => {
                    failure = Some(error);
                    return false;
                }
            },
        };
        seen.insert(column.first(at.doc_id))
    });
    failure.map_or(Ok(hits), |error| Err(error.into()))
}
