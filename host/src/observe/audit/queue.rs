//! Lines on their way to the writer: gathered per few threads, given out in the order of time.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
};

use sandbox_plugin_api::sharded::Sharded;

use crate::lines::Gathered;

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
    count: u64,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        let shards = Sharded::default();
        Self {
            limit: limit / shards.len(),
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
    pub(super) fn put(&self, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> bool {
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
        if write(&mut lines.text).is_err() {
            lines.text.truncate(before);
            return false;
        }
        lines.text.push(b'\n');
        lines.count += 1;
        drop(lines);
        if before == 0 {
            self.wake();
        }
        true
    }

    /// Takes everything that waits, in the order of time; says how many lines it is.
    pub(super) fn take<'a>(&self, gathered: &'a mut Gathered) -> (&'a [u8], u64) {
        let mut count = 0;
        let text = gathered.take(&self.shards, |lines| {
            count += std::mem::take(&mut lines.count);
            &mut lines.text
        });
        (text, count)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(text, "a line of some length")
    }

    #[test]
    fn what_was_put_is_taken_once() {
        let (queue, mut gathered) = (Queue::new(1 << 20), Gathered::default());
        for _ in 0..3 {
            assert!(queue.put(line));
        }
        assert_eq!(
            queue.take(&mut gathered),
            (&b"\"a line of some length\"\n"[..].repeat(3)[..], 3)
        );
        assert_eq!(
            (queue.take(&mut gathered), queue.waiting()),
            ((&b""[..], 0), 0)
        );
    }

    #[test]
    fn a_full_queue_refuses_and_an_emptied_one_takes_again() {
        let queue = Queue::new(0);
        assert!(!queue.put(line));
        let queue = Queue::new(1 << 20);
        while queue.put(line) {}
        assert!(queue.take(&mut Gathered::default()).1 > 1000);
        assert!(queue.put(line));
    }
}
