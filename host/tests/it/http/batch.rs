//! Batches: in order, bounded, and honest about what failed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::web::{Got, Web};
use crate::engine::until;

async fn web() -> Web {
    let limits = json!({ "max_batch_actions": 100, "batch_concurrency": 4 });
    Web::with(json!({ "resources": { "echo": {}, "counter": {} }, "server": { "limits": limits } }))
        .await
}

async fn batch(web: &Web, actions: Value, more: Value) -> Got {
    let mut body = json!({ "worker_id": "w", "actions": actions });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    web.post("/api/v1/execute/batch", body).await
}

fn echo(value: impl Into<Value>) -> Value {
    json!({ "action": "echo:echo", "params": { "value": value.into() } })
}

fn wrong() -> Value {
    json!({ "action": "echo:nothing" })
}

/// How many were asked for, how many ran, how many succeeded.
fn counts(got: &Got) -> [u64; 3] {
    ["total", "executed", "success_count"].map(|key| got.body["data"][key].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_envelopes_in_the_order_asked() {
    let web = web().await;
    for parallel in [false, true] {
        let sleep = |ms: u64| json!({ "action": "echo:sleep", "params": { "ms": ms } });
        let actions = json!([sleep(40), echo("second"), sleep(1), echo(4)]);
        let got = batch(&web, actions, json!({ "parallel": parallel })).await;
        let results = got.data()["results"].as_array().unwrap();
        let data: Vec<_> = results.iter().map(|result| &result["data"]).collect();
        assert_eq!(
            json!(data),
            json!([{ "slept": 40 }, "second", { "slept": 1 }, 4])
        );
        assert_eq!(counts(&got), [4, 4, 4]);
        assert_eq!(got.body["meta"]["tool"], "batch:execute");
        assert_eq!(got.body["meta"]["resource_type"], Value::Null);
        assert_eq!(results[1]["meta"]["tool"], "echo:echo");
        assert_eq!(results[1]["meta"]["trace_id"], got.body["meta"]["trace_id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_says_whether_some_or_all_failed() {
    let web = web().await;
    let on = json!({ "stop_on_error": false });
    let some = batch(&web, json!([echo(1), wrong(), echo(3)]), on.clone()).await;
    assert_eq!((some.codes(), counts(&some)), ((207, 2005), [3, 3, 2]));
    assert_eq!(some.body["data"]["results"][1]["code"], 1001);
    let all = batch(&web, json!([wrong(), wrong()]), on).await;
    assert_eq!((all.codes(), counts(&all)), ((500, 2006), [2, 2, 0]));
    let none = batch(&web, json!([]), json!({})).await;
    assert_eq!((none.codes(), counts(&none)), ((200, 0), [0, 0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_stops_at_its_first_failure_unless_told_otherwise() {
    let web = web().await;
    let stopped = batch(&web, json!([echo(1), wrong(), echo(3)]), json!({})).await;
    assert_eq!(
        (stopped.codes(), counts(&stopped)),
        ((207, 2005), [3, 2, 1])
    );
    assert_eq!(stopped.body["data"]["results"].as_array().unwrap().len(), 2);
    let at_once = batch(&web, json!([wrong(), echo(3)]), json!({ "parallel": true })).await;
    assert_eq!(
        (at_once.codes(), counts(&at_once)),
        ((207, 2005), [2, 2, 1])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_some_actions_run_at_the_same_time() {
    let web = web().await;
    let create = json!({ "worker_id": "w", "resource_type": "counter" });
    web.post("/api/v1/session/create", create).await.data();
    let actions: Vec<_> = (0..12)
        .map(|_| json!({ "action": "echo:sleep", "params": { "ms": 30 } }))
        .collect();
    let started = Instant::now();
    let got = batch(&web, json!(actions), json!({ "parallel": true })).await;
    assert_eq!(counts(&got), [12, 12, 12]);
    // Three rounds of four; all at once would take one.
    assert!(
        started.elapsed() >= Duration::from_millis(90),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_a_limit() {
    let web = web().await;
    let actions = |count: usize| Value::from(vec![echo(1); count]);
    assert_eq!(
        counts(&batch(&web, actions(100), json!({})).await),
        [100, 100, 100]
    );
    let got = batch(&web, actions(101), json!({})).await;
    assert_eq!(got.codes(), (400, 1002));
    assert!(got.message().contains("at most 100"), "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_more_is_begun_after_a_failure_unless_told_otherwise() {
    let web = web().await;
    let mut actions = vec![wrong()];
    let sleep = json!({ "action": "echo:sleep", "params": { "ms": 20 } });
    actions.extend(vec![sleep; 20]);
    let parallel = json!({ "parallel": true });
    let stopped = batch(&web, json!(actions), parallel).await;
    // As many as run at the same time had begun.
    assert_eq!(
        (stopped.codes(), counts(&stopped)),
        ((207, 2005), [21, 4, 3])
    );
    let on = json!({ "parallel": true, "stop_on_error": false });
    assert_eq!(counts(&batch(&web, json!(actions), on).await), [21, 21, 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_stopped_at_its_first_action_did_not_fail_altogether() {
    let web = web().await;
    let stopped = batch(&web, json!([wrong(), echo(1)]), json!({})).await;
    assert_eq!(
        (stopped.codes(), counts(&stopped)),
        ((207, 2005), [2, 1, 0])
    );
    assert_eq!(stopped.message(), "partial failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_ends_the_batches_it_has_begun_and_begins_no_others() {
    let web = web().await;
    let sandbox = &web.engine.sandbox;
    let draining = web.engine.file("draining");
    let add = json!({ "action": "counter:add", "params": { "until": draining } });
    let begun = batch(&web, json!([add, echo(2)]), json!({}));
    let drain = async {
        until("the call", || sandbox.observers.feed.running().pop()).await;
        sandbox.drain();
        std::fs::write(draining, "").unwrap();
    };
    let (begun, ()) = tokio::join!(begun, drain);
    assert_eq!((begun.codes(), counts(&begun)), ((200, 0), [2, 2, 2]));
    for parallel in [false, true] {
        let late = batch(&web, json!([echo(1)]), json!({ "parallel": parallel })).await;
        assert_eq!(
            (late.codes(), late.header("retry-after")),
            ((503, 5002), Some("1"))
        );
    }
}
