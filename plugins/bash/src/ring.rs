//! The end of a long output, under the numbers that its bytes have in the whole of it.

use std::collections::VecDeque;

/// Keeps the last bytes of a stream, up to a capacity.
#[derive(Debug)]
pub(crate) struct Ring {
    kept: VecDeque<u8>,
    capacity: usize,
    /// The number of the first byte kept; the stream's first byte is number 0.
    start: u64,
}

/// A part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// The number of the first of them.
    pub(crate) start: u64,
}

impl Ring {
    /// Keeps the last `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            capacity,
            start: 0,
        }
    }

    /// Adds what was read.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let fitting = &bytes[bytes.len().saturating_sub(self.capacity)..];
        let over = (self.kept.len() + fitting.len()).saturating_sub(self.capacity);
        self.kept.drain(..over);
        self.kept.extend(fitting);
        self.start += (over + bytes.len() - fitting.len()) as u64;
    }

    /// The number of the byte that will come next.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.kept.len() as u64
    }

    /// At most `limit` bytes from number `from` on, or from the first that is still kept.
    pub(crate) fn read(&self, from: u64, limit: usize) -> Part {
        let start = from.clamp(self.start, self.end());
        // The difference is at most the length of what is kept.
        let skipped = usize::try_from(start - self.start).unwrap_or(usize::MAX);
        let bytes = self
            .kept
            .iter()
            .skip(skipped)
            .take(limit)
            .copied()
            .collect();
        Part { bytes, start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_when_bytes_go() {
        let mut ring = Ring::new(4);
        ring.add(b"abc");
        assert_eq!(
            ring.read(1, 9),
            Part {
                bytes: b"bc".to_vec(),
                start: 1
            }
        );
        ring.add(b"defghi");
        assert_eq!(
            (ring.end(), ring.read(0, 9)),
            (
                9,
                Part {
                    bytes: b"fghi".to_vec(),
                    start: 5
                }
            )
        );
        ring.add(b"j");
        assert_eq!(
            ring.read(7, 2),
            Part {
                bytes: b"hi".to_vec(),
                start: 7
            }
        );
        assert_eq!(
            ring.read(99, 2),
            Part {
                bytes: vec![],
                start: 10
            }
        );
    }
}
