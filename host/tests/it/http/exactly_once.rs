//! `Idempotency-Key`: a request that is sent again is not run again.

use std::{pin::pin, time::Duration};

use futures_util::future::join;
use sandbox_client::{Client, Error};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::web::{Got, Web};
use crate::engine::{again, until};

async fn web(config: Value) -> Web {
    let web = Web::with(json!({
        "server": { "idempotency": config },
        "resources": { "echo": {}, "counter": {} },
    }))
    .await;
    let session = json!({ "worker_id": "w", "resource_type": "counter" });
    web.post("/api/v1/session/create", session).await;
    web
}

fn add(worker: &str) -> Value {
    json!({ "worker_id": worker, "action": "counter:add", "params": {} })
}

async fn execute(web: &Web, key: &str, body: Value) -> Got {
    web.post_with("/api/v1/execute", &[("idempotency-key", key)], body)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_gets_the_first_answer() {
    let web = web(json!({})).await;
    let first = execute(&web, "one", add("w")).await;
    let again = execute(&web, "one", add("w")).await;
    assert_eq!(first.data(), &json!({ "value": 1 }));
    assert_eq!(first.body, again.body, "the same, down to its trace");
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        (Some("false"), Some("true"))
    );
    assert_eq!(execute(&web, "two", add("w")).await.data()["value"], 2);
    let batch = json!({ "worker_id": "w", "actions": [{ "action": "counter:add" }] });
    for _ in 0..2 {
        let headers = [("idempotency-key", "three")];
        let got = web
            .post_with("/api/v1/execute/batch", &headers, batch.clone())
            .await;
        assert_eq!(got.data()["results"][0]["data"]["value"], 3);
    }
    let counters = &web.engine.sandbox.observers.kept;
    assert_eq!(
        counters.replays.load(std::sync::atomic::Ordering::Relaxed),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_one_request_of_one_worker() {
    let web = web(json!({})).await;
    execute(&web, "one", add("w")).await.data();
    let mut other = add("w");
    other["params"] = json!({ "by": 5 });
    assert_eq!(execute(&web, "one", other).await.codes(), (422, 1002));
    let headers = [("idempotency-key", "one")];
    let batch = json!({ "worker_id": "w", "actions": [] });
    let got = web
        .post_with("/api/v1/execute/batch", &headers, batch)
        .await;
    assert_eq!(got.codes(), (422, 1002));
    let elsewhere = execute(&web, "one", add("another")).await;
    assert_eq!(elsewhere.header("idempotency-replayed"), Some("false"));
    for wrong in ["", "\u{4e16}", &"x".repeat(256)] {
        assert_eq!(execute(&web, wrong, add("w")).await.codes(), (400, 1002));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_waits_while_the_first_runs_even_when_its_client_is_gone() {
    let web = web(json!({ "return_within": 60 })).await;
    let go = web.engine.file("go");
    let body = json!({ "worker_id": "w", "action": "counter:add", "params": { "until": go } });
    let mut lost = web.connect().await;
    let text = body.to_string();
    lost.say(format!(
        "POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\n\
         Content-Length: {}\r\n\r\n{text}",
        text.len()
    ))
    .await;
    let feed = &web.engine.sandbox.observers.feed;
    let first = until("the call", || feed.running().pop()).await;
    drop(lost);
    let mut both = pin!(join(
        execute(&web, "k", body.clone()),
        execute(&web, "k", body)
    ));
    let early = timeout(Duration::from_millis(100), &mut both).await;
    assert!(early.is_err(), "answered before the first has ended");
    std::fs::write(go, "").unwrap();
    let (one, two) = both.await;
    assert_eq!(
        (one.data(), two.data()),
        (&json!({ "value": 1 }), &json!({ "value": 1 }))
    );
    assert_eq!(feed.recent().len(), 1, "one call for three requests");
    assert_eq!(feed.recent()[0].id, first.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_come_back_has_its_call_cancelled() {
    let web = web(json!({ "return_within": 0.05 })).await;
    let body = json!({ "worker_id": "w", "action": "echo:sleep", "params": { "ms": 60_000 } });
    let text = body.to_string();
    let mut lost = web.connect().await;
    lost.say(format!(
        "POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\n\
         Content-Length: {}\r\n\r\n{text}",
        text.len()
    ))
    .await;
    let feed = &web.engine.sandbox.observers.feed;
    until("the call", || feed.running().pop()).await;
    drop(lost);
    let ended = until("its end", || feed.recent().pop()).await;
    assert_eq!((ended.code, ended.running), (None, false));
    let late = execute(&web, "k", body).await;
    assert_eq!(late.codes(), (504, 2002), "it is not run a second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_runs_again() {
    let web = web(json!({ "ttl": 0.05 })).await;
    execute(&web, "one", add("w")).await.data();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(execute(&web, "one", add("w")).await.data()["value"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_does_not_run_what_the_first_may_have_run() {
    let web = web(json!({})).await;
    let first = execute(&web, "one", add("w")).await;
    let instance = first.header("idempotency-instance").unwrap();
    let again = |key, instance| [("idempotency-key", key), ("idempotency-instance", instance)];
    let path = "/api/v1/execute";
    let got = web.post_with(path, &again("one", instance), add("w")).await;
    assert_eq!(got.data()["value"], 1);
    let got = web
        .post_with(path, &again("two", "another"), add("w"))
        .await;
    assert_eq!(
        (got.codes(), got.header("idempotency-replayed")),
        ((409, 1002), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_sent_before_is_never_run_anew() {
    let web = web(json!({ "max_answers": 1 })).await;
    let path = "/api/v1/execute";
    let repeat = |key| [("idempotency-key", key), ("idempotency-repeat", "true")];
    let got = web.post_with(path, &repeat("never came"), add("w")).await;
    assert_eq!(
        (got.codes(), got.header("idempotency-replayed")),
        ((409, 1002), None)
    );
    let first = execute(&web, "one", add("w")).await;
    let instance = first.header("idempotency-instance").unwrap();
    let again = web.post_with(path, &repeat("one"), add("w")).await;
    assert_eq!(
        (again.data(), &again.body),
        (&json!({ "value": 1 }), &first.body)
    );
    assert_eq!(execute(&web, "two", add("w")).await.data()["value"], 2);
    for mark in [
        ("idempotency-repeat", "true"),
        ("idempotency-instance", instance),
    ] {
        let headers = [("idempotency-key", "one"), mark];
        let got = web.post_with(path, &headers, add("w")).await;
        assert_eq!(got.codes(), (409, 1002), "{mark:?}: it was forgotten");
    }
    assert_eq!(execute(&web, "three", add("w")).await.data()["value"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_will_not_come_back_may_say_so() {
    let web = web(json!({ "return_within": 600 })).await;
    let body = json!({ "worker_id": "w", "action": "echo:sleep", "params": { "ms": 60_000 } });
    let give_up = async |key| {
        let headers = [("idempotency-key", key), ("idempotency-abandon", "true")];
        let whose = json!({ "worker_id": "w" });
        web.post_with("/api/v1/execute", &headers, whose).await
    };
    let feed = &web.engine.sandbox.observers.feed;
    let (first, farewell) = tokio::join!(execute(&web, "k", body.clone()), async {
        until("the call", || feed.running().pop()).await;
        give_up("k").await
    });
    assert_eq!(
        (first.codes(), farewell.codes()),
        ((504, 2002), (504, 2002))
    );
    let ended = until("its end", || feed.recent().pop()).await;
    assert_eq!((ended.code, ended.running), (None, false));

    // It may overtake the request that it is about.
    assert_eq!(give_up("late").await.codes(), (504, 2002));
    assert_eq!(execute(&web, "late", body).await.codes(), (504, 2002));
    assert_eq!(feed.recent().len(), 1, "it did not run");

    let done = execute(&web, "done", add("w")).await;
    assert_eq!(give_up("done").await.body, done.body);
}

/// Passes bytes on, and cuts the connection before the answer to the `cut`-th request.
async fn cutting(to: std::net::SocketAddr, cut: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut answers = 0;
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(to).await.unwrap();
            let (mut asked, mut answer) = (vec![0; 65536], vec![0; 65536]);
            loop {
                tokio::select! {
                    read = near.read(&mut asked) => match read {
                        Ok(read @ 1..) => far.write_all(&asked[..read]).await.unwrap(),
                        _ => break,
                    },
                    read = far.read(&mut answer) => {
                        answers += 1;
                        match read {
                            Ok(read @ 1..) if answers != cut => near.write_all(&answer[..read]).await.unwrap(),
                            _ => break,
                        }
                    }
                }
            }
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_asks_again_when_its_connection_is_lost_and_the_tool_ran_once() {
    let web = web(json!({})).await;
    let url = cutting(web.address, 2).await;
    let client = Client::builder().url(url).worker_id("w").build().unwrap();
    for expected in 1..=3 {
        let answer = client.execute("counter:add", &json!({}), None).await;
        assert_eq!(answer.unwrap().data, json!({ "value": expected }));
    }
    let kept = &web.engine.sandbox.observers.kept;
    assert_eq!(kept.replays.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_of_no_kept_answers_does_not_ask_again() {
    let web = web(json!({})).await;
    let url = cutting(web.address, 1).await;
    let client = Client::builder().url(url).worker_id("w").build().unwrap();
    let lost = client.execute("counter:add", &json!({}), None).await;
    assert!(matches!(lost, Err(Error::Transport { .. })), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_answers_is_kept_whatever_its_code() {
    let web = web(json!({})).await;
    for code in [1007, 2003, 2004, 5002] {
        let key = format!("k{code}");
        let params = json!({ "code": code, "message": "as told" });
        let body = json!({ "worker_id": "w", "action": "echo:fail", "params": params });
        let first = execute(&web, &key, body.clone()).await;
        let again = execute(&web, &key, body).await;
        assert_eq!((first.codes(), &first.body), (again.codes(), &again.body));
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{code}");
    }
    assert_eq!(web.engine.sandbox.observers.feed.recent().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_before_the_tool_ran_is_run_again() {
    let web = Web::of(json!({ "hybrid": { "config": { "cold_starts": 1 } } })).await;
    let body = json!({ "worker_id": "w", "action": "hybrid:touch" });
    assert_eq!(execute(&web, "k", body.clone()).await.status, 503);
    let again = execute(&web, "k", body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("false"));
    again.data();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_whether_its_answer_was_there_before() {
    let web = web(json!({})).await;
    let mut ends = Vec::new();
    for replayed in ["false", "true"] {
        let request = web.client.post(web.url("/api/v1/execute"));
        let request = request
            .header("accept", "text/event-stream")
            .header("idempotency-key", "one");
        let response = request.body(add("w").to_string()).send().await.unwrap();
        assert_eq!(response.headers()["idempotency-replayed"], replayed);
        assert!(response.headers().contains_key("idempotency-instance"));
        ends.push(response.text().await.unwrap());
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_called_by_its_own_address_takes_a_key_too() {
    let web = web(json!({})).await;
    let path = "/api/v1/tools/counter:add/call";
    let headers = [("idempotency-key", "one"), ("x-worker-id", "w")];
    for replayed in ["false", "true"] {
        let got = web.post_with(path, &headers, json!({})).await;
        assert_eq!(got.data(), &json!({ "value": 1 }));
        assert_eq!(got.header("idempotency-replayed"), Some(replayed));
    }
    // The same body sent to another tool is another request.
    let other = "/api/v1/tools/counter:get/call";
    let got = web.post_with(other, &headers, json!({})).await;
    assert_eq!(got.codes(), (422, 1002));
}

/// Passes each connection on to the next of these, and closes it after so many answers, or before the first.
async fn relaying(to: Vec<(std::net::SocketAddr, usize)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for (to, answers) in to {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(to).await.unwrap();
            let (mut asked, mut answer) = (vec![0; 65536], vec![0; 65536]);
            let mut given = 0;
            while given == 0 || given < answers {
                tokio::select! {
                    read = near.read(&mut asked) => match read {
                        Ok(read @ 1..) => far.write_all(&asked[..read]).await.unwrap(),
                        _ => break,
                    },
                    read = far.read(&mut answer) => match read {
                        Ok(read @ 1..) if answers > 0 => {
                            near.write_all(&answer[..read]).await.unwrap();
                            given += 1;
                        }
                        _ => break,
                    },
                }
            }
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_at_one_address_the_second_does_not_run_what_the_first_ran() {
    let (one, two) = (web(json!({})).await, web(json!({})).await);
    let url = relaying(vec![(two.address, 1), (one.address, 0), (two.address, 9)]).await;
    let client = Client::builder().url(url).worker_id("w").build().unwrap();
    let first = client.execute("counter:add", &json!({}), None).await;
    assert_eq!(first.unwrap().data, json!({ "value": 1 }));
    let lost = client.execute("counter:add", &json!({}), None).await;
    assert!(matches!(lost, Err(Error::Transport { .. })), "{lost:?}");
    assert_eq!(execute(&two, "two", add("w")).await.data()["value"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_has_its_call_cancelled() {
    let web = web(json!({ "return_within": 600 })).await;
    let url = format!("http://{}", web.address);
    let feed = &web.engine.sandbox.observers.feed;
    again("a call that came in time", async |limit| {
        let builder = Client::builder().url(&url).worker_id("w");
        let client = builder.timeout(limit).build().unwrap();
        let params = json!({ "ms": 60_000 });
        let late = client.execute("echo:sleep", &params, None).await;
        assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
        // The word that nobody waits may have overtaken it; then it does not run.
        let ran = !feed.running().is_empty() || !feed.recent().is_empty();
        ran.then_some(())
    })
    .await;
    let ended = until("its end", || feed.recent().pop()).await;
    assert_eq!((ended.code, ended.running), (None, false));
}
