//! The real command `sandbox serve` in a process of its own, for tests that talk to it from outside.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sandbox_client::{Client, protocol::request::CreateSession};
use serde_json::{Value, json};

use crate::fixtures;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    log: Receiver<Value>,
    pub(crate) url: String,
    pub(crate) directory: tempfile::TempDir,
}

impl Server {
    /// Starts a server with these resources and waits until it listens.
    pub(crate) fn start(resources: &Value) -> Self {
        Self::start_with(json!({}), resources)
    }

    /// Starts a server on this port.
    pub(crate) fn start_at(port: u16, resources: &Value) -> Self {
        Self::start_with(json!({ "port": port }), resources)
    }

    /// Starts a server with these `server` settings too.
    pub(crate) fn start_with(server: Value, resources: &Value) -> Self {
        Self::start_of(json!({ "server": server, "resources": resources }))
    }

    /// Starts a server with this configuration.
    pub(crate) fn start_of(mut config: Value) -> Self {
        let server = &mut config["server"];
        server["plugin_dirs"] = json!([fixtures::folder()]);
        if server["port"].is_null() {
            server["port"] = json!(0);
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut child = command()
            .args(["serve", "--log-format", "json", "--config"])
            .arg(file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let entry = serde_json::from_str(&line).unwrap_or(json!({ "message": line }));
                if sender.send(entry).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            child,
            log,
            url: String::new(),
            directory,
        };
        let entry = server.wait_for("listening");
        entry["url"].as_str().unwrap().clone_into(&mut server.url);
        server
    }

    /// The log's next entry with this message.
    pub(crate) fn wait_for(&self, message: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(entry) if entry["message"] == message => return entry,
                Ok(entry) => seen.push(entry),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("the log never said `{message}`; it said {seen:#?}")
                }
            }
        }
    }

    /// How often the log says `message` before it says `last`.
    pub(crate) fn count_until(&self, message: &str, last: &str) -> usize {
        let entries = std::iter::from_fn(|| self.log.recv_timeout(PATIENCE).ok());
        let entries = entries.take_while(|entry| entry["message"] != last);
        entries.filter(|entry| entry["message"] == message).count()
    }

    /// Whether the log says `message` within this time.
    pub(crate) fn says_within(&self, message: &str, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut entries = std::iter::from_fn(|| self.log.recv_timeout(left()).ok());
        entries.any(|entry| entry["message"] == message)
    }

    /// A client for this worker.
    pub(crate) fn client(&self, worker: &str) -> Client {
        Client::builder()
            .url(&self.url)
            .worker_id(worker)
            .build()
            .unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the process to end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The directory that the server has for itself while it lives.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        let environment = std::fs::read(format!("/proc/{}/environ", self.child.id())).unwrap();
        let mut variables = environment.split(|byte| *byte == 0);
        let value = variables.find_map(|variable| variable.strip_prefix(b"SANDBOX_RUNTIME_DIR="));
        PathBuf::from(String::from_utf8(value.unwrap().to_vec()).unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command, with an environment that says nothing to it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    for name in [
        "SANDBOX_INSTANCE",
        "SANDBOX_RUNTIME_DIR",
        "SANDBOX_PLUGIN_PATH",
        "SANDBOX_URL",
        "SANDBOX_API_KEY",
    ] {
        command.env_remove(name);
    }
    command
}

/// A session of this type, without wishes.
pub(crate) fn session(resource_type: &str) -> CreateSession {
    serde_json::from_value(json!({ "resource_type": resource_type })).unwrap()
}
