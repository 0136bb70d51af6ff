//! Values that exist once per few threads, so that threads do not meet at them.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// More shards than this only cost memory: they are per tool.
const MOST: usize = 16;

/// A cache line of its own (two, as processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// One value per shard.
#[derive(Debug)]
pub(crate) struct Sharded<T>(Box<[Apart<T>]>);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self((0..count()).map(|_| Apart::default()).collect())
    }
}

impl<T> Sharded<T> {
    /// This thread's value, and its number.
    pub(crate) fn mine(&self) -> (usize, &T) {
        let index = index() % self.0.len();
        (index, &self.0[index].0)
    }

    /// The value with this number.
    pub(crate) fn at(&self, index: usize) -> &T {
        &self.0[index % self.0.len()].0
    }

    /// All values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|apart| &apart.0)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// As many shards as threads can run at the same time.
fn count() -> usize {
    static COUNT: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *COUNT.get_or_init(|| {
        thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MOST)
    })
}

/// This thread's number: threads get theirs in the order in which they first ask.
fn index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static INDEX: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // A thread on its way out may have lost its own; any will do.
    INDEX.try_with(|index| *index).unwrap_or(0)
}
