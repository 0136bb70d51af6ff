//! Panics: everywhere a plugin's code runs, and nowhere do they leave the plugin.

use std::panic;

use sandbox_plugin_api::{
    host::Request,
    prelude::*,
    testkit::{Failure, TestKit, success, wait},
};

use crate::support::{install_host, kit, listen, records, signal, until};

#[derive(Deserialize, JsonSchema)]
struct Config {
    /// The function that panics.
    #[serde(default)]
    at: String,
}

struct Fragile {
    at: String,
}

struct Session {
    at: String,
}

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

impl Fragile {
    fn check(&self, function: &str) {
        assert!(self.at != function, "boom in {function}");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.check("drop of the backend");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        assert!(self.at != "drop of the session", "boom in {}", self.at);
    }
}

#[backend(name = "fragile", description = "Panics where it is told to.")]
impl Fragile {
    fn new(config: Config) -> Result<Self> {
        assert!(config.at != "new", "boom in new");
        Ok(Self { at: config.at })
    }

    async fn warmup(&self) -> Result<()> {
        self.check("warmup");
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        self.check("shutdown");
        Ok(())
    }

    async fn initialize(&self) -> Result<Session> {
        self.check("initialize");
        Ok(Session {
            at: self.at.clone(),
        })
    }

    async fn cleanup(&self, _: &Session) -> Result<()> {
        self.check("cleanup");
        Ok(())
    }

    #[tool]
    async fn task(&self) -> Result<()> {
        panic!("boom in {}", "task")
    }

    #[tool(inline)]
    async fn inline(&self) -> Result<()> {
        panic!("boom in inline")
    }

    #[tool(inline)]
    fn plain(&self) -> Result<()> {
        panic!("boom in plain")
    }

    #[tool(blocking)]
    fn blocking(&self) -> Result<()> {
        panic!("boom in blocking")
    }

    #[tool]
    async fn after_waiting(&self) -> Result<()> {
        tokio::task::yield_now().await;
        panic!("boom in after_waiting")
    }

    #[tool]
    async fn destructor(&self) -> Result<u8> {
        let _bomb = Bomb("boom in destructor");
        Ok(1)
    }

    #[tool]
    async fn destructor_of_the_cancelled(&self, key: String) -> Result<()> {
        let _bomb = Bomb("boom in destructor of the cancelled");
        signal(&key, "started");
        std::future::pending().await
    }

    #[tool(blocking)]
    fn blocking_of_the_cancelled(&self, key: String, context: &CallContext) -> Result<()> {
        signal(&key, "started");
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        panic!("boom in blocking of the cancelled")
    }

    #[tool]
    async fn payload(&self) -> Result<()> {
        panic::panic_any(Bomb("boom in the payload's drop"))
    }

    #[tool]
    async fn resumed(&self) -> Result<()> {
        let caught = tokio::spawn(async { panic!("boom in another task") }).await;
        panic::resume_unwind(caught.unwrap_err().into_panic())
    }

    #[tool]
    async fn resumed_after_another(&self) -> Result<()> {
        let _caught = panic::catch_unwind(|| panic!("boom that was caught"));
        panic::resume_unwind(Box::new("boom that was not".to_owned()))
    }

    #[tool]
    async fn serialising(&self) -> Result<Unwilling> {
        Ok(Unwilling)
    }

    #[tool]
    async fn fine(&self) -> Result<u8> {
        Ok(1)
    }
}

struct Unwilling;

impl Serialize for Unwilling {
    fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
        panic!("boom in serialising")
    }
}

fn fragile(at: &str) -> TestKit<Fragile> {
    kit(json!({ "at": at }))
}

/// The failure is a panic in this function, and says where.
#[track_caller]
fn assert_boom(failure: &Failure, function: &str) {
    assert!(failure.panicked, "{failure:?}");
    assert_eq!(failure.code, 2001);
    let expected = format!("boom in {function}, at ");
    assert!(
        failure.message.starts_with(&expected),
        "{}",
        failure.message
    );
    assert!(
        failure.message.contains("panics.rs:"),
        "{}",
        failure.message
    );
}

#[test]
fn panics_of_the_lifecycle_are_outcomes() {
    install_host();
    let failure = TestKit::<Fragile>::new(json!({ "at": "new" }))
        .err()
        .unwrap();
    assert_boom(&failure, "new");
    assert_boom(&fragile("warmup").warmup().unwrap_err(), "warmup");
    assert_boom(&fragile("shutdown").shutdown().unwrap_err(), "shutdown");
    let kit = fragile("initialize");
    assert_boom(&kit.session("ann", json!({})).err().unwrap(), "initialize");
    let kit = fragile("cleanup");
    let session = kit.session("ann", json!({})).unwrap();
    assert_boom(&session.close().unwrap_err(), "cleanup");
}

#[test]
fn panics_of_tools_are_outcomes_and_the_next_call_works() {
    let kit = fragile("");
    for tool in [
        "task",
        "inline",
        "plain",
        "blocking",
        "after_waiting",
        "destructor",
        "serialising",
    ] {
        let failure = kit.call(&format!("fragile:{tool}"), json!({})).unwrap_err();
        assert_boom(&failure, tool);
        assert_eq!(kit.call("fragile:fine", json!({})).unwrap(), 1);
    }
}

#[test]
fn a_panic_in_a_cancelled_future_s_destructor_is_an_outcome() {
    let kit = fragile("");
    let heard = listen("cancelled destructor");
    let pending = kit.begin(
        "fragile:destructor_of_the_cancelled",
        &json!({ "key": "cancelled destructor" }),
        Request::default(),
        None,
    );
    assert_eq!(heard.next(), "started");
    pending.cancel();
    let failure = success(&wait(pending)).unwrap_err();
    assert_boom(&failure, "destructor of the cancelled");
}

#[test]
fn a_panic_after_a_cancel_is_logged_as_nobody_may_hear_of_it() {
    let kit = fragile("");
    let tools = ["destructor_of_the_cancelled", "blocking_of_the_cancelled"];
    for (logged, tool) in tools.into_iter().enumerate() {
        let heard = listen(tool);
        let pending = kit.begin(
            &format!("fragile:{tool}"),
            &json!({ "key": tool }),
            Request {
                worker: "ann of the cancelled",
                ..Request::default()
            },
            None,
        );
        assert_eq!(heard.next(), "started");
        drop(pending);
        let ours = || {
            let mut all = records("a cancelled operation panicked");
            all.retain(|record| record.worker == "ann of the cancelled");
            all
        };
        until(|| ours().len() > logged);
        let last = ours().pop().unwrap();
        assert_eq!(last.tool, format!("fragile:{tool}"));
        assert!(last.fields.contains("boom in "), "{}", last.fields);
    }
}

#[test]
fn payloads_of_any_kind_are_survived() {
    let kit = fragile("");
    let failure = kit.call("fragile:payload", json!({})).unwrap_err();
    assert!(failure.panicked);
    assert!(failure.message.starts_with("panic without a message, at "));
    for (tool, message) in [
        ("fragile:resumed", "boom in another task"),
        ("fragile:resumed_after_another", "boom that was not"),
    ] {
        let failure = kit.call(tool, json!({})).unwrap_err();
        assert_eq!(
            (failure.panicked, failure.message.as_str()),
            (true, message)
        );
    }
}

#[test]
fn panics_of_destructors_with_nobody_to_tell_are_logged() {
    let logged = |place: &str| {
        let records = records("a destructor panicked");
        let panic = format!("boom in {place}, at ");
        records
            .iter()
            .any(|record| record.level == 1 && record.fields.contains(&panic))
    };
    let kit = fragile("drop of the session");
    drop(kit.session("ann", json!({})).unwrap());
    until(|| logged("drop of the session"));
    drop(fragile("drop of the backend"));
    until(|| logged("drop of the backend"));
}
