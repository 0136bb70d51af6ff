//! The terms of a text: what is written into the index, and what is looked up in it.

use std::{borrow::Cow, collections::HashSet, sync::LazyLock};

use frostem::{Algorithm, Stemmer};
use jieba_rs::Jieba;
use unicode_normalization::UnicodeNormalization;

use super::{
    runs::{Run, Script, is_apostrophe, runs},
    stop_words::is_stop_word,
};

/// The Chinese dictionary. Loading it takes a tenth of a second and most of this backend's memory,
/// so it waits for the first Chinese character.
static DICTIONARY: LazyLock<Jieba> = LazyLock::new(Jieba::new);

/// A word longer than this is a hash, a key or an encoded file; its beginning finds it.
const LONGEST_WORD: usize = 128;

/// A term: how it is indexed, and the word it came from, in lower case.
pub(crate) struct Term<'a> {
    pub(crate) stem: &'a str,
    pub(crate) word: &'a str,
}

/// Calls `take` with every term of `text`, in order.
pub(crate) fn each_term(text: &str, mut take: impl FnMut(Term<'_>)) {
    let stemmer = Stemmer::new(Algorithm::English);
    for run in runs(text) {
        match run.script {
            Script::Word => {
                let word = fold(run.text);
                let stem = stem(stemmer, &word);
                take(Term {
                    stem: &stem,
                    word: &word,
                });
            }
            Script::Han => han_terms(run, &mut take),
            Script::Pairs => pair_terms(run, &mut take),
        }
    }
}

/// The different terms of a question, in order, without words that say nothing about its subject.
///
/// A question of such words alone keeps them: it is all there is to look for.
pub(crate) fn query_terms(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let (mut content, mut stop) = (Vec::new(), Vec::new());
    each_term(text, |term| {
        if seen.insert(term.stem.to_owned()) {
            let list = if is_stop_word(term.word) {
                &mut stop
            } else {
                &mut content
            };
            list.push(term.stem.to_owned());
        }
    });
    if content.is_empty() { stop } else { content }
}

/// Longer words come with the shorter ones inside them, so that either is found.
fn han_terms(run: Run<'_>, take: &mut impl FnMut(Term<'_>)) {
    for token in DICTIONARY.cut_for_search(run.text, true) {
        take(Term {
            stem: token.word,
            word: token.word,
        });
    }
}

fn pair_terms(run: Run<'_>, take: &mut impl FnMut(Term<'_>)) {
    // Half-width forms and separate accents become the usual ones.
    let characters: Vec<char> = run.text.nfkc().collect();
    let mut pair = String::new();
    for characters in characters.windows(2.min(characters.len())) {
        pair.clear();
        pair.extend(characters);
        take(Term {
            stem: &pair,
            word: &pair,
        });
    }
}

/// One form for all ways to write a word: lower case, usual width, no accents, no apostrophes
/// except as ASCII.
fn fold(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        let word = &word[..word.len().min(LONGEST_WORD)];
        return if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(word.to_ascii_lowercase())
        } else {
            Cow::Borrowed(word)
        };
    }
    let mut folded = String::with_capacity(word.len());
    for c in word.nfkd().flat_map(char::to_lowercase).nfkd() {
        match c {
            c if is_apostrophe(c) => folded.push('\''),
            '\u{300}'..='\u{36f}' => {}
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            c => folded.push(c),
        }
        if folded.len() >= LONGEST_WORD {
            break;
        }
    }
    if folded.is_empty() {
        // Nothing but accents is no word, but it must still be a term.
        return Cow::Owned(word.chars().take(1).collect());
    }
    Cow::Owned(folded)
}

fn stem(stemmer: Stemmer, word: &str) -> Cow<'_, str> {
    // The English rules fit Latin words well enough to leave others alone.
    if word
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'\'')
    {
        stemmer.stem(word)
    } else {
        Cow::Borrowed(word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stems(text: &str) -> Vec<String> {
        let mut stems = Vec::new();
        each_term(text, |term| stems.push(term.stem.to_owned()));
        stems
    }

    #[test]
    fn english_words_meet_in_their_stem() {
        assert_eq!(stems("Running RUNS run's"), ["run", "run", "run"]);
        assert_eq!(stems("Café CAFE\u{301} cafe"), ["cafe", "cafe", "cafe"]);
        assert_eq!(stems("Straße ＡＢＣ１"), stems("strasse abc1"));
        assert_eq!(stems("Newton’s laws"), stems("Newton's law"));
    }

    #[test]
    fn chinese_words_come_from_the_dictionary() {
        let found = stems("植物的光合作用，很重要。");
        for word in ["植物", "光合", "光合作用", "重要"] {
            assert!(found.iter().any(|term| term == word), "{word} in {found:?}");
        }
        assert!(
            found.iter().all(|term| !term.contains(['，', '。', ' '])),
            "{found:?}"
        );
    }

    #[test]
    fn other_scripts_without_spaces_become_pairs() {
        assert_eq!(stems("ラーメン"), ["ラー", "ーメ", "メン"]);
        assert_eq!(stems("ﾗｰ"), ["ラー"]);
        assert_eq!(stems("가"), ["가"]);
    }

    #[test]
    fn questions_lose_what_every_question_has() {
        assert_eq!(
            query_terms("What is the boiling point of water, water?"),
            ["boil", "point", "water"]
        );
        assert_eq!(
            query_terms("什么是光合作用？"),
            ["光合", "合作", "作用", "光合作用"]
        );
        assert_eq!(query_terms("to be or not to be"), ["to", "be", "or", "not"]);
        assert!(query_terms(" 🙂 \"\" (::) ").is_empty());
    }

    proptest! {
        /// A text is found by any of its words alone, however they are written.
        #[test]
        fn words_give_the_same_terms_alone_and_in_a_text(words in prop::collection::vec("[a-zA-Zéß0-9]{1,12}", 1..6)) {
            let together = stems(&words.join(" "));
            let alone: Vec<String> = words.iter().flat_map(|word| stems(word)).collect();
            prop_assert_eq!(together, alone);
        }

        /// No text breaks the tokeniser, no term is empty or beyond what the index takes.
        #[test]
        fn terms_are_bounded(text in any::<String>()) {
            each_term(&text, |term| {
                assert!(!term.stem.is_empty());
                assert!(term.stem.len() <= text.len().max(LONGEST_WORD) * 4);
            });
        }
    }
}
