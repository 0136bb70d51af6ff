//! The three kinds: what `new`, `warmup`, `initialize`, `cleanup` and `shutdown` are given, and when.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use sandbox_plugin_api::{prelude::*, testkit::TestKit};

use crate::support::{kit, listen, lock, signal};

#[derive(Deserialize, JsonSchema)]
struct Config {
    key: String,
    #[serde(default)]
    limit: u32,
}

struct Whole {
    config: Config,
    directory: String,
    sessions: AtomicU32,
}

#[derive(Deserialize, JsonSchema)]
struct SessionConfig {
    #[serde(default)]
    name: String,
}

struct Session {
    name: String,
    number: u32,
    said: Mutex<Vec<String>>,
}

#[backend(
    name = "whole",
    class = "Every",
    description = "Has every function.",
    version = "9.1"
)]
impl Whole {
    fn new(env: &BackendEnv, config: Config) -> Result<Self> {
        if config.limit > 10 {
            return Err(Error::config("limit is at most 10"));
        }
        let directory = env.resolve("data").display().to_string();
        let sessions = AtomicU32::new(0);
        Ok(Self {
            config,
            directory,
            sessions,
        })
    }

    async fn warmup(&self, context: &CallContext) -> Result<()> {
        signal(&self.config.key, context.tool());
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), std::io::Error> {
        signal(&self.config.key, "shutdown");
        Err(std::io::Error::other("it was stuck"))
    }

    async fn initialize(
        &self,
        info: &SessionInfo,
        config: SessionConfig,
        context: &CallContext,
    ) -> Result<Session> {
        if config.name == "nobody" {
            return Err(Error::new(Code::TooMany, "nobody gets a session"));
        }
        signal(
            &self.config.key,
            &format!("initialize {}", info.worker_id()),
        );
        assert_eq!(info.session_id(), context.session_id());
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(Session {
            name: config.name,
            number,
            said: Mutex::default(),
        })
    }

    async fn cleanup(&self, info: &SessionInfo, session: &Session) -> Result<()> {
        let said = lock(&session.said).join("+");
        signal(
            &self.config.key,
            &format!("cleanup {} {said}", info.worker_id()),
        );
        Ok(())
    }

    #[tool(example = r#"{"word": "a"}"#)]
    async fn say(&self, session: &Session, word: String, info: &SessionInfo) -> Result<Value> {
        lock(&session.said).push(word);
        let config: Value = serde_json::from_str(info.config().get())?;
        Ok(json!({
            "name": session.name,
            "number": session.number,
            "worker": info.worker_id(),
            "resource_type": info.resource_type(),
            "config": config,
            "directory": self.directory,
        }))
    }

    #[tool]
    async fn perhaps(
        &self,
        session: Option<&Session>,
        info: Option<&SessionInfo>,
    ) -> Result<Value> {
        let name = session.map(|session| &session.name);
        Ok(json!({ "name": name, "worker": info.map(SessionInfo::worker_id) }))
    }
}

fn whole(key: &str) -> TestKit<Whole> {
    kit(json!({ "key": key }))
}

#[test]
fn every_function_is_called_in_its_turn() {
    let heard = listen("life");
    let kit = whole("life");
    kit.warmup().unwrap();
    let session = kit.session("ann", json!({})).unwrap();
    session.call("whole:say", json!({ "word": "a" })).unwrap();
    session.call("whole:say", json!({ "word": "b" })).unwrap();
    session.close().unwrap();
    let failure = kit.shutdown().unwrap_err();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (5000, "it was stuck")
    );
    for expected in ["warmup", "initialize ann", "cleanup ann a+b", "shutdown"] {
        assert_eq!(heard.next(), expected);
    }
    assert_eq!(heard.now(), None);
}

#[test]
fn each_session_is_its_own() {
    let kit = whole("own");
    let ann = kit.session("ann", json!({ "name": "A" })).unwrap();
    let bob = kit.session("bob", json!({ "name": "B" })).unwrap();
    let ann = ann.call("whole:say", json!({ "word": "a" })).unwrap();
    let bob = bob.call("whole:say", json!({ "word": "b" })).unwrap();
    assert_eq!((&ann["name"], &ann["worker"]), (&json!("A"), &json!("ann")));
    assert_eq!((&bob["name"], &bob["worker"]), (&json!("B"), &json!("bob")));
    assert_ne!(ann["number"], bob["number"]);
    assert_eq!(ann["config"], json!({ "key": "own", "name": "A" }));
    assert_eq!(ann["resource_type"], "whole");
    assert_eq!(ann["directory"], "./data");
}

#[test]
fn a_tool_that_needs_a_session_says_so_without_one() {
    let kit = whole("without");
    let failure = kit.call("whole:say", json!({ "word": "a" })).unwrap_err();
    assert_eq!(failure.code, 1003);
    let tools = &kit.description()["tools"];
    assert_eq!(
        (&tools[0]["needs_session"], &tools[1]["needs_session"]),
        (&json!(true), &json!(false))
    );
    let answer = kit.call("whole:perhaps", json!({})).unwrap();
    assert_eq!(answer, json!({ "name": null, "worker": null }));
    let session = kit.session("ann", json!({ "name": "A" })).unwrap();
    let answer = session.call("whole:perhaps", json!({})).unwrap();
    assert_eq!(answer, json!({ "name": "A", "worker": "ann" }));
}

#[test]
fn errors_of_new_and_initialize_reach_the_caller() {
    crate::support::install_host();
    let failure = TestKit::<Whole>::new(json!({ "key": "", "limit": 11 }))
        .err()
        .unwrap();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (5001, "limit is at most 10")
    );
    let failure = TestKit::<Whole>::new(json!({ "kye": "" })).err().unwrap();
    assert_eq!(failure.code, 5001);
    assert_eq!(
        failure.message,
        "config /kye is not known; did you mean `key`?"
    );
    let kit = whole("errors");
    let failure = kit
        .session("ann", json!({ "name": "nobody" }))
        .err()
        .unwrap();
    assert_eq!(failure.code, 1007);
    let failure = kit.session("ann", json!({ "nme": "x" })).err().unwrap();
    assert_eq!(failure.code, 1002);
}

#[test]
fn a_backend_is_described_by_its_source() {
    let kit = whole("described");
    let it = kit.description();
    assert_eq!(
        (&it["name"], &it["class"]),
        (&json!("whole"), &json!("Every"))
    );
    assert_eq!(
        (&it["kind"], &it["version"]),
        (&json!("hybrid"), &json!("9.1"))
    );
    assert_eq!(it["config_schema"]["required"], json!(["key"]));
    assert!(it["session_config_schema"]["properties"]["name"].is_object());
}

#[derive(Default)]
struct Shared;

#[backend(name = "shared", description = "Has no sessions.")]
impl Shared {
    #[tool]
    async fn who(&self, info: Option<&SessionInfo>, context: &CallContext) -> Result<Value> {
        let config = info.map(|info| info.config().get().to_owned());
        Ok(json!({ "config": config, "worker": context.worker() }))
    }
}

#[derive(Default)]
struct Alone;

#[backend(name = "alone", description = "Has sessions only.")]
impl Alone {
    async fn initialize(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn the_kind_follows_from_the_functions() {
    assert_eq!(kit::<Shared>(json!({})).description()["kind"], "shared");
    assert_eq!(kit::<Alone>(json!({})).description()["kind"], "session");
}

#[test]
fn a_shared_tool_sees_the_worker_s_settings() {
    let kit = kit::<Shared>(json!({}));
    let none = json!({ "config": null, "worker": "" });
    assert_eq!(kit.call("shared:who", json!({})).unwrap(), none);
    let answer = kit
        .call_as(json!({ "top_k": 3 }), "shared:who", json!({}))
        .unwrap();
    assert_eq!(
        answer,
        json!({ "config": r#"{"top_k":3}"#, "worker": "worker" })
    );
}

/// A backend that is configured with one of several things.
struct Choice;

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "provider", rename_all = "lowercase")]
enum Provider {
    Local {
        #[serde(alias = "vm_path")]
        path: String,
    },
    Remote {
        url: String,
    },
}

#[backend(name = "choice", description = "Is configured with an enum.")]
impl Choice {
    fn new(config: Provider) -> Result<Self> {
        let (Provider::Local { path: place } | Provider::Remote { url: place }) = config;
        assert_eq!(place, "here");
        Ok(Self)
    }

    async fn initialize(&self) -> Result<u8> {
        Ok(1)
    }
}

#[test]
fn a_backend_configured_with_an_enum_has_sessions() {
    for config in [
        json!({ "provider": "local", "path": "here" }),
        json!({ "provider": "local", "vm_path": "here" }),
        json!({ "provider": "remote", "url": "here" }),
    ] {
        let kit = kit::<Choice>(config);
        kit.session("ann", json!({})).unwrap().close().unwrap();
        let failure = kit.session("ann", json!({ "size": 1 })).err().unwrap();
        assert_eq!(
            failure.message,
            "parameter /size is not known; there are none"
        );
    }
}
