//! Bodies: large ones, those that are too large, and those that never end.

use serde_json::{Value, json};

use super::web::{Got, Web, http2, post};

async fn web(max_body_bytes: u64) -> Web {
    with(json!({ "max_body_bytes": max_body_bytes })).await
}

async fn with(limits: Value) -> Web {
    Web::with(json!({ "resources": { "echo": {} }, "server": { "limits": limits } })).await
}

fn call(bytes: usize) -> String {
    let value = "x".repeat(bytes);
    json!({ "worker_id": "w", "action": "echo:echo", "params": { "value": value } }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_go_there_and_back() {
    let web = web(64 << 20).await;
    let request = web
        .client
        .post(web.url("/api/v1/execute"))
        .body(call(50 << 20));
    let text = request.send().await.unwrap().text().await.unwrap();
    let start = format!(
        r#"{{"code":0,"message":"success","data":"{}","meta":"#,
        "x".repeat(50 << 20)
    );
    assert!(text.starts_with(&start));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let web = web(100_000).await;
    let mut raw = web.connect().await;
    raw.say("POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100001\r\n\r\n")
        .await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    // A client that sends all the same gets to read the answer.
    for path in ["execute", "session/create", "warmup", "server/shutdown"] {
        let got = web
            .post_text(&format!("/api/v1/{path}"), call(5_000_000))
            .await;
        assert_eq!(got.codes(), (413, 1007), "{path}");
        assert!(got.message().contains("100000 bytes"), "{got:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_hundred_continue_reads_the_refusal_instead() {
    let web = web(100_000).await;
    let mut raw = web.connect().await;
    raw.say(
        "POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
         Content-Length: 100001\r\n\r\n",
    )
    .await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 413 "));
    let mut raw = web.connect().await;
    let body = call(10);
    let head = "POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n";
    raw.say(format!("{head}Content-Length: {}\r\n\r\n", body.len()))
        .await;
    assert_eq!(raw.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.say(body).await;
    assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_counted() {
    let web = web(100_000).await;
    let head =
        "POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut raw = web.connect().await;
    raw.say(head).await;
    let body = call(10);
    for part in [&body[..7], &body[7..]] {
        raw.say(format!("{:x}\r\n{part}\r\n", part.len())).await;
    }
    raw.say("0\r\n\r\n").await;
    assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));

    let mut raw = web.connect().await;
    raw.say(head).await;
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    raw.say(&chunk).await;
    raw.say(&chunk).await;
    assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up() {
    let web = with(json!({ "header_timeout": 0.2 })).await;
    let request =
        "POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
    let answer = web.ask(request).await.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("did not arrive in time"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_texts_of_many_clients_are_all_answered() {
    let web = web(4 << 20).await;
    let body = call(1 << 20);
    let calls = (0..16).map(|_| async {
        let request = web
            .client
            .post(web.url("/api/v1/execute"))
            .body(body.clone());
        Got::read(request.send().await.unwrap()).await
    });
    for got in futures_util::future::join_all(calls).await {
        assert!(matches!(got.data(), Value::String(text) if text.len() == 1 << 20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_sent_ahead_are_answered_in_order() {
    let web = web(100_000).await;
    let mut raw = web.connect().await;
    let call = |value: i32| {
        let body = json!({ "worker_id": "w", "action": "echo:echo", "params": { "value": value } });
        post("/api/v1/execute", &body.to_string())
    };
    raw.say(call(1) + &call(2) + &call(3)).await;
    for value in 1..=3 {
        raw.until(&format!(r#""data":{value},"meta":"#)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_large_body_to_the_wrong_place_reads_the_answer() {
    let web = web(64 << 20).await;
    for client in [web.client.clone(), http2().build().unwrap()] {
        for (method, path, status) in [
            ("POST", "/api/v1/execute/", 404),
            ("PUT", "/api/v1/execute", 405),
            ("POST", "/health", 405),
            ("POST", "/mcp/unknown", 404),
        ] {
            let method = method.parse().unwrap();
            let request = client.request(method, web.url(path)).body(call(5_000_000));
            let got = Got::read(request.send().await.unwrap()).await;
            assert_eq!(got.status, status, "{path}");
        }
    }
}
