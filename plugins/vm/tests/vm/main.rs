//! The backend through its real vtable, with real X servers, window managers and programs. Needs the packages of
//! `debian-packages.txt`.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod input;
mod lives;
mod pool;
mod programs;
mod screen;
mod seen;
mod served;

use std::time::{Duration, Instant};

use sandbox_plugin_api::testkit::{TestKit, TestSession};
use serde_json::{Value, json};
use vm::Vm;

/// Far longer than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// A backend that is ready, whatever isolation the machine can give.
fn backend(mut config: Value) -> TestKit<Vm> {
    let keys = config.as_object_mut().unwrap();
    keys.entry("sandbox").or_insert(json!("best_effort"));
    keys.entry("screen_size").or_insert(json!([800, 600]));
    let kit = TestKit::new(config).unwrap();
    kit.warmup().unwrap();
    kit
}

/// Runs `test` in a session of a backend with small screens.
fn in_session(test: impl FnOnce(&TestSession<'_, Vm>)) {
    let kit = backend(json!({}));
    let session = kit.session("worker", json!({})).unwrap();
    test(&session);
    session.close().unwrap();
    kit.shutdown().unwrap();
}

/// Waits for something that no event tells.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < LIMIT, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes of this machine whose command line holds `text`. Give every test a text of its own.
fn processes_with(text: &str) -> Vec<i32> {
    let me = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| *name != me)
        .filter(|name| {
            let line = std::fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(text)
        })
        .filter_map(|name| name.parse().ok())
        .collect()
}

/// The X servers whose command line holds `text`: a size that no other test has.
fn displays_with(text: &str) -> Vec<i32> {
    let is_server = |pid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        matches!(name.trim(), "Xvfb" | "Xvnc")
    };
    let all: Vec<i32> = processes_with(text).into_iter().filter(is_server).collect();
    // A server that is about to start its keyboard compiler is two of that name for a moment.
    let own = all.iter().filter(|pid| !all.contains(&parent(**pid)));
    own.copied().collect()
}

fn parent(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|pid| pid.trim().parse().ok()).unwrap_or(0)
}

/// Kills processes at once; those that are gone already are as well.
fn kill(pids: &[i32]) {
    for pid in pids {
        let kill = std::process::Command::new("kill")
            .args(["-9", &pid.to_string()])
            .output();
        drop(kill.unwrap());
    }
}
