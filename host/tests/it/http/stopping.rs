//! The route that stops the server.

use serde_json::{Value, json};

use super::web::{PATIENCE, Web, post};
use crate::engine::{lines, until};

const SHUTDOWN: &str = "/api/v1/server/shutdown";

async fn web(server: Value, security: Value) -> Web {
    let resources = json!({
        "counter": { "config": { "journal": "journal" } },
        "hangs": { "config": { "journal": "hangs" } },
    });
    Web::with(json!({ "server": server, "resources": resources, "security": security })).await
}

async fn stop_asked(web: &Web) {
    let asked = web.engine.sandbox.stop_asked.cancelled();
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("the command is asked to stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_cleans_up_and_then_answers() {
    let web = web(json!({}), json!({})).await;
    for worker in ["a", "b"] {
        let create = json!({ "worker_id": worker, "resource_type": "counter" });
        web.post("/api/v1/session/create", create).await.data();
    }
    let got = web.post_text(SHUTDOWN, "").await;
    assert_eq!(
        (got.status, &got.body),
        (
            200,
            &json!({ "status": "success", "message": "the server is stopping", "sessions_cleaned": 2 })
        )
    );
    let journal = lines(&web.engine.file("journal"));
    assert_eq!(
        journal
            .iter()
            .filter(|line| line.starts_with("cleanup"))
            .count(),
        2,
        "{journal:?}"
    );
    stop_asked(&web).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn force_does_not_wait_for_calls_and_the_door_says_draining_meanwhile() {
    for force in [false, true] {
        let web = web(
            json!({ "grace_period": if force { 600.0 } else { 0.2 } }),
            json!({}),
        )
        .await;
        let mut call = web.connect().await;
        let forever = json!({ "worker_id": "w", "action": "hangs:forever" });
        call.say(post("/api/v1/execute", &forever.to_string()))
            .await;
        let journal = web.engine.file("hangs");
        until("the call", || (!lines(&journal).is_empty()).then_some(())).await;
        let got = web
            .post(
                SHUTDOWN,
                json!({ "force": force, "cleanup_sessions": force }),
            )
            .await;
        assert_eq!(got.body["status"], "success");
        let ready = web.get("/ready").await;
        assert_eq!(
            (ready.status, &ready.body["status"]),
            (503, &json!("draining"))
        );
        let answer = call.until("}}").await;
        assert!(answer.contains(r#""code":5002"#), "{answer}");
        stop_asked(&web).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_called_off_hear_that_the_server_stops() {
    let web = Web::of(json!({ "echo": {} })).await;
    let sandbox = &web.engine.sandbox;
    let call = web.execute("echo:sleep", json!({ "ms": 60_000 }));
    let stop = async {
        until("the call", || sandbox.observers.feed.running().pop()).await;
        sandbox.stop(std::time::Duration::ZERO).await
    };
    let (call, _) = tokio::join!(call, stop);
    assert_eq!(call.codes(), (503, 5002));
    assert!(call.message().contains("was cancelled"), "{call:?}");
    // It may have done half of its work: trying again is not for the server to advise.
    assert_eq!(call.header("retry-after"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_the_client_does_not_wait() {
    let web = web(json!({}), json!({})).await;
    let slow =
        json!({ "worker_id": "w", "resource_type": "counter", "config": { "slow_end_ms": 300 } });
    web.post("/api/v1/session/create", slow).await.data();
    let mut raw = web.connect().await;
    raw.say(post(SHUTDOWN, "{}")).await;
    let sandbox = &web.engine.sandbox;
    let draining =
        || (sandbox.readiness() == sandbox_protocol::response::Readiness::Draining).then_some(());
    until("draining", draining).await;
    drop(raw);
    stop_asked(&web).await;
    let journal = lines(&web.engine.file("journal"));
    assert!(
        journal.iter().any(|line| line.starts_with("cleanup")),
        "{journal:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn not_everybody_may_stop_the_server() {
    let web_without = web(json!({}), json!({})).await;
    let behind_a_proxy = [("x-forwarded-for", "192.0.2.1")];
    let got = web_without
        .post_with(SHUTDOWN, &behind_a_proxy, json!({}))
        .await;
    assert_eq!(got.codes(), (403, 1006));

    let keys = json!({ "auth": { "keys": [
        { "name": "ann", "key": "key-of-ann-012345" },
        { "name": "ops", "key": "key-of-ops-012345", "admin": true },
    ] } });
    let web = web(json!({}), keys).await;
    assert_eq!(web.post_text(SHUTDOWN, "").await.codes(), (401, 1006));
    let got = web
        .post_with(SHUTDOWN, &[("x-api-key", "key-of-ann-012345")], json!({}))
        .await;
    assert_eq!(got.codes(), (403, 1006));
    assert_eq!(web.get("/ready").await.status, 200);
    let got = web
        .post_with(SHUTDOWN, &[("x-api-key", "key-of-ops-012345")], json!({}))
        .await;
    assert_eq!(got.status, 200);
    stop_asked(&web).await;
}
