//! Texts of tools on a terminal. They come as their authors broke them into lines, in Markdown: what is shown begins
//! and ends with a sentence, not with a line of the source.

/// As much of a sentence as stands in a list; hardly any is longer.
const LISTED: usize = 160;

/// What a text begins with: its first sentence, for a line of a list.
pub(super) fn first_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").find(|part| !part.trim().is_empty());
    let paragraph = joined(paragraph.unwrap_or_default());
    let sentence = &paragraph[..end_of_sentence(&paragraph)];
    match wrapped(sentence, LISTED).split_first() {
        None => String::new(),
        Some((line, [])) => line.clone(),
        Some((line, _)) => format!("{line} …"),
    }
}

/// Where the first sentence ends. After an abbreviation or `...` goes on what begins with a small letter.
fn end_of_sentence(text: &str) -> usize {
    let ends = text.match_indices(". ").map(|(at, _)| at + 1);
    let mut ends = ends.filter(|end| !text[end + 1..].starts_with(char::is_lowercase));
    ends.next().unwrap_or(text.len())
}

/// A text without its own lines and paragraphs.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in lines of at most this many characters; a longer word has a line of its own.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_a_sentence_and_not_a_line() {
        for (text, sentence) in [
            ("Click once.", "Click once."),
            (
                "Open an address and wait\nuntil it has loaded. Begin here.\n\nMore.",
                "Open an address and wait until it has loaded.",
            ),
            (
                "Tap a key (enter, ...) or one, e.g. a letter. Then wait.",
                "Tap a key (enter, ...) or one, e.g. a letter.",
            ),
            ("No full stop\n\nand more", "No full stop"),
            ("\n\nLate. `x` too.", "Late."),
            ("", ""),
        ] {
            assert_eq!(first_sentence(text), sentence);
        }
    }

    #[test]
    fn what_is_too_long_for_a_list_is_cut_between_words_and_says_so() {
        let shown = first_sentence(&"äöü ".repeat(100));
        assert!(
            shown.ends_with("äöü …") && shown.chars().count() <= LISTED + 2,
            "{shown}"
        );
    }

    #[test]
    fn lines_are_as_wide_as_they_may() {
        assert_eq!(
            wrapped("a bc\nd  longer e", 4),
            ["a bc", "d", "longer", "e"]
        );
        assert_eq!(wrapped(" ", 4), Vec::<String>::new());
    }
}
