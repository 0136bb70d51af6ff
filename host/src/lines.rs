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
    let parts = parts.iter().map(Vec::as_slice);
    let mut rests: Vec<_> = parts.filter(|lines| !lines.is_empty()).collect();
    // The time ends at the same place in all lines.
    let first = rests.first().copied().unwrap_or_default();
    let length = memchr::memchr(b'Z', first).unwrap_or(0);
    while rests.len() > 1
        && let Some(next) = (0..rests.len()).min_by_key(|rest| rests[*rest].get(..length))
    {
        let lines = rests[next];
        let end = memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1);
        let (line, rest) = lines.split_at(end);
        whole.extend_from_slice(line);
        if rest.is_empty() {
            rests.remove(next);
        } else {
            rests[next] = rest;
        }
    }
    // What is left is of one shard, and in order.
    for rest in rests {
        whole.extend_from_slice(rest);
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
                            // Not `mine()`: of threads that share one, the lines of one are not in order.
                            let mut lines = shards.at(thread).lock().unwrap();
                            lines.extend_from_slice(line(3 * count + thread, thread).as_bytes());
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
