//! Lines on their way to the writer: gathered per few threads, given out in the order of time.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Instant,
};

use sandbox_plugin_api::sharded::Sharded;
use serde::Serialize;

/// The lines that wait.
pub(super) struct Queue {
    shards: Sharded<Mutex<Lines>>,
    /// How many bytes a shard may hold.
    limit: usize,
    /// Set when there is something to do for the writer.
    rung: AtomicBool,
    writer: OnceLock<Thread>,
}

#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    /// When each line was put, and where it ends.
    ends: Vec<(Instant, usize)>,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        let shards = Sharded::default();
        Self {
            limit: shards.share(limit),
            shards,
            rung: AtomicBool::new(false),
            writer: OnceLock::new(),
        }
    }

    /// The thread that is to be woken.
    pub(super) fn wakes(&self, writer: Thread) {
        let _ = self.writer.set(writer);
        self.wake();
    }

    /// Puts a line in; `false` when there is no room for it.
    pub(super) fn put(&self, line: &impl Serialize) -> bool {
        let mut lines = self
            .shards
            .mine()
            .1
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = lines.text.len();
        if before >= self.limit {
            return false;
        }
        if serde_json::to_writer(&mut lines.text, line).is_err() {
            lines.text.truncate(before);
            return false;
        }
        lines.text.push(b'\n');
        let end = lines.text.len();
        // Taken under the lock, so that a shard's lines are in order.
        lines.ends.push((Instant::now(), end));
        drop(lines);
        if before == 0 {
            self.wake();
        }
        true
    }

    /// Everything that waits, in the order of time, and how many lines it is.
    pub(super) fn take(&self) -> (Vec<u8>, u64) {
        let taken: Vec<Lines> = self
            .shards
            .iter()
            .map(|shard| std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner)))
            .filter(|lines| !lines.ends.is_empty())
            .collect();
        if let [only] = &taken[..] {
            return (only.text.clone(), only.ends.len() as u64);
        }
        let mut all: Vec<_> = taken.iter().flat_map(Lines::each).collect();
        all.sort_by_key(|(at, _)| *at);
        let text = all
            .iter()
            .map(|(_, line)| *line)
            .collect::<Vec<_>>()
            .concat();
        (text, all.len() as u64)
    }

    pub(super) fn waiting(&self) -> usize {
        let size = |shard: &Mutex<Lines>| {
            shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .text
                .len()
        };
        self.shards.iter().map(size).sum()
    }

    /// Wakes the writer.
    pub(super) fn wake(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Waits until there is something to do. For the writer alone.
    pub(super) fn wait(&self) {
        while !self.rung.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }
}

impl Lines {
    fn each(&self) -> impl Iterator<Item = (Instant, &[u8])> {
        let mut begin = 0;
        self.ends.iter().map(move |(at, end)| {
            let line = &self.text[begin..*end];
            begin = *end;
            (*at, line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_all_threads_come_out_in_order_of_time() {
        let queue = Queue::new(1 << 20);
        for number in 0..40 {
            thread::scope(|scope| {
                scope.spawn(|| assert!(queue.put(&number)));
            });
        }
        let (text, lines) = queue.take();
        let expected: Vec<_> = (0..40).map(|number: i32| number.to_string()).collect();
        assert!(String::from_utf8(text).unwrap().lines().eq(expected));
        assert_eq!((lines, queue.waiting()), (40, 0));
    }

    #[test]
    fn a_full_queue_refuses_and_an_emptied_one_takes_again() {
        let queue = Queue::new(0);
        assert!(!queue.put(&"line"));
        let queue = Queue::new(1 << 16);
        while queue.put(&"a line of some length") {}
        assert!(queue.take().1 > 1000);
        assert!(queue.put(&"again"));
    }
}
