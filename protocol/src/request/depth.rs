//! A limit to nesting, for JSON that is carried without being parsed.
//!
//! The scanner that skips over `params` keeps its own stack and takes any depth, but whoever parses
//! the text later recurses. So the limit is kept here, where the text comes in.

use serde_json::value::RawValue;

/// How deep arrays and objects may nest; `serde_json` itself stops parsing there.
pub const MAX_DEPTH: usize = 128;

/// Whether text that is known to be JSON nests deeper than [`MAX_DEPTH`].
pub(super) fn is_too_deep(json: &RawValue) -> bool {
    let json = json.get();
    // What opens must close: shorter text cannot nest so deep, and most text is shorter.
    json.len() > 2 * MAX_DEPTH && deepest(json.as_bytes()) > MAX_DEPTH
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

    fn nested(depth: usize) -> Box<RawValue> {
        RawValue::from_string("[".repeat(depth) + &"]".repeat(depth)).unwrap()
    }

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        assert!(!is_too_deep(&nested(MAX_DEPTH)));
        assert!(is_too_deep(&nested(MAX_DEPTH + 1)));
    }

    #[test]
    fn brackets_inside_text_do_not_count() {
        let text = format!(r#"["\"{}", "\\"]"#, "[".repeat(1000));
        assert!(!is_too_deep(&RawValue::from_string(text).unwrap()));
    }
}
