//! Ranks passages by the words that they share with a question.

use tantivy::{
    DocAddress, Score, Searcher, Term,
    collector::TopDocs,
    query::{BooleanQuery, Occur, Query, TermQuery},
    schema::IndexRecordOption,
};

use super::{
    IndexError,
    fields::Fields,
    search::{Question, Ranker},
    store::View,
};

/// A page pasted as a question has hundreds of words; its rarest ones find what it is about, and
/// each further one costs time.
const MAX_TERMS: usize = 96;

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
        view: &View,
        question: &Question,
        limit: usize,
    ) -> Result<Vec<(Score, DocAddress)>, IndexError> {
        if question.terms.is_empty() {
            return Ok(Vec::new());
        }
        let query = self.query(&view.searcher, question)?;
        Ok(view
            .searcher
            .search(&query, &TopDocs::with_limit(limit).order_by_score())?)
    }
}
