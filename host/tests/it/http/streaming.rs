//! `Accept: text/event-stream`: what happens while a call runs.

use sandbox_client::{Client, StreamEvent};
use serde_json::{Value, json};

use super::web::{PATIENCE, Web};
use crate::engine::until;

/// The events of an answer: name and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text
        .split("\n\n")
        .filter(|block| block.starts_with("event: "));
    blocks
        .map(|block| {
            let (name, data) = block["event: ".len()..].split_once("\ndata: ").unwrap();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        })
        .collect()
}

fn request(web: &Web, action: &str, params: Value) -> reqwest::RequestBuilder {
    let body = json!({ "worker_id": "w", "action": action, "params": params });
    web.client
        .post(web.url("/api/v1/execute"))
        .header("accept", "text/event-stream")
        .body(body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_and_output_come_as_events_and_then_the_envelope() {
    let web = Web::of(json!({ "echo": {} })).await;
    let response = request(&web, "echo:steps", json!({ "steps": 2 }));
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let seen = events(&response.text().await.unwrap());
    let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["progress", "output", "progress", "output", "result"]
    );
    assert_eq!(
        seen[0].1,
        json!({ "done": 1.0, "total": 2.0, "message": "stepping" })
    );
    assert_eq!(seen[3].1, json!({ "chunk": "step 2\n" }));
    assert_eq!(
        (&seen[4].1["code"], &seen[4].1["data"]),
        (&json!(0), &json!({ "steps": 2 }))
    );
    let failed = request(&web, "echo:text", json!({})).send().await.unwrap();
    let seen = events(&failed.text().await.unwrap());
    assert_eq!((seen.len(), &seen[0].1["code"]), (1, &json!(1002)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_cancels_the_call() {
    let web = Web::of(json!({ "echo": {} })).await;
    let response = request(&web, "echo:sleep", json!({ "ms": 60_000 }));
    let response = response.send().await.unwrap();
    let feed = &web.engine.sandbox.observers.feed;
    until("the call", || feed.running().pop()).await;
    drop(response);
    let ended = until("its end", || feed.recent().pop()).await;
    assert_eq!((ended.code, ended.front.as_str()), (None, "stream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_shows_that_it_is_alive() {
    let config = json!({
        "server": { "limits": { "idle_timeout": 0.3 } },
        "resources": { "echo": {} },
    });
    let web = Web::with(config).await;
    let response = request(&web, "echo:sleep", json!({ "ms": 60_000 }));
    let mut response = response.send().await.unwrap();
    for _ in 0..5 {
        let part = tokio::time::timeout(PATIENCE, response.chunk())
            .await
            .unwrap();
        assert_eq!(&part.unwrap().unwrap()[..], b": alive\n\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_reads_the_events() {
    let web = Web::of(json!({ "echo": {} })).await;
    let client = Client::builder()
        .url(web.url(""))
        .worker_id("w")
        .build()
        .unwrap();
    let mut stream = client
        .execute_stream("echo:steps", &json!({ "steps": 1 }), None)
        .await
        .unwrap();
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await.unwrap() {
        seen.push(event);
    }
    let [
        StreamEvent::Progress { message, .. },
        StreamEvent::Output(chunk),
        StreamEvent::Result(end),
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!(
        (&**message, &**chunk, &end.data),
        ("stepping", "step 1\n", &json!({ "steps": 1 }))
    );
    let unknown = client
        .execute_stream("no:tool", &json!({}), None)
        .await
        .unwrap();
    assert_eq!(unknown.result().await.unwrap().code.0, 1001);
    let running = client
        .execute_stream("echo:sleep", &json!({ "ms": 60_000 }), None)
        .await
        .unwrap();
    let feed = &web.engine.sandbox.observers.feed;
    until("the call", || feed.running().pop()).await;
    drop(running);
    until("its end", || feed.running().is_empty().then_some(())).await;
}
