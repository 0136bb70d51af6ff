//! Which key of a PC's keyboard, with US caps, gives a key symbol. Codes are QEMU's names (`QKeyCode`).
//!
//! Only keys that QEMU's PS/2 keyboard sends something for stand here: the others (F16 to F24, help, hangul …) it drops
//! without a word, and a caller must not be told that they were pressed.

/// The left shift key.
pub(super) const SHIFT: &str = "shift";
/// The right one.
pub(super) const SHIFT_RIGHT: &str = "shift_r";

/// What to press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stroke {
    pub(super) code: &'static str,
    pub(super) shift: bool,
}

impl Stroke {
    const fn plain(code: &'static str) -> Self {
        Self { code, shift: false }
    }
}

/// What gives this key symbol.
pub(super) fn stroke(symbol: u32) -> Option<Stroke> {
    match symbol {
        0xffb0..=0xffb9 => Some(Stroke::plain(KEYPAD[(symbol - 0xffb0) as usize])),
        0xffbe..=0xffcc => Some(Stroke::plain(FUNCTION[(symbol - 0xffbe) as usize])),
        _ => SPECIAL
            .iter()
            .find(|(known, _)| *known == symbol)
            .map(|(_, code)| Stroke::plain(code))
            .or_else(|| printed(character(symbol)?)),
    }
}

/// What gives this character.
pub(super) fn stroke_of(character: char) -> Option<Stroke> {
    match character {
        '\n' | '\r' => Some(Stroke::plain("ret")),
        '\t' => Some(Stroke::plain("tab")),
        '\u{8}' => Some(Stroke::plain("backspace")),
        '\u{1b}' => Some(Stroke::plain("esc")),
        '\u{7f}' => Some(Stroke::plain("delete")),
        _ => printed(character),
    }
}

/// The character that a key symbol stands for, if it does.
pub(super) fn character(symbol: u32) -> Option<char> {
    match symbol {
        0x20..=0x7e | 0xa0..=0xff => char::from_u32(symbol),
        0x0100_0000..=0x0110_ffff => char::from_u32(symbol & 0x00ff_ffff),
        _ => None,
    }
}

fn printed(character: char) -> Option<Stroke> {
    let lower = character.to_ascii_lowercase();
    let found = |(code, plain, shifted): &(&'static str, char, char)| {
        let shift = *plain != character;
        (!shift || *shifted == character).then_some(Stroke { code, shift })
    };
    if lower.is_ascii_lowercase() {
        let at = usize::try_from(u32::from(lower) - u32::from('a')).ok()?;
        return Some(Stroke {
            code: LETTERS.get(at)?,
            shift: lower != character,
        });
    }
    CAPS.iter().find_map(found)
}

const LETTERS: [&str; 26] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s",
    "t", "u", "v", "w", "x", "y", "z",
];

/// What else is printed on the caps of a US keyboard: without and with shift.
const CAPS: [(&str, char, char); 22] = [
    ("spc", ' ', ' '),
    ("1", '1', '!'),
    ("2", '2', '@'),
    ("3", '3', '#'),
    ("4", '4', '$'),
    ("5", '5', '%'),
    ("6", '6', '^'),
    ("7", '7', '&'),
    ("8", '8', '*'),
    ("9", '9', '('),
    ("0", '0', ')'),
    ("minus", '-', '_'),
    ("equal", '=', '+'),
    ("bracket_left", '[', '{'),
    ("bracket_right", ']', '}'),
    ("semicolon", ';', ':'),
    ("apostrophe", '\'', '"'),
    ("grave_accent", '`', '~'),
    ("backslash", '\\', '|'),
    ("comma", ',', '<'),
    ("dot", '.', '>'),
    ("slash", '/', '?'),
];

const KEYPAD: [&str; 10] = [
    "kp_0", "kp_1", "kp_2", "kp_3", "kp_4", "kp_5", "kp_6", "kp_7", "kp_8", "kp_9",
];

const FUNCTION: [&str; 15] = [
    "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "f13", "f14", "f15",
];

/// Keys that print nothing (`X11/keysymdef.h`, `X11/XF86keysym.h`).
const SPECIAL: [(u32, &str); 66] = [
    (0xff08, "backspace"),
    (0xff09, "tab"),
    (0xff0d, "ret"),
    (0xff13, "pause"),
    (0xff14, "scroll_lock"),
    (0xff1b, "esc"),
    (0xff21, "katakanahiragana"),
    (0xff22, "muhenkan"),
    (0xff23, "henkan"),
    (0xff27, "katakanahiragana"),
    (0xff2d, "hiragana"),
    (0xff50, "home"),
    (0xff51, "left"),
    (0xff52, "up"),
    (0xff53, "right"),
    (0xff54, "down"),
    (0xff55, "pgup"),
    (0xff56, "pgdn"),
    (0xff57, "end"),
    (0xff61, "print"),
    (0xff63, "insert"),
    (0xff67, "compose"),
    (0xff7f, "num_lock"),
    (0xff8d, "kp_enter"),
    (0xffaa, "kp_multiply"),
    (0xffab, "kp_add"),
    (0xffac, "kp_comma"),
    (0xffad, "kp_subtract"),
    (0xffae, "kp_decimal"),
    (0xffaf, "kp_divide"),
    (0xffbd, "kp_equals"),
    (0xffe1, SHIFT),
    (0xffe2, SHIFT_RIGHT),
    (0xffe3, "ctrl"),
    (0xffe4, "ctrl_r"),
    (0xffe5, "caps_lock"),
    (0xffe7, "meta_l"),
    (0xffe8, "meta_r"),
    (0xffe9, "alt"),
    (0xffea, "alt_r"),
    (0xffeb, "meta_l"),
    (0xffec, "meta_r"),
    (0xffff, "delete"),
    (0xfe03, "alt_r"),
    (0x00a5, "yen"),
    (0x1008_ff11, "volumedown"),
    (0x1008_ff12, "audiomute"),
    (0x1008_ff13, "volumeup"),
    (0x1008_ff14, "audioplay"),
    (0x1008_ff15, "audiostop"),
    (0x1008_ff16, "audioprev"),
    (0x1008_ff17, "audionext"),
    (0x1008_ff18, "ac_home"),
    (0x1008_ff19, "mail"),
    (0x1008_ff1d, "calculator"),
    (0x1008_ff26, "ac_back"),
    (0x1008_ff27, "ac_forward"),
    (0x1008_ff28, "stop"),
    (0x1008_ff29, "ac_refresh"),
    (0x1008_ff2a, "power"),
    (0x1008_ff2b, "wake"),
    (0x1008_ff2f, "sleep"),
    (0x1008_ff30, "ac_bookmarks"),
    (0x1008_ff32, "mediaselect"),
    (0x1008_ff33, "computer"),
    (0x1008_ff41, "calculator"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_ascii_character_has_a_key() {
        for character in ' '..='~' {
            let stroke = stroke_of(character).unwrap_or_else(|| panic!("{character:?}"));
            assert_eq!(super::stroke(u32::from(character)), Some(stroke));
        }
        let tilde = Stroke {
            code: "grave_accent",
            shift: true,
        };
        assert_eq!(stroke_of('~'), Some(tilde));
        assert_eq!(stroke_of(' ').map(|stroke| stroke.shift), Some(false));
    }

    #[test]
    fn characters_of_other_keyboards_have_none() {
        for character in ['é', 'ß', '世', '€', '\u{1}'] {
            assert_eq!(stroke_of(character), None, "{character:?}");
        }
    }

    #[test]
    fn no_symbol_stands_twice() {
        for (at, (symbol, _)) in SPECIAL.iter().enumerate() {
            assert!(SPECIAL[..at].iter().all(|(other, _)| other != symbol));
        }
    }
}
