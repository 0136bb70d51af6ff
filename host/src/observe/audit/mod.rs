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
    io,
    path::Path,
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
use crate::{backend::Backend, config, failure::Failure, lines::Gathered, sessions::Session};
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

/// Whether the audit log could be written, as far as that can be told without making it.
///
/// # Errors
///
/// When it could not.
pub fn check(config: &config::Audit) -> Result<(), String> {
    let checked = config.file.as_deref().map_or(Ok(()), file::check);
    checked.map_err(|error| cannot(config, &error))
}

fn cannot(config: &config::Audit, error: &io::Error) -> String {
    let path = config.file.as_deref().unwrap_or(Path::new(""));
    format!("cannot write the audit log {}: {error}", path.display())
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
        let file = AuditFile::open(path, config.max_bytes, config.keep)
            .map_err(|error| cannot(config, &error))?;
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
            .map_err(|error| cannot(config, &error))?;
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
        self.write(|text| line::call(text, record, self.params));
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
        self.write(|text| serde_json::to_writer(text, line));
    }

    fn write(&self, line: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) {
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
    gathered: Gathered,
    /// How many lost lines the file knows of.
    told: u64,
    /// Whether the disk took the last lines.
    writes: bool,
    complained: Option<Instant>,
}

impl Writer {
    fn new(shared: Arc<Shared>, file: AuditFile) -> Self {
        Self {
            shared,
            file,
            gathered: Gathered::default(),
            told: 0,
            writes: true,
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
        // What the disk refused came before these lines; what found the queue full, after them.
        if !self.writes {
            self.tell_of_lost();
        }
        let (text, lines) = self.shared.queue.take(&mut self.gathered);
        let counts = &self.shared.counts;
        if lines > 0 {
            let result = self.file.append(text);
            self.writes = result.is_ok();
            if let Err(error) = result {
                counts.lost.fetch_add(lines, Ordering::Relaxed);
                self.complain(&error);
                return;
            }
            counts.written.fetch_add(lines, Ordering::Relaxed);
        }
        self.tell_of_lost();
    }

    fn tell_of_lost(&mut self) {
        let lost = get(&self.shared.counts.lost);
        if lost > self.told && self.file.append(&line::lost(lost - self.told)).is_ok() {
            self.told = lost;
        }
    }

    fn complain(&mut self, error: &io::Error) {
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
    use std::{fs, os::unix::fs::symlink, path::Path};

    use serde_json::Value;

    use super::*;

    fn start(file: &Path, queue_bytes: usize) -> Audit {
        let config = config::Audit {
            file: Some(file.to_owned()),
            queue_bytes,
            ..config::Audit::default()
        };
        Audit::start(&config).unwrap().unwrap()
    }

    fn act(audit: &Audit) {
        audit.admin(&Admin {
            action: "warmup",
            key: None,
            target: "".into(),
            error: None,
        });
    }

    fn entries(file: &Path) -> Vec<Value> {
        let text = fs::read_to_string(file).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn what_found_the_queue_full_is_counted_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.log");
        let audit = start(&file, 0);
        act(&audit);
        act(&audit);
        audit.close();
        let entries = entries(&file);
        assert!(entries.iter().all(|entry| entry["event"] == "lost"));
        let counted = entries.iter().map(|entry| entry["count"].as_u64().unwrap());
        // Beside the two: that the server started, and that it stopped.
        assert_eq!((counted.sum::<u64>(), get(&audit.counts().lost)), (4, 4));
    }

    #[test]
    fn what_the_disk_refused_is_counted_where_it_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.log");
        symlink("/dev/full", &file).unwrap();
        let audit = start(&file, 1 << 16);
        act(&audit);
        while get(&audit.counts().lost) < 2 {
            thread::yield_now();
        }
        fs::remove_file(&file).unwrap();
        audit.reopen();
        audit.close();
        let entries = entries(&file);
        let [lost, stopped] = &entries[..] else {
            panic!("{entries:?}");
        };
        assert_eq!(
            (&lost["event"], &lost["count"]),
            (&"lost".into(), &2.into())
        );
        assert_eq!(stopped["change"], "stopped");
        assert_eq!(get(&audit.counts().written), 1);
    }
}
