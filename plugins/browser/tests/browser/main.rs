//! The backend through its real vtable, with a real Chromium, on pages that the tests serve on loopback.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "parameters are written where they are passed"
)]

mod acting;
mod life;
mod reading;
mod serve;
mod site;
mod tabs;
mod walls;

use std::sync::OnceLock;

use browser::Browser;
use sandbox_plugin_api::testkit::{Failure, TestKit, TestSession};
use serde_json::{Value, json};

use self::{life::eventually, site::Site};

/// A backend that may reach loopback, started once for the tests that need nothing special of it.
fn shared() -> &'static TestKit<Browser> {
    static KIT: OnceLock<TestKit<Browser>> = OnceLock::new();
    KIT.get_or_init(|| backend(json!({})))
}

/// A backend of its own.
fn backend(mut config: Value) -> TestKit<Browser> {
    let own = config.as_object_mut().unwrap();
    own.entry("allowed_hosts").or_insert(json!(["127.0.0.1"]));
    own.entry("action_timeout").or_insert(json!(20_000));
    let kit = TestKit::new(config).unwrap();
    kit.warmup().unwrap();
    kit
}

/// A session with a site of its own.
struct Visit<'a> {
    session: TestSession<'a, Browser>,
    site: Site,
}

impl Visit<'static> {
    fn new() -> Self {
        Self::with(json!({}))
    }

    fn with(config: Value) -> Self {
        Self::of(shared(), config)
    }
}

impl<'a> Visit<'a> {
    fn of(kit: &'a TestKit<Browser>, config: Value) -> Self {
        let session = kit.session("worker", config).unwrap();
        Self {
            session,
            site: Site::start(),
        }
    }

    fn call(&self, tool: &str, params: Value) -> Value {
        self.session
            .call(&format!("browser:{tool}"), params.clone())
            .unwrap_or_else(|failure| panic!("browser:{tool} {params}: {failure:?}"))
    }

    fn refused(&self, tool: &str, params: Value) -> Failure {
        let failure = self
            .session
            .call(&format!("browser:{tool}"), params)
            .unwrap_err();
        assert!(!failure.panicked, "{failure:?}");
        failure
    }

    fn open(&self, path: &str) -> Value {
        self.call("goto", json!({ "url": self.site.url(path) }))
    }

    fn eval(&self, script: &str) -> Value {
        self.call("evaluate", json!({ "script": script }))["result"].clone()
    }

    fn snapshot(&self) -> String {
        self.call("snapshot", json!({}))["snapshot"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The ref of the first line of a snapshot that holds this text.
    fn reference(&self, text: &str) -> String {
        let snapshot = self.snapshot();
        let line = snapshot.lines().find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("no {text} in\n{snapshot}"));
        let (_, rest) = line
            .split_once("[ref=")
            .unwrap_or_else(|| panic!("no ref: {line}"));
        rest.split(']').next().unwrap().to_owned()
    }

    /// The list of so many downloads, once they have begun and are done.
    fn downloads(&self, wanted: usize) -> Value {
        eventually("the downloads begin", || {
            let list = &self.call("downloads", json!({}))["list"];
            list.as_array().unwrap().len() == wanted
        });
        self.call("downloads", json!({ "wait": 20_000 }))["list"].take()
    }

    fn close(self) {
        self.session.close().unwrap();
    }
}

#[test]
fn every_tool_has_an_example_that_works() {
    let visit = Visit::new();
    visit.open("/files");
    visit.call("click", json!({ "selector": "#csv" }));
    visit.downloads(1);
    for tool in shared().description()["tools"].as_array().unwrap() {
        let name = tool["name"].as_str().unwrap();
        let examples = tool["input_schema"]["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            visit.open("/second");
            visit.open("/form");
            if name == "browser:forward" {
                visit.call("back", json!({}));
            }
            let answer = visit.session.call(name, example.clone());
            answer.unwrap_or_else(|failure| panic!("{name} {example}: {failure:?}"));
        }
    }
    visit.close();
}
