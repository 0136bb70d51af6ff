//! Reads a stream of events: the data of each, as it comes in.

/// A stream that is being read.
#[derive(Default)]
pub(super) struct Events {
    /// A line that is not complete.
    rest: Vec<u8>,
    data: String,
}

impl Events {
    /// Takes in some bytes; returns the data of the events that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            match line.strip_prefix("data:") {
                Some(data) => self.take(data.strip_prefix(' ').unwrap_or(data)),
                None if line.is_empty() && !self.data.is_empty() => {
                    complete.push(std::mem::take(&mut self.data));
                }
                None => {}
            }
        }
        complete
    }

    fn take(&mut self, data: &str) {
        if !self.data.is_empty() {
            self.data.push('\n');
        }
        self.data.push_str(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream =
            ": hello\n\nid: 1\ndata: one\n\ndata:two\r\ndata: more\r\n\r\ndata: never ends";
        for size in 1..stream.len() {
            let mut events = Events::default();
            let parts = stream.as_bytes().chunks(size);
            let read: Vec<_> = parts.flat_map(|part| events.feed(part)).collect();
            assert_eq!(read, ["one", "two\nmore"]);
        }
    }
}
