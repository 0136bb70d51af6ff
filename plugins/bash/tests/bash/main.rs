//! The backend through its real vtable, with real shells in real sandboxes. Needs bubblewrap, and control groups for
//! everything but the tests that do without a sandbox.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod isolation;
mod jobs;
mod run;
mod stops;

use std::time::{Duration, Instant};

use bash::Bash;
use sandbox_plugin_api::testkit::{TestKit, TestSession};
use serde_json::{Value, json};

/// Far longer than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A backend that is ready.
fn backend(config: Value) -> TestKit<Bash> {
    let kit = TestKit::new(config).unwrap();
    kit.warmup().unwrap();
    kit
}

/// Runs `test` in a session of a backend with the default configuration.
fn in_session(test: impl FnOnce(&TestSession<'_, Bash>)) {
    let kit = backend(json!({}));
    let session = kit.session("worker", json!({})).unwrap();
    test(&session);
    session.close().unwrap();
    kit.shutdown().unwrap();
}

/// Runs a command that must succeed as a call.
fn run(session: &TestSession<'_, Bash>, command: &str) -> Value {
    session
        .call("bash:run", json!({ "command": command }))
        .unwrap()
}

/// What a command printed to its standard output.
fn printed(session: &TestSession<'_, Bash>, command: &str) -> String {
    let ran = run(session, command);
    assert_eq!(ran["exit_code"], 0, "{command}: {ran}");
    ran["stdout"].as_str().unwrap().to_owned()
}

/// Waits for something that no event tells.
fn eventually(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "never happened: {what}");
        // A look may go over all of /proc; the processor is needed for what is waited for.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes of this machine whose command line holds `text`. Give every test a text of its own.
fn processes_with(text: &str) -> Vec<i32> {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| *name != me)
        .filter(|name| {
            let line = std::fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(text)
        })
        .filter_map(|name| name.parse().ok())
        .collect()
}

#[test]
fn every_tool_has_an_example_that_works() {
    in_session(|session| {
        let kit = backend(json!({}));
        for tool in kit.description()["tools"].as_array().unwrap() {
            let name = tool["name"].as_str().unwrap();
            let examples = tool["input_schema"]["examples"].as_array();
            let example = examples
                .and_then(|list| list.first())
                .unwrap_or_else(|| panic!("{name} has no example"));
            // In one session and in the tools' order: some need the handle that another returns.
            session
                .call(name, example.clone())
                .unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        }
    });
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for (config, word) in [
        (json!({"default_timeout": 0}), "default_timeout"),
        (json!({"default_timeout": 700}), "max_timeout"),
        (json!({"limits": {"cpus": 0}}), "cpus"),
        (json!({"limits": {"memory": "lots"}}), "256m"),
        (json!({"run_as": 0}), "run_as"),
        (json!({"mounts": [{"source": "data"}]}), "absolute"),
        (json!({"env": {"A-B": "x"}}), "A-B"),
        (json!({"sandbox": "maybe"}), "best_effort"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let failure = TestKit::<Bash>::new(config.clone())
            .err()
            .unwrap_or_else(|| panic!("{config} was accepted"));
        assert!(
            failure.message.contains(word),
            "{config}: {}",
            failure.message
        );
    }
}

#[test]
fn a_session_that_cannot_work_is_refused_and_leaves_nothing() {
    let kit = backend(json!({}));
    for (config, pointer) in [
        (json!({"cwd": "/no/such/place-bash-refused"}), "/cwd"),
        (json!({"cwd": "relative"}), "/cwd"),
        (json!({"env": {"1A": "x"}}), "/env"),
        (json!({"shell": "/usr/bin/true"}), "/shell"),
        (json!({"shell": "zsh"}), "/shell"),
    ] {
        let failure = kit
            .session("worker", config.clone())
            .err()
            .unwrap_or_else(|| panic!("{config} was accepted"));
        assert_eq!(
            (failure.code, &failure.data["pointer"]),
            (1002, &json!(pointer)),
            "{failure:?}"
        );
    }
    eventually("the refused shells are gone", || {
        processes_with("place-bash-refused").is_empty()
    });
    kit.shutdown().unwrap();
}
