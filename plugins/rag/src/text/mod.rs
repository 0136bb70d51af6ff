//! Text as the index sees it: runs of one kind of script, the terms in them, and passages of a
//! bounded length. Knows nothing of the index.

mod analyzer;
mod chunk;
mod runs;
mod stop_words;
mod terms;

pub(crate) use analyzer::Analyzer;
pub(crate) use chunk::Chunking;
pub(crate) use terms::{each_term, query_terms};
