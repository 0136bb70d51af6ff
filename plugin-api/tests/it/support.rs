//! What the tests share: signals from inside a backend, and the log of this process's one host.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};

use sandbox_plugin_api::{
    abi,
    backend::Backend,
    host::{self, LogEntry, LogSink},
    testkit::TestKit,
};
use serde_json::Value;

/// Nothing that a test waits for takes longer; what does is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A kit whose host is the tests' own: its log can be read, and its level changed.
pub(crate) fn kit<B: Backend>(config: Value) -> TestKit<B> {
    install_host();
    TestKit::new(config).expect("the backend takes its configuration")
}

/// The host of this process, made before a test kit makes its own.
pub(crate) fn install_host() -> &'static abi::Host {
    host::table(Box::new(Kept), 2)
}

type Signals = Mutex<HashMap<String, Sender<String>>>;

static SIGNALS: std::sync::LazyLock<Signals> = std::sync::LazyLock::new(Signals::default);

/// What the backend's code signals under this key.
pub(crate) struct Heard(Receiver<String>);

/// Listens to a key; each test has its own.
pub(crate) fn listen(key: &str) -> Heard {
    let (sender, receiver) = mpsc::channel();
    lock(&SIGNALS).insert(key.to_owned(), sender);
    Heard(receiver)
}

/// Signals from inside a backend.
pub(crate) fn signal(key: &str, what: &str) {
    if let Some(sender) = lock(&SIGNALS).get(key) {
        let _ = sender.send(what.to_owned());
    }
}

impl Heard {
    /// The next signal; waits for it.
    #[track_caller]
    pub(crate) fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).expect("a signal comes")
    }

    /// A signal that is there already.
    pub(crate) fn now(&self) -> Option<String> {
        self.0.try_recv().ok()
    }
}

/// Signals when it is dropped.
pub(crate) struct SignalOnDrop(pub(crate) String, pub(crate) &'static str);

impl Drop for SignalOnDrop {
    fn drop(&mut self) {
        signal(&self.0, self.1);
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "what is waited for does not come"
        );
        std::thread::yield_now();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record of the log, kept.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) level: u32,
    pub(crate) target: String,
    pub(crate) message: String,
    pub(crate) fields: String,
    pub(crate) worker: String,
    pub(crate) session: String,
    pub(crate) trace: String,
    pub(crate) tool: String,
}

static LEVEL: AtomicU32 = AtomicU32::new(3);
static LOG: Mutex<Vec<Record>> = Mutex::new(Vec::new());

/// Changes the level of the host's log.
pub(crate) fn set_level(level: u32) {
    LEVEL.store(level, Ordering::SeqCst);
}

/// The records with this message so far.
pub(crate) fn records(message: &str) -> Vec<Record> {
    let log = lock(&LOG);
    log.iter()
        .filter(|record| record.message == message)
        .cloned()
        .collect()
}

struct Kept;

impl LogSink for Kept {
    fn level(&self) -> u32 {
        LEVEL.load(Ordering::SeqCst)
    }

    fn write(&self, entry: &LogEntry<'_>) {
        lock(&LOG).push(Record {
            level: entry.level,
            target: entry.target.to_owned(),
            message: entry.message.to_owned(),
            fields: entry.fields.to_owned(),
            worker: entry.worker.to_owned(),
            session: entry.session.to_owned(),
            trace: entry.trace.to_owned(),
            tool: entry.tool.to_owned(),
        });
    }
}
