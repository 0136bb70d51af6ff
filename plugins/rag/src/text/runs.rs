//! Cuts text into runs of characters that are to be segmented in the same way.
//!
//! What lies between the runs, spaces and punctuation above all, carries no terms.

use unicode_normalization::char::is_combining_mark;

/// How the characters of a run become terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Letters and digits that spaces keep apart: the run is one word.
    Word,
    /// Chinese characters (and those that Japanese took over): a dictionary finds the words.
    Han,
    /// Scripts without spaces, or with long agglutinated words, for which there is no dictionary
    /// here: pairs of neighbouring characters stand in for words.
    Pairs,
}

/// A run of characters of one script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run<'a> {
    pub(crate) script: Script,
    pub(crate) start: usize,
    pub(crate) text: &'a str,
}

/// The runs of `text`, in order.
pub(crate) fn runs(text: &str) -> impl Iterator<Item = Run<'_>> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let rest = &text[position..];
        let (skipped, script) = rest
            .char_indices()
            .find_map(|(at, c)| script_of(c).map(|script| (at, script)))?;
        let run = &rest[skipped..];
        let length = length_of_run(run, script);
        let start = position + skipped;
        position = start + length;
        Some(Run {
            script,
            start,
            text: &run[..length],
        })
    })
}

fn length_of_run(text: &str, script: Script) -> usize {
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let belongs = script_of(c) == Some(script)
            || (script == Script::Word && is_combining_mark(c))
            // An apostrophe between letters is part of the word: "don't", "Newton's".
            || (is_apostrophe(c)
                && script == Script::Word
                && characters
                    .peek()
                    .is_some_and(|(_, next)| script_of(*next) == Some(script)));
        if !belongs {
            return at;
        }
    }
    text.len()
}

/// Whether the character is one of those that people type as an apostrophe.
pub(crate) const fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02bc}')
}

fn script_of(c: char) -> Option<Script> {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric().then_some(Script::Word);
    }
    match u32::from(c) {
        // Ideographs, their extensions and compatibility forms, and the iteration mark.
        0x3005
        | 0x3007
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xf900..=0xfaff
        | 0x2_0000..=0x3_23af => Some(Script::Han),
        // Thai, Lao, Myanmar, Khmer; Hiragana and Katakana; Hangul syllables.
        0x0e01..=0x0e3a
        | 0x0e40..=0x0e4e
        | 0x0e80..=0x0ece
        | 0x1000..=0x1049
        | 0x1780..=0x17d3
        | 0x3041..=0x309f
        | 0x30a1..=0x30fa
        | 0x30fc..=0x30ff
        | 0x31f0..=0x31ff
        | 0xac00..=0xd7a3
        | 0xff66..=0xff9f => Some(Script::Pairs),
        // A modifier letter, so `is_alphanumeric` takes it; here it is an apostrophe.
        0x02bc => None,
        _ => c.is_alphanumeric().then_some(Script::Word),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<(Script, &str)> {
        runs(text).map(|run| (run.script, run.text)).collect()
    }

    #[test]
    fn scripts_are_kept_apart() {
        use Script::{Han, Pairs, Word};
        assert_eq!(
            cut("Rust 1.95 的编译器rustc，東京タワー don't—Ω"),
            [
                (Word, "Rust"),
                (Word, "1"),
                (Word, "95"),
                (Han, "的编译器"),
                (Word, "rustc"),
                (Han, "東京"),
                (Pairs, "タワー"),
                (Word, "don't"),
                (Word, "Ω"),
            ]
        );
    }

    #[test]
    fn marks_belong_to_the_letter_before_them() {
        assert_eq!(
            cut("cafe\u{301} 🙂 'quoted'"),
            [(Script::Word, "cafe\u{301}"), (Script::Word, "quoted"),]
        );
    }

    proptest! {
        /// Runs lie in order, do not overlap, are what they say, and miss no letter or digit.
        #[test]
        fn runs_cover_every_letter(text in "\\PC{0,80}") {
            let mut covered = 0;
            for run in runs(&text) {
                prop_assert!(run.start >= covered && !run.text.is_empty());
                prop_assert_eq!(&text[run.start..run.start + run.text.len()], run.text);
                prop_assert!(!text[covered..run.start].chars().any(|c| script_of(c).is_some()));
                covered = run.start + run.text.len();
            }
            prop_assert!(!text[covered..].chars().any(|c| script_of(c).is_some()));
        }
    }
}
