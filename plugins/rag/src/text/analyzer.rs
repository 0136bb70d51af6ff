//! The terms of [`each_term`] as the tokeniser that tantivy writes an index with.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::each_term;

/// Writes a text's terms, all at once: documents are cut into short passages before.
#[derive(Clone, Default)]
pub(crate) struct Analyzer;

/// The terms of one text.
pub(crate) struct Terms {
    stems: std::vec::IntoIter<String>,
    token: Token,
}

impl Tokenizer for Analyzer {
    type TokenStream<'a> = Terms;

    fn token_stream(&mut self, text: &str) -> Terms {
        let mut stems = Vec::new();
        each_term(text, |term| stems.push(term.stem.to_owned()));
        Terms {
            stems: stems.into_iter(),
            token: Token::default(),
        }
    }
}

impl TokenStream for Terms {
    fn advance(&mut self) -> bool {
        let Some(stem) = self.stems.next() else {
            return false;
        };
        self.token.text = stem;
        // The default position is the one before the first.
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
