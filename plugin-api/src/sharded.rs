//! Values that exist once per few threads, so that threads do not meet at them: a counter that two threads write costs
//! each of them more than a hundred that are their own.

use std::{
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Shards for each thread that can run at the same time. Threads get theirs in turn, and there are others than the
/// ones that work: with one shard for each, two that work would often share.
const PER_THREAD: usize = 4;

/// More shards than this only cost memory: there are some per tool.
const MOST: usize = 64;

/// A cache line of its own (two, as processors fetch them in pairs). In an `Arc`, it keeps the counts apart too.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// One value per shard.
#[derive(Debug)]
pub struct Sharded<T>(Box<[Apart<T>]>);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self((0..count()).map(|_| Apart::default()).collect())
    }
}

impl<T> Sharded<T> {
    /// This thread's value, and its number.
    pub fn mine(&self) -> (usize, &T) {
        let index = index(&self.0);
        (index, &self.0[index].0)
    }

    /// The value with this number.
    ///
    /// # Panics
    ///
    /// When it is no number that [`mine`](Self::mine) gave.
    #[must_use]
    pub fn at(&self, index: usize) -> &T {
        &self.0[index].0
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|apart| &apart.0)
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }
}

/// A counted reference to what a [`Spread`] holds.
pub type Held<T> = Arc<Apart<Arc<T>>>;

/// One value that all threads hold for a moment again and again. Its holders are counted per few threads, as
/// a single count would be written by all of them.
#[derive(Debug)]
pub struct Spread<T>(Box<[Held<T>]>);

impl<T> Spread<T> {
    /// The value dies with this and with the last that holds it.
    pub fn new(value: T) -> Self {
        let value = Arc::new(value);
        let held = || Arc::new(Apart(Arc::clone(&value)));
        Self((0..count()).map(|_| held()).collect())
    }

    /// Holds it.
    #[must_use]
    pub fn hold(&self) -> Held<T> {
        Arc::clone(&self.0[index(&self.0)])
    }
}

/// How many shards there are: a power of two, so that no call has to divide by it.
fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (threads * PER_THREAD).next_power_of_two().min(MOST)
    })
}

/// Which of these shards is this thread's: threads take their numbers in the order in which they first ask.
fn index<T>(shards: &[T]) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static INDEX: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // A thread on its way out may have lost its own; any will do.
    INDEX.try_with(|index| *index).unwrap_or(0) & (shards.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_begin_one_after_the_other_do_not_meet() {
        let sharded = Sharded::<()>::default();
        let number = || thread::scope(|scope| scope.spawn(|| sharded.mine().0).join().unwrap());
        // Other tests' threads take numbers meanwhile.
        let apart = (0..20).filter(|_| number() != number()).count();
        assert!(apart > 10, "{apart} of 20");
    }

    #[test]
    fn what_is_spread_lives_as_long_as_it_is_held() {
        let value = Arc::new(());
        let spread = Spread::new(Arc::clone(&value));
        let held = spread.hold();
        let elsewhere = thread::scope(|scope| scope.spawn(|| spread.hold()).join().unwrap());
        drop(spread);
        drop(held);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(elsewhere);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
