//! A few texts of bounded length, in place: keeping them takes no allocation, and touches little memory.

/// Room for `ROOM` bytes of `N` texts, one behind the other.
#[derive(Clone, Copy)]
pub(super) struct Texts<const N: usize, const ROOM: usize> {
    count: usize,
    /// Where each of them ends.
    ends: [u16; N],
    bytes: [u8; ROOM],
}

impl<const N: usize, const ROOM: usize> Texts<N, ROOM> {
    /// None yet.
    pub(super) const fn new() -> Self {
        const { assert!(ROOM <= u16::MAX as usize) };
        Self {
            count: 0,
            ends: [0; N],
            bytes: [0; ROOM],
        }
    }

    /// Forgets all.
    pub(super) const fn clear(&mut self) {
        self.count = 0;
    }

    /// Puts one behind the others: as much of it as `most` bytes, and the room that is left, can hold.
    pub(super) fn push(&mut self, text: &str, most: usize) {
        let begin = self.begin(self.count);
        let text = &text[..text.floor_char_boundary(most.min(ROOM - begin))];
        let end = begin + text.len();
        if let Some(place) = self.ends.get_mut(self.count) {
            // No more than `ROOM`.
            *place = u16::try_from(end).unwrap_or(u16::MAX);
            self.bytes[begin..end].copy_from_slice(text.as_bytes());
            self.count += 1;
        }
    }

    /// The text with this number; empty when there is none.
    pub(super) fn get(&self, number: usize) -> &str {
        if number >= self.count {
            return "";
        }
        let bytes = &self.bytes[self.begin(number)..self.begin(number + 1)];
        str::from_utf8(bytes).unwrap_or_default()
    }

    /// The text with this number, unless it is empty.
    pub(super) fn some(&self, number: usize) -> Option<String> {
        let text = self.get(number);
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn begin(&self, number: usize) -> usize {
        number
            .checked_sub(1)
            .map_or(0, |before| self.ends[before].into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let mut texts = Texts::<4, 12>::new();
        texts.push("before", 12);
        texts.clear();
        texts.push("short", 8);
        texts.push("", 8);
        texts.push("\u{4e16}\u{754c}", 5);
        texts.push("\u{4e16}\u{754c}", 8);
        let all = [0, 1, 2, 3, 4].map(|number| texts.get(number));
        assert_eq!(all, ["short", "", "\u{4e16}", "\u{4e16}", ""]);
        assert_eq!(texts.some(1), None);
    }
}
