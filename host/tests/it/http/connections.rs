//! Connections: both versions of HTTP, slow and silent clients, too many of them, and the end of all.

use std::time::{Duration, Instant};

use serde_json::json;

use super::web::{PATIENCE, Web, http2, post};
use crate::engine::{lines, until};

async fn web(limits: serde_json::Value) -> Web {
    let resources = json!({ "echo": {}, "hangs": { "config": { "journal": "journal" } } });
    Web::with(json!({ "resources": resources, "server": { "limits": limits } })).await
}

fn echo() -> String {
    json!({ "worker_id": "w", "action": "echo:echo", "params": { "value": 1 } }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_needs_no_upgrade() {
    let web = web(json!({})).await;
    let client = http2().build().unwrap();
    let calls = (0..100).map(|_| async {
        let answer = client
            .post(web.url("/api/v1/execute"))
            .body(echo())
            .send()
            .await
            .unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (200, http::Version::HTTP_2)
        );
    });
    futures_util::future::join_all(calls).await;
    let large = json!({ "worker_id": "w", "action": "echo:big", "params": { "bytes": 3_000_000 } });
    let answer = client
        .post(web.url("/api/v1/execute"))
        .body(large.to_string())
        .send()
        .await
        .unwrap();
    assert!(answer.text().await.unwrap().len() > 3_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let web = web(json!({ "header_timeout": 0.3, "idle_timeout": 60 })).await;
    for before in [None, Some(post("/api/v1/execute", &echo()))] {
        let mut started = Instant::now();
        let raw = match before {
            // The time begins with the connection.
            None => web.connect().await,
            Some(request) => {
                let mut raw = web.ask(&request).await;
                raw.until("}}").await;
                started = Instant::now();
                raw
            }
        };
        let (mut reader, mut writer) = raw.0.into_split();
        let slow = tokio::spawn(async move {
            for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
                .iter()
                .cycle()
            {
                use tokio::io::AsyncWriteExt;
                tokio::time::sleep(Duration::from_millis(20)).await;
                if writer.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        });
        let mut rest = Vec::new();
        let end = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut rest);
        let _ = tokio::time::timeout(PATIENCE, end)
            .await
            .expect("the connection is cut");
        assert!(
            started.elapsed() >= Duration::from_millis(300),
            "{:?}",
            started.elapsed()
        );
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
        slow.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed_and_busy_ones_are_not() {
    let web = web(json!({ "header_timeout": 0.1, "idle_timeout": 0.2 })).await;
    let mut never = web.connect().await;
    // Longer than a connection that is given up still has for what it is doing.
    let sleep = json!({ "worker_id": "w", "action": "echo:sleep", "params": { "ms": 1500 } });
    let (once, busy) = (echo(), sleep.to_string());
    let [once, busy] = [once, busy].map(|body| post("/api/v1/execute", &body));
    let (mut once, mut busy) = tokio::join!(web.ask(&once), web.ask(&busy));
    assert_eq!(never.rest().await, "");
    assert!(once.rest().await.ends_with("}}"));
    assert!(busy.rest().await.contains(r#"{"slept":1500}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let web = web(json!({ "max_connections": 1 })).await;
    let mut first = web.connect().await;
    let forever = json!({ "worker_id": "w", "action": "hangs:forever" });
    first
        .say(post("/api/v1/execute", &forever.to_string()))
        .await;
    let journal = web.engine.file("journal");
    until("the first call", || {
        (!lines(&journal).is_empty()).then_some(())
    })
    .await;
    let mut second = web.connect().await;
    second
        .say("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let early = tokio::time::timeout(Duration::from_millis(200), second.0.readable()).await;
    assert!(early.is_err(), "answered beyond the limit");
    drop(first);
    second.until("\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_is_under_way() {
    let web = Web::of(json!({ "echo": {}, "counter": {} })).await;
    let mut idle = web.connect().await;
    idle.say(post("/api/v1/execute", &echo())).await;
    idle.until("}}").await;
    let mut busy = web.connect().await;
    let closed = web.engine.file("closed");
    let add = json!({ "worker_id": "w", "action": "counter:add", "params": { "until": closed } });
    busy.say(post("/api/v1/execute", &add.to_string())).await;
    let mut partial = web.connect().await;
    partial.say("GET /hea").await;
    let feed = &web.engine.sandbox.observers.feed;
    until("the call", || feed.running().pop()).await;
    web.closing.cancel();
    assert_eq!(idle.rest().await, "");
    std::fs::write(closed, "").unwrap();
    assert!(busy.rest().await.contains(r#"{"value":1}"#));
    tokio::time::timeout(PATIENCE, web.serving)
        .await
        .expect("serving ends")
        .unwrap();
    partial.rest().await;
    assert!(tokio::net::TcpStream::connect(web.address).await.is_err());
}
