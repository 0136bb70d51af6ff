//! Text of bounded length, in place: keeping it takes no allocation.

/// At most `N` bytes of text; longer text loses its end.
#[derive(Clone, Copy)]
pub(super) struct Short<const N: usize> {
    length: u8,
    bytes: [u8; N],
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self {
            length: 0,
            bytes: [0; N],
        }
    }
}

impl<const N: usize> Short<N> {
    /// Holds this text from now on.
    pub(super) fn set(&mut self, text: &str) {
        const { assert!(N <= 255) };
        let text = &text[..text.floor_char_boundary(N)];
        self.length = u8::try_from(text.len()).unwrap_or(0);
        self.bytes[..text.len()].copy_from_slice(text.as_bytes());
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// The text, unless it is empty.
    pub(super) fn some(&self) -> Option<String> {
        (self.length > 0).then(|| self.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: &str) -> Short<8> {
        let mut short = Short::default();
        short.set("before");
        short.set(text);
        short
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(short("short").as_str(), "short");
        assert_eq!(
            short("\u{4e16}\u{754c}\u{4e16}").as_str(),
            "\u{4e16}\u{754c}"
        );
        assert_eq!(short("").some(), None);
    }
}
