//! Keys by the names that agents know: pyautogui's. Which code a keyboard has for a key is the provider's business.

mod table;

use table::{ALSO, NAMED};

/// The most near names that a message offers.
const NEAR: usize = 3;

/// A key that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    keysym: u32,
}

impl Key {
    /// The key with this name: one of pyautogui's, in any case, or a single character.
    ///
    /// # Errors
    /// A message with near names when there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        let mut characters = name.chars();
        if let (Some(only), None) = (characters.next(), characters.next()) {
            return Self::of(only).ok_or_else(|| format!("{name:?} is no key"));
        }
        let wanted: String = name
            .chars()
            .filter(|c| !matches!(c, '_' | '-' | ' '))
            .flat_map(char::to_lowercase)
            .collect();
        let find = |table: &[(&str, u32)]| {
            let at = table.binary_search_by(|(known, _)| (*known).cmp(&wanted));
            at.ok().map(|at| Self {
                keysym: table[at].1,
            })
        };
        find(&NAMED)
            .or_else(|| find(&ALSO))
            .ok_or_else(|| unknown(name, &wanted))
    }

    /// The key that gives this character, whether a keyboard has it or not; `None` for control characters apart
    /// from those that keys stand for.
    pub fn of(character: char) -> Option<Self> {
        let keysym = match character {
            '\n' | '\r' => 0xff0d,
            '\t' => 0xff09,
            '\u{8}' => 0xff08,
            '\u{1b}' => 0xff1b,
            '\u{7f}' => 0xffff,
            // Latin-1 has its own key symbols; all other characters are their number with a mark.
            ' '..='~' | '\u{a0}'..='\u{ff}' => u32::from(character),
            control if control.is_control() => return None,
            other => 0x0100_0000 | u32::from(other),
        };
        Some(Self { keysym })
    }

    /// Whether a symbol stands for a character.
    pub(crate) const fn is_character(keysym: u32) -> bool {
        matches!(keysym, 0x20..=0x7e | 0xa0..=0xff | 0x0100_0000..=0x0110_ffff)
    }

    /// The X key symbol: for characters of Latin-1 the character, for others its number with bit 24 set.
    pub const fn keysym(self) -> u32 {
        self.keysym
    }
}

/// The names of keys that have more than one character, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(name, _)| *name)
}

/// Whether a name leads to this symbol.
pub(crate) fn is_named(keysym: u32) -> bool {
    NAMED.iter().any(|(_, known)| *known == keysym)
}

fn unknown(name: &str, wanted: &str) -> String {
    let mut near: Vec<(f64, &str)> = names()
        .map(|known| (strsim::jaro_winkler(known, wanted), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<String> = near
        .iter()
        .take(NEAR)
        .map(|(_, known)| format!("`{known}`"))
        .collect();
    if near.is_empty() {
        let example = "names are pyautogui's, as `enter`, `pagedown`, `ctrl`, or one character";
        return format!("{name:?} is no key; {example}");
    }
    format!("{name:?} is no key; did you mean {}?", near.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_for_the_search() {
        assert!(NAMED.is_sorted_by(|a, b| a.0 < b.0));
        assert!(ALSO.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_slip_gets_near_names() {
        let message = Key::named("entr").unwrap_err();
        assert_eq!(
            message,
            "\"entr\" is no key; did you mean `enter`, `end`, `return`?"
        );
        assert!(Key::named("").is_err() && Key::named("\u{1}").is_err());
    }

    #[test]
    fn case_and_separators_do_not_matter_in_names() {
        assert_eq!(Key::named("Page_Down"), Key::named("pagedown"));
        assert_ne!(Key::named("A"), Key::named("a"), "they do in characters");
    }
}
