//! The names of keys, as `browser:press` takes them and as pages see them.
#![expect(
    clippy::struct_field_names,
    reason = "pages know these by the same names"
)]

use crate::failure::{Fault, Outcome};

/// A key with those that are held while it is pressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chord {
    /// Alt 1, Control 2, Meta 4, Shift 8.
    pub(super) modifiers: i64,
    pub(super) key: Key,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// What pages read as `event.key`.
    pub(super) key: String,
    /// What they read as `event.code`.
    pub(super) code: String,
    /// The Windows virtual key code, which is what Chromium thinks in.
    pub(super) number: i64,
    /// What it writes.
    pub(super) text: Option<String>,
}

/// Names, codes and numbers of the keys that write nothing, or not their name.
const NAMED: &[(&str, &str, i64)] = &[
    ("Backspace", "Backspace", 8),
    ("Tab", "Tab", 9),
    ("Enter", "Enter", 13),
    ("Shift", "ShiftLeft", 16),
    ("Control", "ControlLeft", 17),
    ("Alt", "AltLeft", 18),
    ("Pause", "Pause", 19),
    ("CapsLock", "CapsLock", 20),
    ("Escape", "Escape", 27),
    ("Space", "Space", 32),
    ("PageUp", "PageUp", 33),
    ("PageDown", "PageDown", 34),
    ("End", "End", 35),
    ("Home", "Home", 36),
    ("ArrowLeft", "ArrowLeft", 37),
    ("ArrowUp", "ArrowUp", 38),
    ("ArrowRight", "ArrowRight", 39),
    ("ArrowDown", "ArrowDown", 40),
    ("PrintScreen", "PrintScreen", 44),
    ("Insert", "Insert", 45),
    ("Delete", "Delete", 46),
    ("Meta", "MetaLeft", 91),
    ("ContextMenu", "ContextMenu", 93),
    ("NumLock", "NumLock", 144),
    ("ScrollLock", "ScrollLock", 145),
];

/// Other names for them, which people and other tools use.
const ALSO: &[(&str, &str)] = &[
    ("return", "Enter"),
    ("esc", "Escape"),
    ("del", "Delete"),
    ("ctrl", "Control"),
    ("cmd", "Meta"),
    ("command", "Meta"),
    ("super", "Meta"),
    ("win", "Meta"),
    ("option", "Alt"),
    ("left", "ArrowLeft"),
    ("up", "ArrowUp"),
    ("right", "ArrowRight"),
    ("down", "ArrowDown"),
    ("pgup", "PageUp"),
    ("pgdn", "PageDown"),
    ("spacebar", "Space"),
];

/// The keys of a US keyboard that write signs: plain, with shift, code, number.
const SIGNS: &[(char, char, &str, i64)] = &[
    ('1', '!', "Digit1", 49),
    ('2', '@', "Digit2", 50),
    ('3', '#', "Digit3", 51),
    ('4', '$', "Digit4", 52),
    ('5', '%', "Digit5", 53),
    ('6', '^', "Digit6", 54),
    ('7', '&', "Digit7", 55),
    ('8', '*', "Digit8", 56),
    ('9', '(', "Digit9", 57),
    ('0', ')', "Digit0", 48),
    ('`', '~', "Backquote", 192),
    ('-', '_', "Minus", 189),
    ('=', '+', "Equal", 187),
    ('[', '{', "BracketLeft", 219),
    (']', '}', "BracketRight", 221),
    ('\\', '|', "Backslash", 220),
    (';', ':', "Semicolon", 186),
    ('\'', '"', "Quote", 222),
    (',', '<', "Comma", 188),
    ('.', '>', "Period", 190),
    ('/', '?', "Slash", 191),
];

const SHIFT: i64 = 8;

/// Reads `Enter`, `a`, `Control+Shift+T`.
pub(super) fn chord(text: &str) -> Outcome<Chord> {
    // The sign + stands for itself at the end.
    let (held, last) = match text.strip_suffix('+') {
        Some("") => ("", "+"),
        Some(rest) if rest.ends_with('+') => (&rest[..rest.len() - 1], "+"),
        _ => text.rsplit_once('+').unwrap_or(("", text)),
    };
    let mut modifiers = 0;
    for name in held.split('+').filter(|name| !name.is_empty()) {
        modifiers |= match canonical(name) {
            Some("Alt") => 1,
            Some("Control") => 2,
            Some("Meta") => 4,
            Some("Shift") => SHIFT,
            _ => {
                let message = format!(
                    "expected Alt, Control, Meta or Shift before the last +, found {name:?}"
                );
                return Err(Fault::param("/key", message));
            }
        };
    }
    let mut key = named(last)
        .or_else(|| written(last, modifiers & SHIFT != 0))
        .ok_or_else(|| unknown(last))?;
    // With these held, a key is a command and writes nothing.
    if modifiers & !SHIFT != 0 {
        key.text = None;
    }
    Ok(Chord { modifiers, key })
}

/// The key that writes a character, if a US keyboard has one.
pub(super) fn writing(character: char) -> Option<Chord> {
    let key = match character {
        '\n' | '\r' => named("Enter")?,
        '\t' => named("Tab")?,
        _ => written(character.encode_utf8(&mut [0; 4]), false)?,
    };
    let shifted = character.is_ascii_uppercase() || SIGNS.iter().any(|sign| sign.1 == character);
    Some(Chord {
        modifiers: if shifted { SHIFT } else { 0 },
        key,
    })
}

fn canonical(name: &str) -> Option<&'static str> {
    let known = NAMED
        .iter()
        .map(|key| key.0)
        .find(|known| known.eq_ignore_ascii_case(name));
    known.or_else(|| {
        ALSO.iter()
            .find(|also| also.0.eq_ignore_ascii_case(name))
            .map(|also| also.1)
    })
}

fn named(name: &str) -> Option<Key> {
    if let Some(number) = name
        .strip_prefix(['F', 'f'])
        .and_then(|number| number.parse::<i64>().ok())
    {
        let name = format!("F{number}");
        return (1..=24).contains(&number).then(|| Key {
            key: name.clone(),
            code: name,
            number: 111 + number,
            text: None,
        });
    }
    let name = canonical(name)?;
    let (_, code, number) = NAMED.iter().find(|key| key.0 == name)?;
    let (key, text) = match name {
        "Space" => (" ", Some(" ")),
        "Enter" => (name, Some("\r")),
        _ => (name, None),
    };
    Some(Key {
        key: key.to_owned(),
        code: (*code).to_owned(),
        number: *number,
        text: text.map(str::to_owned),
    })
}

fn written(text: &str, shift: bool) -> Option<Key> {
    let mut characters = text.chars();
    let (Some(character), None) = (characters.next(), characters.next()) else {
        return None;
    };
    let of = |character: char, code: String, number: i64| Key {
        key: character.to_string(),
        code,
        number,
        text: Some(character.to_string()),
    };
    if character.is_ascii_alphabetic() {
        let upper = character.to_ascii_uppercase();
        let shown = if shift { upper } else { character };
        return Some(of(
            shown,
            format!("Key{upper}"),
            i64::from(u32::from(upper)),
        ));
    }
    if character == ' ' {
        return named("Space");
    }
    let (plain, shifted, code, number) = SIGNS
        .iter()
        .find(|sign| sign.0 == character || sign.1 == character)?;
    let shown = if shift && *plain == character {
        *shifted
    } else {
        character
    };
    Some(of(shown, (*code).to_owned(), *number))
}

fn unknown(name: &str) -> Fault {
    let near = NAMED
        .iter()
        .map(|key| {
            (
                key.0,
                strsim::jaro_winkler(&key.0.to_lowercase(), &name.to_lowercase()),
            )
        })
        .filter(|near| near.1 > 0.7)
        .max_by(|a, b| a.1.total_cmp(&b.1));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean {}?", near.0));
    let message = format!("there is no key {name:?}{hint} Text is for browser:type");
    Fault::param("/key", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_pages_expect() {
        let key = |text: &str| {
            let Chord { modifiers, key } = chord(text).unwrap();
            (modifiers, key.key, key.code, key.number, key.text)
        };
        let is = |m: i64, k: &str, c: &str, n: i64, t: Option<&str>| {
            (m, k.to_owned(), c.to_owned(), n, t.map(str::to_owned))
        };
        assert_eq!(key("Enter"), is(0, "Enter", "Enter", 13, Some("\r")));
        assert_eq!(key("esc"), is(0, "Escape", "Escape", 27, None));
        assert_eq!(key("a"), is(0, "a", "KeyA", 65, Some("a")));
        assert_eq!(key("Shift+a"), is(8, "A", "KeyA", 65, Some("A")));
        assert_eq!(key("Control+A"), is(2, "A", "KeyA", 65, None));
        assert_eq!(
            key("ctrl+shift+ArrowLeft"),
            is(10, "ArrowLeft", "ArrowLeft", 37, None)
        );
        assert_eq!(key("F5"), is(0, "F5", "F5", 116, None));
        assert_eq!(key("+"), is(0, "+", "Equal", 187, Some("+")));
        assert_eq!(key("Control++"), is(2, "+", "Equal", 187, None));
        assert_eq!(key("Space"), is(0, " ", "Space", 32, Some(" ")));
    }

    #[test]
    fn unknown_keys_name_a_near_one() {
        for (text, word) in [
            ("Entr", "Enter"),
            ("ArowDown", "ArrowDown"),
            ("F99", "F99"),
            ("Hyper+a", "Control"),
            ("", "key"),
        ] {
            let message = chord(text).unwrap_err().to_string();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
