//! The counters of tools and backends. Writing takes a few unshared additions; reading adds the shards up.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sandbox_plugin_api::sharded::Sharded;

use super::record::Why;

/// The upper bounds of a call's time, in microseconds: from what HTTP itself costs to what an agent waits for.
pub const BOUNDS_US: [u64; 18] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    60_000_000,
    300_000_000,
];

/// The codes that are counted apart. Any other is a tool's own, and counts as `other`.
pub const CODES: [i32; 17] = [
    0, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 2001, 2002, 2003, 2004, 2005, 2006, 5000, 5001,
    5002,
];

/// After the known codes: a tool's own code, and no code because the caller went away.
const OTHER: usize = CODES.len();
const ABANDONED: usize = CODES.len() + 1;

/// The counters of one tool.
#[derive(Debug, Default)]
pub struct ToolNumbers(Sharded<Cells>);

#[derive(Debug, Default)]
struct Cells {
    started: AtomicU64,
    micros: AtomicU64,
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    codes: [AtomicU64; CODES.len() + 2],
}

/// What the counters of a tool say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCounts {
    /// Calls that began.
    pub started: u64,
    /// Calls that ended.
    pub ended: u64,
    /// How long they took together, in microseconds.
    pub micros: u64,
    /// How many took up to each of [`BOUNDS_US`], and longer; not cumulated.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// How many ended with each of [`CODES`], with another, and without any; see [`label`].
    pub codes: [u64; CODES.len() + 2],
}

impl ToolCounts {
    /// Calls that run.
    pub const fn running(&self) -> u64 {
        self.started.saturating_sub(self.ended)
    }

    /// Each code's label and count.
    pub fn by_code(&self) -> impl Iterator<Item = (String, u64)> {
        (0..).map(label).zip(self.codes)
    }
}

/// The label of the code with this index.
fn label(index: usize) -> String {
    match CODES.get(index) {
        Some(code) => code.to_string(),
        None if index == OTHER => "other".to_owned(),
        None => "abandoned".to_owned(),
    }
}

impl ToolNumbers {
    /// A call begins.
    pub fn started(&self) {
        add(&self.0.mine().1.started, 1);
    }

    /// A call has ended, with this code if there was an answer.
    pub fn ended(&self, code: Option<i32>, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let code = match code {
            None => ABANDONED,
            Some(0) => 0,
            Some(code) => CODES.binary_search(&code).unwrap_or(OTHER),
        };
        let cells = self.0.mine().1;
        add(&cells.micros, micros);
        add(
            &cells.buckets[BOUNDS_US.partition_point(|bound| *bound < micros)],
            1,
        );
        add(&cells.codes[code], 1);
    }

    /// What was counted so far.
    pub fn read(&self) -> ToolCounts {
        let mut counts = ToolCounts::default();
        for cells in self.0.iter() {
            // Ends are read before starts, so that a call between the two is not one below zero.
            for (sum, cell) in counts.codes.iter_mut().zip(&cells.codes) {
                *sum += get(cell);
            }
            for (sum, cell) in counts.buckets.iter_mut().zip(&cells.buckets) {
                *sum += get(cell);
            }
            counts.micros += get(&cells.micros);
        }
        counts.started = self.0.iter().map(|cells| get(&cells.started)).sum();
        counts.ended = counts.codes.iter().sum();
        counts
    }
}

/// The counters of one backend. None of them is touched by a call that finds everything ready.
#[derive(Debug, Default)]
pub struct BackendNumbers {
    /// Sessions that were made.
    pub opened: AtomicU64,
    /// How long making them took, in microseconds.
    pub opening_micros: AtomicU64,
    /// Sessions that could not be made.
    pub failed: AtomicU64,
    /// Sessions that ended, by [`Why`].
    pub closed: [AtomicU64; Why::ALL.len()],
    /// Warm-ups that succeeded.
    pub warmups: AtomicU64,
    /// Warm-ups that failed.
    pub failed_warmups: AtomicU64,
    /// How long warm-ups took, in microseconds.
    pub warmup_micros: AtomicU64,
    /// Panics of the plugin.
    pub panics: AtomicU64,
}

impl BackendNumbers {
    pub(super) fn session_opened(&self, took: Duration) {
        add(&self.opened, 1);
        add(&self.opening_micros, micros(took));
    }

    pub(super) fn session_failed(&self) {
        add(&self.failed, 1);
    }

    pub(super) fn session_closed(&self, why: Why) {
        add(&self.closed[why as usize], 1);
    }

    pub(super) fn warmed_up(&self, took: Duration, succeeded: bool) {
        let counter = if succeeded {
            &self.warmups
        } else {
            &self.failed_warmups
        };
        add(counter, 1);
        add(&self.warmup_micros, micros(took));
    }

    pub(super) fn panicked(&self) {
        add(&self.panics, 1);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// What a counter stands at.
pub fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_code_and_time_whichever_thread_they_end_on() {
        let numbers = ToolNumbers::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for code in [Some(0), Some(2002), Some(4321), None] {
                        numbers.started();
                        numbers.ended(code, Duration::from_micros(250));
                    }
                    numbers.started();
                });
            }
        });
        let counts = numbers.read();
        assert_eq!(
            (counts.started, counts.ended, counts.running()),
            (40, 32, 8)
        );
        assert_eq!(counts.buckets[1], 32, "a bound belongs to its bucket");
        assert_eq!(counts.micros, 32 * 250);
        let by_code: Vec<_> = counts.by_code().filter(|(_, count)| *count > 0).collect();
        let expected = ["0", "2002", "other", "abandoned"].map(|label| (label.to_owned(), 8));
        assert_eq!(by_code, expected);
    }

    #[test]
    fn the_codes_are_sorted_as_the_search_needs_it() {
        assert!(CODES.is_sorted() && BOUNDS_US.is_sorted());
        assert!(
            Why::ALL
                .iter()
                .zip(0..)
                .all(|(why, index)| *why as usize == index)
        );
    }
}
