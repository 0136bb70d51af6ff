//! How much of what was found goes into an answer: passages are counted in bytes, the best first.

use std::io;

use sandbox_plugin_api::prelude::{Map, Value, serde_json};

use crate::index::Passage;

/// What a passage takes in an answer beside its texts and metadata: the names of its fields, its score, and what stands
/// around its title and after it in the context.
const FRAME: usize = 96;

/// The most that a byte takes in JSON: a control character is written as `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// The passages that go into an answer.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) passages: Vec<Passage>,
    /// How many bytes all of them would take; known only when there was no room for all.
    pub(crate) full_bytes: Option<u64>,
}

impl Kept {
    /// The first of the passages, as many as there is room for in bytes. The last of them is cut if it must be, on a
    /// character boundary.
    pub(crate) fn within(room: usize, mut passages: Vec<Passage>) -> Self {
        let most = |passage: &Passage| {
            let texts = texts_beside_content(passage).map(str::len).sum::<usize>();
            let texts = texts.saturating_add(2 * passage.content.len());
            FRAME + metadata(&passage.metadata) + texts.saturating_mul(LONGEST_ESCAPE)
        };
        // Most answers are far below: what they take exactly need not be known.
        if passages.iter().map(most).fold(0, usize::saturating_add) <= room {
            return Self {
                passages,
                full_bytes: None,
            };
        }
        let (mut left, mut full, mut kept, mut is_whole) = (room, 0_usize, 0, true);
        for passage in &mut passages {
            let beside: usize = texts_beside_content(passage).map(written).sum();
            let beside = FRAME + metadata(&passage.metadata) + beside;
            // The content stands in the results and in the context.
            let whole = beside.saturating_add(2 * written(&passage.content));
            full = full.saturating_add(whole);
            if !is_whole {
                continue;
            }
            is_whole = whole <= left;
            if !is_whole {
                let room = left.saturating_sub(beside) / 2;
                passage.content.truncate(prefix(&passage.content, room));
                kept += usize::from(!passage.content.is_empty());
                continue;
            }
            left -= whole;
            kept += 1;
        }
        passages.truncate(kept);
        Self {
            passages,
            full_bytes: (!is_whole).then_some(full as u64),
        }
    }
}

/// The id and the title as the results have them, and the one of them that is the head of the context.
fn texts_beside_content(passage: &Passage) -> impl Iterator<Item = &str> {
    let title = passage.title.as_deref();
    [
        passage.id.as_str(),
        title.unwrap_or_default(),
        title.unwrap_or(&passage.id),
    ]
    .into_iter()
}

/// How many bytes a text takes in JSON, without its quotes.
fn written(text: &str) -> usize {
    text.bytes().map(written_byte).sum()
}

const fn written_byte(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => LONGEST_ESCAPE,
        _ => 1,
    }
}

/// The length of the longest beginning of a text that takes no more than `room` bytes in JSON.
fn prefix(text: &str, room: usize) -> usize {
    let mut left = room;
    for (place, byte) in text.bytes().enumerate() {
        let Some(rest) = left.checked_sub(written_byte(byte)) else {
            return text.floor_char_boundary(place);
        };
        left = rest;
    }
    text.len()
}

/// How many bytes metadata take in JSON.
fn metadata(metadata: &Map<String, Value>) -> usize {
    let mut count = Count(0);
    // Counting cannot fail, and a map with text keys always serialises.
    let _ = serde_json::to_writer(&mut count, metadata);
    count.0
}

/// Counts what is written.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sandbox_plugin_api::prelude::json;

    use super::*;
    use crate::answers::context;

    fn passage(content: &str) -> Passage {
        Passage {
            id: "id".to_owned(),
            title: Some("\"T\"".to_owned()),
            content: content.to_owned(),
            score: 0.123_456_79,
            metadata: json!({"a": [1, "\n"]}).as_object().cloned().unwrap(),
        }
    }

    fn bytes(passages: &[Passage]) -> usize {
        let answer = json!({ "results": passages, "context": context(passages) });
        serde_json::to_string(&answer).unwrap().len()
    }

    #[test]
    fn what_is_kept_fits_whatever_it_is_made_of() {
        for content in ["plain text", "世界\u{1}\"\\\n\t", "é\u{0}"] {
            let found: Vec<Passage> = (1..20).map(|n| passage(&content.repeat(n * 9))).collect();
            let all = bytes(&found);
            for room in (0..all + 3000).step_by(331) {
                let kept = Kept::within(room, found.clone());
                // What stands around the lists is not a passage's.
                assert!(bytes(&kept.passages) <= room + 30, "{room}");
                match kept.full_bytes {
                    None => assert_eq!(kept.passages, found),
                    Some(full) => {
                        assert_ne!(kept.passages, found, "{room} of {full}");
                        let full = usize::try_from(full).unwrap();
                        assert!(full + 30 >= all && full > room);
                    }
                }
            }
        }
    }

    #[test]
    fn the_last_passage_is_cut_on_a_character() {
        let found = vec![passage(&"世".repeat(1000)), passage("more")];
        let kept = Kept::within(1000, found);
        let [only] = kept.passages.as_slice() else {
            panic!("{kept:?}");
        };
        assert!(only.content.len() > 300 && only.content.chars().all(|c| c == '世'));
    }
}
