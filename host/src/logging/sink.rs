//! Where the log's lines go on their way to stderr: gathered for a moment, then written together.
//!
//! There is a line per call, and a write per line would be the dearest part of a cheap call, with all
//! threads waiting for one another before it. `tracing-appender` hands each line over a channel and
//! writes it by itself, which costs as much; here a line is a copy into a buffer of its thread's, and
//! the buffers are put in order when they are written. Warnings and errors take everything before them
//! along at once, so that a process which dies has said why.

use std::{
    io::{self, Write},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::Duration,
};

use sandbox_plugin_api::sharded::Sharded;

use crate::lines::Gathered;

/// How long lines are gathered: not to be noticed by who reads along, and hundreds of lines under load.
const GATHER: Duration = Duration::from_millis(5);

/// As much as waits for a reader that is too slow, all shards together. What comes then is dropped and counted: a log
/// that nobody reads must not stop the server.
const MOST: usize = 16 * 1024 * 1024;

/// The lines of this process.
static SINK: LazyLock<Sink> = LazyLock::new(Sink::default);

#[derive(Default)]
struct Sink {
    waiting: Sharded<Mutex<Waiting>>,
    /// Whether any lines wait.
    some: Mutex<bool>,
    arrived: Condvar,
    /// Held while writing, so that lines stay in order.
    output: Mutex<Gathered>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
}

/// Takes a line; one that is urgent is written at once, with all before it.
pub(super) fn take(line: &[u8], urgent: bool) {
    SINK.push(line);
    if urgent {
        SINK.flush_unless_busy(&mut io::stderr());
    }
}

/// Starts the thread that writes what was gathered.
pub(super) fn start() -> io::Result<()> {
    let gather = || {
        loop {
            SINK.wait();
            thread::sleep(GATHER);
            SINK.flush(&mut io::stderr());
        }
    };
    thread::Builder::new()
        .name("sandbox-log".to_owned())
        .spawn(gather)
        .map(drop)
}

/// Writes what is waiting.
pub fn flush() {
    SINK.flush(&mut io::stderr());
}

impl Sink {
    fn push(&self, line: &[u8]) {
        let mut waiting = lock(self.waiting.mine().1);
        let first = waiting.lines.is_empty();
        if waiting.lines.len() + line.len() > MOST / self.waiting.len() {
            waiting.dropped += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if first {
            *lock(&self.some) = true;
            self.arrived.notify_one();
        }
    }

    fn wait(&self) {
        let some = lock(&self.some);
        let there = self.arrived.wait_while(some, |some| !*some);
        *there.unwrap_or_else(PoisonError::into_inner) = false;
    }

    fn flush(&self, output: &mut impl Write) {
        self.write_out(&mut lock(&self.output), output);
    }

    /// Leaves it to whoever is writing already: an output that takes nothing holds up one thread, not all.
    fn flush_unless_busy(&self, output: &mut impl Write) {
        match self.output.try_lock() {
            Ok(mut gathered) => self.write_out(&mut gathered, output),
            Err(TryLockError::Poisoned(mut gathered)) => {
                self.write_out(gathered.get_mut(), output);
            }
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Nothing can be said about an output that takes nothing.
    fn write_out(&self, gathered: &mut Gathered, output: &mut impl Write) {
        let mut dropped = 0;
        let lines = gathered.take(&self.waiting, |waiting| {
            dropped += std::mem::take(&mut waiting.dropped);
            &mut waiting.lines
        });
        if dropped > 0 {
            let _ = writeln!(
                lines,
                "{dropped} lines of the log were dropped: its reader is too slow"
            );
        }
        let _ = output.write_all(lines);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_once_and_in_order() {
        let (sink, mut output) = (Sink::default(), Vec::new());
        sink.push(b"one\n");
        sink.push(b"two\n");
        sink.flush(&mut output);
        sink.push(b"three\n");
        sink.flush(&mut output);
        sink.flush(&mut output);
        assert_eq!(output, b"one\ntwo\nthree\n");
    }

    #[test]
    fn who_has_something_urgent_does_not_wait_for_an_output_that_is_stuck() {
        let (sink, mut output) = (Sink::default(), Vec::new());
        sink.push(b"urgent\n");
        let stuck = sink.output.lock().unwrap();
        sink.flush_unless_busy(&mut output);
        assert!(output.is_empty());
        drop(stuck);
        sink.flush_unless_busy(&mut output);
        assert_eq!(output, b"urgent\n");
    }

    #[test]
    fn a_log_that_nobody_reads_is_bounded_and_tells_what_it_lost() {
        let (sink, mut output) = (Sink::default(), Vec::new());
        let line = [b'x'; 1024];
        for _ in 0..MOST / sink.waiting.len() / line.len() + 3 {
            sink.push(&line);
        }
        sink.flush(&mut output);
        assert!(output.len() < MOST + 1024);
        assert!(output.ends_with(b"3 lines of the log were dropped: its reader is too slow\n"));
    }
}
