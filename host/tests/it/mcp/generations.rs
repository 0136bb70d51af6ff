//! Both generations at one place: workers, sessions, and what ends a call.

use serde_json::json;

use super::client::{Client, text};
use crate::{engine::until, http::web::Web};

async fn counting() -> Web {
    Web::of(json!({ "counter": { "config": { "journal": "journal" } } })).await
}

async fn hanging() -> Web {
    Web::of(json!({ "hangs": { "config": { "journal": "journal" } } })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_older_generation_is_a_worker_until_it_takes_leave() {
    let web = counting().await;
    let (ann, bob) = (Client::old(&web).await, Client::old(&web).await);
    ann.data("counter_add", json!({ "by": 2 })).await;
    ann.data("counter_add", json!({ "by": 3 })).await;
    bob.data("counter_add", json!({ "by": 1 })).await;
    let value = |result: &serde_json::Value| text(result).to_owned();
    let (of_ann, of_bob) = (
        ann.call("counter_get", json!({})).await,
        bob.call("counter_get", json!({})).await,
    );
    assert!(value(&of_ann).contains('5') && value(&of_bob).contains('1'));
    assert_eq!(web.engine.sandbox.sessions.count(), 2);
    let request = web.client.delete(web.url("/mcp"));
    let request = request.header("mcp-session-id", ann.session.as_deref().unwrap());
    assert_eq!(request.send().await.unwrap().status(), 204);
    until("the end of ann's sessions", || {
        (web.engine.sandbox.sessions.count() == 1).then_some(())
    })
    .await;
    let got = ann.send("tools/list", json!({})).await;
    assert_eq!(got.status, 404);
    bob.tools().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_newer_one_an_argument_names_the_session() {
    let web = counting().await;
    let client = Client::new(&web);
    let add = json!({ "by": 2 });
    client.data("counter_add", add.clone()).await;
    assert!(text(&client.call("counter_get", json!({})).await).contains('0'));
    let made = client
        .data("session_create", json!({ "resource_type": "counter" }))
        .await;
    let id = made["session_id"].as_str().unwrap();
    assert_eq!(made["open"][0]["resource_type"], "counter");
    client
        .data("counter_add", json!({ "by": 2, "session_id": id }))
        .await;
    let of_session = json!({ "session_id": id });
    assert!(text(&client.call("counter_get", of_session.clone()).await).contains('2'));
    let list = client.data("session_list", of_session.clone()).await;
    assert_eq!(list["open"].as_array().unwrap().len(), 1);
    let ended = client.data("session_destroy", of_session.clone()).await;
    assert_eq!(ended["ended"], 1);
    let list = client.data("session_list", of_session).await;
    assert_eq!(list["open"], json!([]));
    for made_up in ["counter_1", "00000000000000000000000000000000"] {
        let refused = client
            .call("counter_get", json!({ "session_id": made_up }))
            .await;
        assert_eq!(refused["isError"], true);
        assert!(text(&refused).contains("session_create"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_generation_cancels_by_a_notification() {
    let web = hanging().await;
    let client = Client::old(&web).await;
    let message = client.message("tools/call", json!({ "name": "hangs_forever" }));
    let call = tokio::spawn(client.request(&message).send());
    web.engine.written("hanging in a tool").await;
    let cancel = json!({
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": { "requestId": 1, "reason": "a test" },
    });
    let other = Client::old(&web).await;
    assert_eq!(other.request(&cancel).send().await.unwrap().status(), 202);
    assert_eq!(client.request(&cancel).send().await.unwrap().status(), 202);
    web.engine.written("cancelled in a tool").await;
    call.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_generation_cancels_by_closing_the_stream() {
    let web = hanging().await;
    let client = Client::new(&web);
    let message = client.message("tools/call", json!({ "name": "hangs_forever" }));
    let call = tokio::spawn(client.request(&message).send());
    web.engine.written("hanging in a tool").await;
    call.abort();
    web.engine.written("cancelled in a tool").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_older_generation_outlives_its_connection() {
    let web = counting().await;
    let client = Client::old(&web).await;
    let slow = json!({ "name": "counter_add", "arguments": { "by": 7, "ms": 300 } });
    let message = client.message("tools/call", slow);
    let call = tokio::spawn(client.request(&message).send());
    until("the call's session", || {
        (web.engine.sandbox.sessions.count() == 1).then_some(())
    })
    .await;
    call.abort();
    let patience = tokio::time::Instant::now() + crate::http::web::PATIENCE;
    while !text(&client.call("counter_get", json!({})).await).contains('7') {
        assert!(
            tokio::time::Instant::now() < patience,
            "the call did not go on"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_vanish_leave_no_trace() {
    let web = counting().await;
    for _ in 0..100 {
        Client::old(&web).await;
    }
    let sandbox = &web.engine.sandbox;
    assert_eq!(
        (sandbox.sessions.count(), sandbox.sessions.workers()),
        (0, 0)
    );
}
