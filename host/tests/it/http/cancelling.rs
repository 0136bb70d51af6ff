//! A client that goes away takes its call with it.

use sandbox_client::Client;
use serde_json::json;

use super::web::{Web, http2, post};
use crate::engine::until;

async fn web() -> Web {
    Web::of(json!({ "hangs": { "config": { "journal": "journal" } } })).await
}

fn forever() -> serde_json::Value {
    json!({ "worker_id": "w", "action": "hangs:forever" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_cancels_the_call() {
    let web = web().await;
    let mut raw = web.connect().await;
    raw.say(post("/api/v1/execute", &forever().to_string()))
        .await;
    web.engine.written("hanging in a tool").await;
    drop(raw);
    web.engine.written("cancelled in a tool").await;
    let sessions = &web.engine.sandbox.sessions;
    until("the end of the temporary session", || {
        (sessions.count() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_stream_cancels_the_call_and_not_its_neighbours() {
    let web = web().await;
    let client = http2().build().unwrap();
    let url = web.url("/api/v1/execute");
    let call = tokio::spawn({
        let request = client.post(&url).body(forever().to_string());
        async move { request.send().await }
    });
    web.engine.written("hanging in a tool").await;
    call.abort();
    web.engine.written("cancelled in a tool").await;
    let fine = json!({ "worker_id": "w", "action": "hangs:fine" }).to_string();
    let answer = client.post(&url).body(fine).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, http::Version::HTTP_2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_cancels_a_batch() {
    let web = web().await;
    let mut raw = web.connect().await;
    let body =
        json!({ "worker_id": "w", "parallel": true, "actions": [{ "action": "hangs:forever" }] });
    raw.say(post("/api/v1/execute/batch", &body.to_string()))
        .await;
    web.engine.written("hanging in a tool").await;
    drop(raw);
    web.engine.written("cancelled in a tool").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_client_that_is_dropped_is_cancelled() {
    let web = Web::with(json!({
        "server": { "idempotency": { "return_within": 600 } },
        "resources": { "hangs": { "config": { "journal": "journal" } } },
    }))
    .await;
    let url = format!("http://{}", web.address);
    let client = Client::builder().url(url).build().unwrap();
    let call = tokio::spawn(async move { client.execute("hangs:forever", &json!({}), None).await });
    web.engine.written("hanging in a tool").await;
    call.abort();
    web.engine.written("cancelled in a tool").await;
}
