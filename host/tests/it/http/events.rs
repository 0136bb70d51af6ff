//! The stream of events: what it tells, to whom, and what an operator may do that others may not.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::web::{PATIENCE, Web};

const ANN: &str = "key-of-ann-012345";
const BEN: &str = "key-of-ben-012345";
const OPS: &str = "key-of-ops-012345";

async fn web() -> Web {
    let keys = json!([
        { "name": "ann", "key": ANN },
        { "name": "ben", "key": BEN },
        { "name": "ops", "key": OPS, "admin": true },
    ]);
    let resources = json!({ "counter": {}, "echo": {} });
    Web::with(json!({ "resources": resources, "security": { "auth": { "keys": keys } } })).await
}

/// Somebody who listens, with the latest event of each type.
struct Ear {
    response: reqwest::Response,
    rest: String,
    heard: BTreeMap<String, Value>,
}

impl Ear {
    async fn new(web: &Web, key: &str) -> Self {
        let request = web.client.get(web.url("/api/v1/events"));
        let response = request.header("x-api-key", key).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let (rest, heard) = Default::default();
        let mut ear = Self {
            response,
            rest,
            heard,
        };
        ear.until("calls", |_| true).await;
        ear
    }

    /// Listens until an event of this type is as wished.
    async fn until(&mut self, kind: &str, wished: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.heard.get(kind).filter(|event| wished(event)) {
                return event.clone();
            }
            let chunk = timeout_at(deadline, self.response.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("no {kind}: {:?}", self.heard));
            let chunk = chunk
                .unwrap()
                .unwrap_or_else(|| panic!("the stream ended before {kind}"));
            self.rest.push_str(str::from_utf8(&chunk).unwrap());
            while let Some(end) = self.rest.find("\n\n") {
                let block: String = self.rest.drain(..end + 2).collect();
                if let Some(data) = block.trim_end().strip_prefix("data: ") {
                    let event: Value = serde_json::from_str(data).unwrap();
                    let kind = event["type"].as_str().unwrap().to_owned();
                    self.heard.insert(kind, event);
                }
            }
        }
    }
}

async fn add(web: &Web, key: &str) {
    let body = json!({ "worker_id": "w", "action": "counter:add" });
    let got = web
        .post_with("/api/v1/execute", &[("x-api-key", key)], body)
        .await;
    assert_eq!(got.status, 200, "{got:?}");
}

async fn create(web: &Web, key: &str) -> String {
    let body = json!({ "worker_id": "w", "resource_type": "counter" });
    let got = web
        .post_with("/api/v1/session/create", &[("x-api-key", key)], body)
        .await;
    got.data()["session_id"].as_str().unwrap().to_owned()
}

fn count(of: &'static str, wanted: usize) -> impl Fn(&Value) -> bool {
    move |event| event[of].as_array().is_some_and(|all| all.len() == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hears_of_its_own_and_operators_of_everything() {
    let web = web().await;
    let bens = create(&web, BEN).await;
    create(&web, ANN).await;
    let (mut ann, mut ops) = (Ear::new(&web, ANN).await, Ear::new(&web, OPS).await);
    assert_eq!(ann.heard["hello"]["operator"], false);
    assert_eq!(ops.heard["hello"]["operator"], true);

    let sessions = ann.until("sessions", count("sessions", 1)).await;
    assert_eq!(sessions["sessions"][0]["key"], "ann");
    ops.until("sessions", count("sessions", 2)).await;
    let backend = &ann.heard["backends"]["backends"][0];
    assert_eq!(
        (&backend["name"], &backend["state"]),
        (&json!("counter"), &json!("warm"))
    );
    assert_eq!(backend["library"], Value::Null, "no file is for everybody");
    assert!(ops.heard["backends"]["backends"][0]["library"].is_string());
    assert!(!ann.heard.contains_key("log_tail") && ops.heard.contains_key("log_tail"));

    // Ben's call comes first, so that whoever hears of Ann's would have heard of his.
    add(&web, BEN).await;
    add(&web, ANN).await;
    let call = ann.until("call_ended", |_| true).await;
    assert_eq!((&call["key"], &call["code"]), (&json!("ann"), &json!(0)));
    ops.until("call_ended", |call| call["key"] == "ann").await;
    let all = Ear::new(&web, OPS).await;
    assert_eq!(all.heard["calls"]["recent"].as_array().unwrap().len(), 2);
    let own = Ear::new(&web, ANN).await;
    assert_eq!(own.heard["calls"]["recent"].as_array().unwrap().len(), 1);

    let kill = async |key: &str| {
        let body = json!({ "session_id": bens });
        web.post_with("/api/v1/session/kill", &[("x-api-key", key)], body)
            .await
    };
    assert_eq!(kill(ANN).await.codes(), (404, 1003));
    let refused = ops.until("admin", |admin| admin["key"] == "ann").await;
    assert_eq!(
        (&refused["target"], &refused["error"]),
        (&json!(bens), &json!("the session is another key's"))
    );
    let killed = kill(OPS).await;
    assert_eq!(
        (&killed.data()["session_id"], &killed.body["meta"]["tool"]),
        (&json!(bens), &json!("session:kill"))
    );
    ops.until("admin", |admin| {
        admin["target"] == *bens && admin["key"] == "ops"
    })
    .await;
    ops.until("sessions", count("sessions", 1)).await;
    // What operators did was told before this call of Ann's.
    add(&web, ANN).await;
    ann.until("call_ended", |later| later["id"] != call["id"])
        .await;
    assert!(!ann.heard.contains_key("admin"), "{:?}", ann.heard);
    assert_eq!(kill(OPS).await.codes(), (404, 1003));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_for_one_call_is_not_counted_among_those_that_are_shown() {
    let web = Web::of(json!({ "hangs": {}, "counter": {} })).await;
    create(&web, "").await;
    let body = json!({ "worker_id": "w", "action": "hangs:forever" }).to_string();
    let mut raw = web.connect().await;
    raw.say(super::web::post("/api/v1/execute", &body)).await;
    let sessions = &web.engine.sandbox.sessions;
    crate::engine::until("the second", || (sessions.count() == 2).then_some(())).await;
    let mut ear = Ear::new(&web, "").await;
    let shown = ear.until("sessions", |_| true).await;
    assert!(count("sessions", 1)(&shown), "{shown}");
    assert_eq!(ear.heard["server"]["server"]["sessions"], 1);
    drop(raw);
    crate::engine::until("its end", || (sessions.count() == 1).then_some(())).await;
    assert_eq!(sessions.lasting(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_is_not_listened_for_any_more() {
    let web = web().await;
    let feed = &web.engine.sandbox.observers.feed;
    let ear = Ear::new(&web, ANN).await;
    assert!(feed.is_heard());
    drop(ear);
    crate::engine::until("the stream's end", || (!feed.is_heard()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_ends_with_the_server() {
    let web = web().await;
    let mut ear = Ear::new(&web, OPS).await;
    web.engine.sandbox.stop(std::time::Duration::ZERO).await;
    let end = async { while ear.response.chunk().await.unwrap().is_some() {} };
    timeout(PATIENCE, end).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_server_itself_may_call_and_others_may_not() {
    let web = Web::of(json!({ "echo": {} })).await;
    let call = async |origin: &str| {
        let headers = [("origin", origin), ("x-worker-id", "w")];
        web.post_with(
            "/api/v1/tools/echo:text/call",
            &headers,
            json!({ "text": "a" }),
        )
        .await
    };
    call(&web.url("")).await.data();
    assert_eq!(call("http://127.0.0.1:1").await.codes(), (403, 1006));
    assert_eq!(call("https://evil.example.org").await.codes(), (403, 1006));
}
