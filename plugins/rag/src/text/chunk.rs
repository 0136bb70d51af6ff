//! Cuts a long text into passages that overlap a little and end, where they can, with a sentence.

use super::runs::{Script, runs};

/// How many bytes of one word, or of the space between two, count as one token: it bounds a
/// passage of text without any spaces in bytes.
const BYTES_PER_TOKEN: usize = 64;

/// How long passages are. A token is a word, or one character where words have no spaces between
/// them, which is about what embedding models count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunking {
    /// The most tokens in a passage.
    pub(crate) tokens: usize,
    /// How many tokens of a passage the next one repeats; at most half of `tokens`.
    pub(crate) overlap: usize,
}

/// Where a token begins.
struct Start {
    offset: usize,
    /// Whether a sentence or a line ended right before it.
    sentence: bool,
}

impl Chunking {
    /// The passages of `text`: the text itself if it is short, at least one in any case.
    pub(crate) fn split<'a>(&self, text: &'a str) -> Vec<&'a str> {
        self.split_by(text, || starts_of_words(text))
    }

    /// The same with the tokens of a model: `tokens` says where each begins and ends.
    pub(crate) fn split_tokens<'a>(
        &self,
        text: &'a str,
        tokens: impl FnOnce() -> Vec<(usize, usize)>,
    ) -> Vec<&'a str> {
        self.split_by(text, || starts_of_tokens(text, &tokens()))
    }

    fn split_by<'a>(&self, text: &'a str, starts: impl FnOnce() -> Vec<Start>) -> Vec<&'a str> {
        // Every token has a byte, so a text of few bytes needs no counting.
        if text.len() <= self.tokens {
            return vec![text.trim()];
        }
        let starts = starts();
        let mut passages = Vec::new();
        let mut first = 0;
        loop {
            let from = starts.get(first).map_or(0, |start| start.offset);
            if starts.len() <= first + self.tokens {
                let rest = text[if passages.is_empty() { 0 } else { from }..].trim();
                passages.push(rest);
                return passages;
            }
            let end = self.end(&starts, first);
            let begin = if passages.is_empty() { 0 } else { from };
            passages.push(text[begin..starts[end].offset].trim());
            first = self.next(&starts, end);
        }
    }

    /// The token before which the passage that begins at `first` ends: after the last sentence in
    /// its last third, or where it is full.
    fn end(&self, starts: &[Start], first: usize) -> usize {
        let full = first + self.tokens;
        let earliest = full - self.tokens / 3;
        (earliest..=full)
            .rev()
            .find(|token| starts[*token].sentence)
            .unwrap_or(full)
    }

    /// The token with which the next passage begins: with a whole sentence if there is one in the
    /// overlap.
    fn next(&self, starts: &[Start], end: usize) -> usize {
        let earliest = end - self.overlap;
        (earliest..end)
            .find(|token| starts[*token].sentence)
            .unwrap_or(earliest)
    }
}

/// The starts of a model's tokens. Those that it has no word for may be as long as they like.
fn starts_of_tokens(text: &str, tokens: &[(usize, usize)]) -> Vec<Start> {
    let mut starts: Vec<Start> = Vec::with_capacity(tokens.len());
    let mut position = 0;
    for (begin, end) in tokens {
        // Several tokens of one character begin together; none may begin in the one before.
        let (begin, end) = (
            text.ceil_char_boundary(*begin),
            text.floor_char_boundary(*end),
        );
        if end <= position {
            continue;
        }
        let gap = text.get(position..begin).unwrap_or_default();
        push_pieces(&mut starts, gap, position, BYTES_PER_TOKEN);
        // A model's full stop is a token of its own, before the gap.
        let before = text[..begin].chars().next_back();
        let sentence = ends_sentence(gap)
            || before.is_some_and(|c| "。！？；".contains(c))
            || (!gap.is_empty() && before_gap(text, position).is_some_and(|c| ".!?".contains(c)));
        let first = starts.len();
        let begin = begin.max(position);
        push_pieces(&mut starts, &text[begin..end], begin, 0);
        starts[first].sentence = sentence;
        position = end;
    }
    push_pieces(&mut starts, &text[position..], position, BYTES_PER_TOKEN);
    starts
}

fn before_gap(text: &str, position: usize) -> Option<char> {
    text[..position].chars().next_back()
}

fn starts_of_words(text: &str) -> Vec<Start> {
    let mut starts = Vec::new();
    let mut position = 0;
    for run in runs(text) {
        let gap = &text[position..run.start];
        push_pieces(&mut starts, gap, position, BYTES_PER_TOKEN);
        let sentence = ends_sentence(gap);
        let first = starts.len();
        match run.script {
            Script::Word => push_pieces(&mut starts, run.text, run.start, 0),
            Script::Han | Script::Pairs => {
                starts.extend(run.text.char_indices().map(|(at, _)| Start {
                    offset: run.start + at,
                    sentence: false,
                }));
            }
        }
        starts[first].sentence = sentence;
        position = run.start + run.text.len();
    }
    push_pieces(&mut starts, &text[position..], position, BYTES_PER_TOKEN);
    starts
}

/// A token for every [`BYTES_PER_TOKEN`] bytes of `text`, from `from` on.
fn push_pieces(starts: &mut Vec<Start>, text: &str, position: usize, from: usize) {
    for at in (from..text.len()).step_by(BYTES_PER_TOKEN) {
        starts.push(Start {
            offset: position + text.floor_char_boundary(at),
            sentence: false,
        });
    }
}

fn ends_sentence(gap: &str) -> bool {
    // A full stop inside a number or a name has no space behind it.
    let spaced = gap.contains(char::is_whitespace);
    gap.contains(['\n', '。', '！', '？', '；']) || (spaced && gap.contains(['.', '!', '?']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: Chunking = Chunking {
        tokens: 16,
        overlap: 4,
    };

    #[test]
    fn short_texts_stay_whole() {
        assert_eq!(SMALL.split("One short sentence."), ["One short sentence."]);
        assert_eq!(SMALL.split("  "), [""]);
    }

    #[test]
    fn passages_end_with_sentences_where_they_can() {
        let text = "One two three four five six seven eight nine ten eleven twelve. \
                    Thirteen fourteen fifteen sixteen seventeen eighteen.";
        let passages = SMALL.split(text);
        assert!(passages[0].ends_with("twelve."), "{passages:?}");
        assert!(passages[1].starts_with("nine ten"), "{passages:?}");
        assert!(passages[1].ends_with("eighteen."), "{passages:?}");
    }

    #[test]
    fn chinese_counts_characters_and_knows_its_full_stop() {
        let text = "水在一百度沸腾并且变成蒸汽。冰在零度融化成为水然后再结冰。";
        let passages = SMALL.split(text);
        assert_eq!(passages[0], "水在一百度沸腾并且变成蒸汽。");
        assert!(passages[1].starts_with("变成蒸汽。"), "{passages:?}");
        assert!(
            passages.last().unwrap().ends_with("再结冰。"),
            "{passages:?}"
        );
    }

    proptest! {
        /// Nothing of a text is lost, and every passage is bounded, whatever the text is.
        #[test]
        fn passages_cover_the_text(
            text in "([a-z]{1,9}[ .\n]|[\u{4e00}-\u{4e20}。]{1,9}|[-x]{60,140}|é){0,60}",
            tokens in 16_usize..40,
        ) {
            let chunking = Chunking { tokens, overlap: tokens / 4 };
            let mut covered = 0;
            for passage in chunking.split(&text) {
                prop_assert!(passage.len() <= (tokens + 1) * 2 * (BYTES_PER_TOKEN + 4));
                let offset = passage.as_ptr() as usize - text.as_ptr() as usize;
                if offset > covered {
                    prop_assert!(text[covered..offset].trim().is_empty());
                }
                covered = covered.max(offset + passage.len());
            }
            prop_assert!(text[covered..].trim().is_empty());
        }
    }
}
