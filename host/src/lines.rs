//! Lines that many threads write at the same time, taken from all of them and put in order.
//!
//! Each line begins with its time, such as `2026-01-31T12:00:00.123456Z` or `{"time":"2026-01-31T12:00:00.123456Z"`:
//! what stands before the time, and its form, are the same in all lines.

use std::sync::{Mutex, PoisonError};

use sandbox_plugin_api::sharded::Sharded;

/// As much room as is kept in each piece: what a busy server writes while lines are gathered.
const KEPT: usize = 1024 * 1024;

/// Room for lines on their way out. It is kept from one time to the next: making it anew costs more than a line's text.
#[derive(Default)]
pub(crate) struct Gathered {
    /// What was taken of each shard.
    parts: Vec<Vec<u8>>,
    whole: Vec<u8>,
}

impl Gathered {
    /// Takes the lines that `text` finds in each shard, and puts them in the order of their times. Those of one shard
    /// stay in the order in which they came, which is that of their times but for microseconds.
    pub(crate) fn take<T>(
        &mut self,
        shards: &Sharded<Mutex<T>>,
        mut text: impl FnMut(&mut T) -> &mut Vec<u8>,
    ) -> &mut Vec<u8> {
        self.parts.resize_with(shards.len(), Vec::new);
        for (shard, part) in shards.iter().zip(&mut self.parts) {
            part.clear();
            part.shrink_to(KEPT);
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(text(&mut shard), part);
        }
        self.whole.clear();
        self.whole.shrink_to(KEPT);
        put_in_order(&self.parts, &mut self.whole);
        &mut self.whole
    }
}

/// Puts all lines behind `whole`, in the order of their times.
fn put_in_order(parts: &[Vec<u8>], whole: &mut Vec<u8>) {
    let parts = parts.iter().filter(|part| !part.is_empty());
    let mut rests: Vec<_> = parts.map(|part| Rest::of(part)).collect();
    while let Some(first) = (0..rests.len()).min_by_key(|rest| rests[*rest].time) {
        // Of the last that is left, all at once.
        let (lines, rest) = match &rests[..] {
            [last] => (last.lines, &[][..]),
            _ => rests[first].split(),
        };
        whole.extend_from_slice(lines);
        if rest.is_empty() {
            rests.remove(first);
        } else {
            rests[first] = Rest::of(rest);
        }
    }
}

/// The lines of a part that are not out yet.
struct Rest<'a> {
    lines: &'a [u8],
    /// What the first of them begins with, up to the end of its time.
    time: &'a [u8],
}

impl<'a> Rest<'a> {
    fn of(lines: &'a [u8]) -> Self {
        let time = memchr::memchr(b'Z', lines).unwrap_or(lines.len());
        Self {
            lines,
            time: &lines[..time],
        }
    }

    /// Its first line, and what is behind that.
    fn split(&self) -> (&'a [u8], &'a [u8]) {
        let end = memchr::memchr(b'\n', self.lines).map_or(self.lines.len(), |end| end + 1);
        self.lines.split_at(end)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn lines_of_all_threads_come_out_once_and_in_the_order_of_their_times() {
        let shards = Sharded::<Mutex<Vec<u8>>>::default();
        let line = |count: usize, thread: usize| {
            format!("{{\"time\":\"2026-01-31T12:00:00.{count:06}Z\",\"thread\":{thread}}}\n")
        };
        let mut gathered = Gathered::default();
        for _ in 0..2 {
            thread::scope(|scope| {
                for thread in 0..3 {
                    let shards = &shards;
                    scope.spawn(move || {
                        for count in 0..100 {
                            let mut mine = shards.mine().1.lock().unwrap();
                            mine.extend_from_slice(line(3 * count + thread, thread).as_bytes());
                        }
                    });
                }
            });
            let expected: String = (0..300).map(|count| line(count, count % 3)).collect();
            let whole = gathered.take(&shards, |lines| lines).clone();
            assert_eq!(String::from_utf8(whole).unwrap(), expected);
        }
        assert!(gathered.take(&shards, |lines| lines).is_empty());
    }
}
