//! Texts as the model reads them.

use std::path::Path;

use tokenizers::{Encoding, Tokenizer};

use crate::{ModelError, folder::Folder};

const FILE: &str = "tokenizer.json";

/// What a text is: some models are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something to look for.
    Query,
    /// Something to find.
    Passage,
}

/// A text's tokens, at most as many as the model takes.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub(crate) ids: Vec<u32>,
    known: f32,
}

impl Tokens {
    /// How many there are, those that the model wants around every text included.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a text is never without tokens"
    )]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The share of the text that the model has words for: 1 for most, near 0 for a text in a script
    /// that it does not know.
    pub const fn known(&self) -> f32 {
        self.known
    }
}

/// The model's tokeniser.
pub(crate) struct Cutter {
    tokenizer: Tokenizer,
    unknown: Option<u32>,
    most: usize,
    query_prompt: String,
    passage_prompt: String,
}

impl Cutter {
    pub(crate) fn load(folder: &Folder) -> Result<Self, ModelError> {
        let path = folder.network.join(FILE);
        let mut tokenizer = load(&path)?;
        // The file may say how texts are to be cut and filled up; here texts have their own lengths,
        // and are cut to what the model takes.
        tokenizer.with_padding(None);
        let untruncated = tokenizer.with_truncation(None);
        untruncated.map_err(|error| ModelError::content(FILE, error))?;
        let unknown = ["[UNK]", "<unk>"];
        Ok(Self {
            unknown: unknown
                .iter()
                .find_map(|token| tokenizer.token_to_id(token)),
            tokenizer,
            most: folder.shape.tokens,
            query_prompt: folder.query_prompt.clone(),
            passage_prompt: folder.passage_prompt.clone(),
        })
    }

    pub(crate) fn tokens(&self, kind: Kind, text: &str) -> Tokens {
        let prompt = match kind {
            Kind::Query => &self.query_prompt,
            Kind::Passage => &self.passage_prompt,
        };
        let encoding = if prompt.is_empty() {
            self.tokenizer.encode_fast(text, true)
        } else {
            self.tokenizer.encode_fast(format!("{prompt}{text}"), true)
        };
        // It fails for a vocabulary without a word for the unknown; such a text says nothing.
        let encoding = encoding.unwrap_or_default();
        let ids = self.cut(&encoding);
        let unknown = ids.iter().filter(|id| Some(**id) == self.unknown).count();
        #[expect(clippy::cast_precision_loss, reason = "texts are short")]
        let known = 1.0 - unknown as f32 / ids.len().saturating_sub(2).max(1) as f32;
        Tokens {
            ids,
            known: known.max(0.0),
        }
    }

    /// Where each token of a text begins and ends, without those around it.
    pub(crate) fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        let encoding = self.tokenizer.encode(text, false).unwrap_or_default();
        encoding.get_offsets().to_vec()
    }

    /// As many tokens as the model takes, with those that it wants at the end.
    fn cut(&self, encoding: &Encoding) -> Vec<u32> {
        let ids = encoding.get_ids();
        if ids.len() <= self.most {
            return ids.to_vec();
        }
        let special = encoding.get_special_tokens_mask().iter().rev();
        let at_end = special.take_while(|special| **special == 1).count();
        let mut cut = ids[..self.most.saturating_sub(at_end)].to_vec();
        cut.extend(&ids[ids.len() - at_end..]);
        cut
    }
}

fn load(path: &Path) -> Result<Tokenizer, ModelError> {
    // The tokeniser's own error says no more of a missing file than the system does.
    let text = std::fs::read(path).map_err(|source| ModelError::File {
        file: FILE.to_owned(),
        source,
    })?;
    Tokenizer::from_bytes(text).map_err(|error| ModelError::content(FILE, error))
}
