//! The audit log: who did what, when, for how long, and with what outcome; one JSON object per line.
//!
//! A call pays for writing its line into memory ([`queue`]); a thread of its own takes what is there every few
//! milliseconds and writes it ([`file`]), in the order of time. What is in memory when the process is killed is
//! lost: at most some twenty milliseconds. When the disk cannot follow, lines are left out rather than calls held
//! up, they are counted, and the file itself says how many are missing and where.

mod file;
mod line;
mod queue;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    numbers::get,
    record::{Admin, CallRecord, Why},
};
use crate::{backend::Backend, config, failure::Failure, sessions::Session};
use file::AuditFile;
use queue::Queue;

/// How long lines are gathered before they are written: a crash loses no more than this.
const GATHER: Duration = Duration::from_millis(20);

/// How often at most the log hears that lines cannot be written.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// How many lines were written, and how many were not.
#[derive(Debug, Default)]
pub struct Counts {
    /// Lines in the file.
    pub written: AtomicU64,
    /// Lines that were left out.
    pub lost: AtomicU64,
}

/// The audit log of one server.
pub struct Audit {
    params: config::AuditParams,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Queue,
    counts: Counts,
    reopen: AtomicBool,
    stopping: AtomicBool,
}

impl Audit {
    /// Opens the file and starts its writer; `None` when no file is configured.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened: a server that should be audited must not run without.
    pub fn start(config: &config::Audit) -> Result<Option<Self>, String> {
        let Some(path) = &config.file else {
            return Ok(None);
        };
        let cannot = |error| format!("cannot write the audit log {}: {error}", path.display());
        let file = AuditFile::open(path, config.max_bytes, config.keep).map_err(cannot)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(config.queue_bytes),
            counts: Counts::default(),
            reopen: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let writer = thread::Builder::new()
            .name("audit".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || Writer::new(shared, file).run()
            })
            .map_err(cannot)?;
        shared.queue.wakes(writer.thread().clone());
        let audit = Self {
            params: config.params,
            shared,
            writer: Mutex::new(Some(writer)),
        };
        audit.put(&line::server("started"));
        Ok(Some(audit))
    }

    /// How many lines were written, and how many were not.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// How many bytes wait to be written.
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Closes the file and opens it anew, after somebody else put it aside.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.shared.queue.wake();
    }

    /// Writes what waits and ends the writer. Nothing is written after this.
    pub fn close(&self) {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            self.put(&line::server("stopped"));
            self.shared.stopping.store(true, Ordering::Release);
            self.shared.queue.wake();
            let _ = writer.join();
        }
    }

    pub(super) fn call(&self, record: &CallRecord<'_>) {
        self.put(&line::call(record, self.params));
    }

    pub(super) fn opened(&self, session: &Session, took: Duration) {
        self.put(&line::opened(session, took));
    }

    pub(super) fn failed(&self, backend: &Backend, worker: &str, failure: &Failure) {
        self.put(&line::failed(backend, worker, failure));
    }

    pub(super) fn closed(&self, session: &Session, why: Why) {
        self.put(&line::closed(session, why));
    }

    pub(super) fn admin(&self, admin: &Admin<'_>) {
        self.put(&line::admin(admin));
    }

    fn put(&self, line: &impl Serialize) {
        if !self.shared.queue.put(line) {
            self.shared.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    file: AuditFile,
    /// How many lost lines the file knows of.
    told: u64,
    complained: Option<Instant>,
}

impl Writer {
    fn new(shared: Arc<Shared>, file: AuditFile) -> Self {
        Self {
            shared,
            file,
            told: 0,
            complained: None,
        }
    }

    fn run(mut self) {
        loop {
            // Asked before the queue is emptied: what was put before `close` is written.
            let last = self.shared.stopping.load(Ordering::Acquire);
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.file.reopen();
            }
            self.write();
            if last {
                return;
            }
            self.shared.queue.wait();
            if !self.shared.stopping.load(Ordering::Acquire) {
                thread::sleep(GATHER);
            }
        }
    }

    fn write(&mut self) {
        let (text, lines) = self.shared.queue.take();
        let counts = &self.shared.counts;
        if lines > 0 {
            match self.file.append(&text) {
                Ok(()) => _ = counts.written.fetch_add(lines, Ordering::Relaxed),
                Err(error) => {
                    counts.lost.fetch_add(lines, Ordering::Relaxed);
                    self.complain(&error);
                    return;
                }
            }
        }
        let lost = get(&self.shared.counts.lost);
        if lost > self.told && self.file.append(&line::lost(lost - self.told)).is_ok() {
            self.told = lost;
        }
    }

    fn complain(&mut self, error: &std::io::Error) {
        let due = self
            .complained
            .is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY);
        if due {
            self.complained = Some(Instant::now());
            let lost = get(&self.shared.counts.lost);
            tracing::error!(%error, lost, "the audit log cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;

    fn events(text: &str) -> Vec<(String, u64)> {
        let lines = text.lines().map(serde_json::from_str::<Value>);
        let told = |line: Value| {
            let count = line["count"].as_u64().unwrap_or_default();
            (line["event"].as_str().unwrap_or_default().to_owned(), count)
        };
        lines.map(|line| told(line.unwrap())).collect()
    }

    /// The writer is stepped by hand, so that the queue is full when the test wants it.
    #[test]
    fn the_file_says_once_how_many_lines_are_missing_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let shared = Arc::new(Shared {
            queue: Queue::new(1 << 16),
            counts: Counts::default(),
            reopen: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let audit = Audit {
            params: config::AuditParams::default(),
            shared: Arc::clone(&shared),
            writer: Mutex::new(None),
        };
        let mut writer = Writer::new(shared, AuditFile::open(&path, 0, 1).unwrap());
        let mut written = 0;
        loop {
            audit.put(&line::server("started"));
            if get(&audit.counts().lost) > 0 {
                break;
            }
            written += 1;
        }
        audit.put(&line::server("started"));
        writer.write();
        assert_eq!(get(&audit.counts().written), written);
        audit.put(&line::server("stopped"));
        writer.write();
        writer.write();

        let text = fs::read_to_string(&path).unwrap();
        let server = ("server".to_owned(), 0);
        let events = events(&text);
        let (before, after) = events.split_at(usize::try_from(written).unwrap());
        assert!(before.iter().all(|event| *event == server));
        assert_eq!(after, [("lost".to_owned(), 2), server]);
    }
}
