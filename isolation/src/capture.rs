//! What a command printed: the beginning, kept up to a limit, and the length of all of it.

/// Collects one output of a command.
#[derive(Debug)]
pub struct Capture {
    kept: Vec<u8>,
    limit: usize,
    total: u64,
}

/// One output, as an answer shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The beginning. Bytes that are not UTF-8 show as U+FFFD.
    pub shown: String,
    /// How many bytes the command wrote.
    pub bytes: u64,
    /// Whether `shown` is less than the command wrote.
    pub truncated: bool,
}

impl Capture {
    /// Collects up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            limit,
            total: 0,
        }
    }

    /// Adds what was read.
    pub fn add(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.limit - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The output so far.
    pub fn text(&self) -> Text {
        let cut = self.total > self.kept.len() as u64;
        let whole = if cut {
            &self.kept[..whole_characters(&self.kept)]
        } else {
            &self.kept[..]
        };
        let mut text = String::from_utf8_lossy(whole).into_owned();
        // U+FFFD takes more room than the byte it stands for.
        let over = text.len() > self.limit;
        if over {
            text.truncate(text.floor_char_boundary(self.limit));
        }
        Text {
            shown: text,
            bytes: self.total,
            truncated: cut || over,
        }
    }
}

/// The length of `bytes` without a character at the end that is cut in two.
pub fn whole_characters(bytes: &[u8]) -> usize {
    // A character's first byte tells its length; at most three bytes follow it.
    let tail = bytes.len().saturating_sub(3);
    for start in (tail..bytes.len()).rev() {
        let length = match bytes[start] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => 1,
        };
        return if start + length > bytes.len() {
            start
        } else {
            bytes.len()
        };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, chunks: &[&[u8]]) -> Text {
        let mut capture = Capture::new(limit);
        for chunk in chunks {
            capture.add(chunk);
        }
        capture.text()
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let text = captured(4, &[b"ab", b"cd"]);
        assert_eq!(
            text,
            Text {
                shown: "abcd".into(),
                bytes: 4,
                truncated: false
            }
        );
    }

    #[test]
    fn a_cut_falls_between_characters() {
        for (limit, kept) in [(3, "世"), (4, "世"), (5, "世"), (6, "世界"), (7, "世界a")] {
            let text = captured(limit, &["世界ab".as_bytes()]);
            assert_eq!(
                (text.shown.as_str(), text.bytes, text.truncated),
                (kept, 8, true),
                "{limit}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay_within_the_limit() {
        let text = captured(4, &[&[0xFF; 4]]);
        assert_eq!(
            text,
            Text {
                shown: "\u{FFFD}".into(),
                bytes: 4,
                truncated: true
            }
        );
        assert_eq!(captured(9, &[&[b'a', 0xFF, b'b']]).shown, "a\u{FFFD}b");
    }
}
