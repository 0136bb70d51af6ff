//! One output of a command: kept for its answer, and told to whoever listens while it comes.

use sandbox_isolation::{Capture, Text, whole_characters};
use tokio::sync::mpsc::UnboundedSender;

/// Hears what a command prints. What waits for it is bounded: nobody is told more than an answer holds.
pub(crate) type Listener = UnboundedSender<String>;

/// What was printed so far.
#[derive(Debug)]
pub(super) struct Printed {
    kept: Capture,
    live: Option<Live>,
}

#[derive(Debug)]
struct Live {
    listener: Listener,
    /// How many bytes may still be told.
    room: usize,
    /// The beginning of a character whose end has not come.
    begun: Vec<u8>,
}

impl Printed {
    pub(super) fn new(listener: Option<Listener>, limit: usize) -> Self {
        Self {
            kept: Capture::new(limit),
            live: listener.map(|listener| Live {
                listener,
                room: limit,
                begun: Vec::new(),
            }),
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.kept.add(bytes);
        if let Some(live) = &mut self.live {
            live.tell(bytes);
        }
    }

    pub(super) fn text(&self) -> Text {
        self.kept.text()
    }
}

impl Live {
    fn tell(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(self.room)];
        self.room -= bytes.len();
        self.begun.extend_from_slice(bytes);
        let rest = self.begun.split_off(whole_characters(&self.begun));
        let whole = std::mem::replace(&mut self.begun, rest);
        if !whole.is_empty() {
            // A caller that has gone listens no more; that stops the command elsewhere.
            let _ = self
                .listener
                .send(String::from_utf8_lossy(&whole).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_hears_whole_characters_and_no_more_than_is_kept() {
        let (listener, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let mut printed = Printed::new(Some(listener), 8);
        let world = "\u{4e16}\u{754c}".as_bytes();
        for part in [&world[..2], &world[2..4], &world[4..], b"abcdef"] {
            printed.add(part);
        }
        let told: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
        assert_eq!(told, ["\u{4e16}", "\u{754c}", "ab"]);
        assert_eq!(printed.text().shown, "\u{4e16}\u{754c}ab");
    }
}
