//! A limit to nesting, for JSON of which parts are carried or skipped without being parsed.
//!
//! Whoever skips over `params`, or over a field that nobody knows, keeps a stack of its own and takes any depth, but who
//! parses the text later recurses. So the limit is kept here, where the text comes in.

/// How deep arrays and objects may nest in a body; `serde_json` itself stops parsing there.
pub const MAX_DEPTH: usize = 128;

/// Whether text nests deeper than `limit`. Where it is no JSON any answer will do: it is refused anyway.
pub fn nests_deeper(json: &[u8], limit: usize) -> bool {
    // What opens must close, so shorter text cannot nest so deep; nor can text with few brackets, which are counted
    // many at a time. Most text is one or the other.
    json.len() > 2 * limit && brackets(json) > limit && deepest(json) > limit
}

/// How many brackets open, those in texts included.
fn brackets(json: &[u8]) -> usize {
    // The two differ in one bit.
    let opens = |byte: &&u8| **byte | 0x20 == b'{';
    json.iter().filter(opens).count()
}

fn deepest(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text) = (0_usize, 0, false);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_text => _ = bytes.next(),
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        let text = "[".repeat(depth) + &"]".repeat(depth);
        text.into_bytes()
    }

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        for limit in [8, MAX_DEPTH] {
            assert!(!nests_deeper(&nested(limit), limit));
            assert!(nests_deeper(&nested(limit + 1), limit));
            assert!(nests_deeper(&nested(100_000), limit));
        }
    }

    #[test]
    fn what_is_in_a_text_or_closed_again_does_not_count() {
        let text = format!(r#"["\"{}", "\\"]"#, "[".repeat(1000));
        assert!(!nests_deeper(text.as_bytes(), MAX_DEPTH));
        assert!(!nests_deeper("[[],{}]".repeat(1000).as_bytes(), MAX_DEPTH));
    }
}
