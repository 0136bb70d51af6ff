//! The backend through its real vtable and, where life and death matter, through the real server; real programs in real
//! sandboxes. Needs bubblewrap, Python and Node, and control groups for everything but the tests that do without.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod escapes;
mod files;
mod limits;
mod run;
mod server;

use std::time::{Duration, Instant};

use code::Code;
use sandbox_plugin_api::testkit::{TestKit, TestSession};
use serde_json::{Value, json};

/// Far longer than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(40);

type Session<'a> = TestSession<'a, Code>;

/// A backend that is ready.
fn backend(config: Value) -> TestKit<Code> {
    let kit = TestKit::new(config).unwrap();
    kit.warmup().unwrap();
    kit
}

/// Runs `test` in a session of a backend with this configuration.
fn in_session(config: Value, test: impl FnOnce(&Session<'_>)) {
    let kit = backend(config);
    let session = kit.session("worker", json!({})).unwrap();
    test(&session);
    session.close().unwrap();
    kit.shutdown().unwrap();
}

/// Runs a program in Python that must succeed as a call.
fn python(session: &Session<'_>, code: &str) -> Value {
    session
        .call("code:execute", json!({ "code": code }))
        .unwrap()
}

/// What a program in Python printed.
fn printed(session: &Session<'_>, code: &str) -> String {
    let ran = python(session, code);
    assert_eq!(ran["exit_code"], 0, "{code}: {ran}");
    ran["stdout"].as_str().unwrap().to_owned()
}

/// Waits for something that no event tells.
fn eventually(what: &str, done: impl Fn() -> bool) {
    sooner_or_later(what, || done().then_some(()));
}

/// The same for something to find.
fn sooner_or_later<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
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
    in_session(json!({}), |session| {
        let kit = backend(json!({}));
        let notes = json!({"file_path": "notes.txt", "content": "first\n"});
        session.call("code:write", notes).unwrap();
        let tools = kit.description()["tools"].as_array().unwrap().clone();
        assert_eq!(tools.len(), 7);
        for tool in tools {
            let name = tool["name"].as_str().unwrap();
            let example = tool["input_schema"]["examples"][0].clone();
            assert!(example.is_object(), "{name} has no example");
            session
                .call(name, example)
                .unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        }
    });
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for (config, word) in [
        (json!({"default_timeout": 0}), "default_timeout"),
        (json!({"default_timeout": 700}), "max_timeout"),
        (json!({"memory_limit": "8g"}), "max_memory"),
        (json!({"memory_limit": "1k"}), "memory_limit"),
        (json!({"memory_limit": "lots"}), "256m"),
        (json!({"cpu_limit": 0}), "cpu_limit"),
        (json!({"cpu_limit": 9}), "max_cpus"),
        (json!({"max_images": 99}), "max_images"),
        (json!({"run_as": 0}), "run_as"),
        (json!({"python": "python3"}), "absolute"),
        (json!({"source_roots": ["data"]}), "absolute"),
        (json!({"mounts": [{"source": "data"}]}), "absolute"),
        (json!({"env": {"A=B": "x"}}), "A=B"),
        (json!({"default_language": "cobol"}), "javascript"),
        (json!({"sandbox": "maybe"}), "best_effort"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let failure = TestKit::<Code>::new(config.clone())
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
fn sessions_get_no_more_than_the_backend_allows() {
    let kit = backend(json!({"max_memory": "1g", "max_cpus": 2}));
    for (config, code, word) in [
        (json!({"memory_limit": "2g"}), 1002, "/memory_limit"),
        (json!({"memory_limit": 1}), 1002, "/memory_limit"),
        (json!({"cpu_limit": 3}), 1002, "/cpu_limit"),
        (json!({"cpu_limit": -1}), 1002, "/cpu_limit"),
        (json!({"network": true}), 1006, "allow_network"),
        (json!({"source_dir": "/etc"}), 1006, "source_roots"),
        (
            json!({"default_language": "cobol"}),
            1002,
            "default_language",
        ),
    ] {
        let failure = kit
            .session("worker", config.clone())
            .err()
            .unwrap_or_else(|| panic!("{config} was accepted"));
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains(word), "{failure:?}");
    }
    kit.shutdown().unwrap();
}

#[test]
fn what_is_missing_is_said_at_warm_up() {
    let kit = TestKit::<Code>::new(json!({"python": "/no/such/python"})).unwrap();
    let failure = kit.warmup().unwrap_err();
    assert_eq!(failure.code, 2004);
    assert!(
        failure.message.contains("apt-get install python3"),
        "{failure:?}"
    );
    assert_eq!(kit.session("worker", json!({})).err().unwrap().code, 2004);
    let kit = TestKit::<Code>::new(json!({"mounts": [{"source": "/no/such/source"}]})).unwrap();
    let failure = kit.warmup().unwrap_err();
    assert_eq!(failure.code, 2004);
    assert!(
        failure.message.contains("/no/such/source") && failure.message.contains("best_effort"),
        "{failure:?}"
    );
}
