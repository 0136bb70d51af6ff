//! Calls that take longer than clients wait.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::client::{Client, text, with_tasks};
use crate::{engine::again, http::web::Web};

async fn web() -> Web {
    Web::with(json!({
        "resources": { "counter": {}, "hangs": { "config": { "journal": "journal" } } },
        "mcp": { "detach_after": 0.05 },
    }))
    .await
}

/// A call that goes on until this file is there.
fn slow(until: &Path) -> Value {
    json!({ "by": 7, "until": until })
}

/// The handle in the text that says how to go on.
fn call_id(result: &Value) -> String {
    let text = text(result);
    let (_, rest) = text
        .split_once(r#"{"call_id":""#)
        .unwrap_or_else(|| panic!("{text}"));
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_comes_back_and_the_result_is_waited_for() {
    let web = web().await;
    let client = Client::new(&web);
    let file = web.engine.file("go");
    let id = call_id(&client.call("counter_add", slow(&file)).await);
    let early = client
        .call("call_wait", json!({ "call_id": id, "seconds": 0.001 }))
        .await;
    assert!(text(&early).contains("still running"), "{early}");
    fs::write(file, "").unwrap();
    let result = client
        .call("call_wait", json!({ "call_id": id, "seconds": 30 }))
        .await;
    assert!(text(&result).contains('7'), "{result}");
    let again = client.call("call_wait", json!({ "call_id": id })).await;
    assert_eq!(result, again);
    let unknown = client.call("call_wait", json!({ "call_id": "0" })).await;
    assert_eq!(unknown["isError"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_on_can_be_cancelled() {
    let web = web().await;
    let client = Client::new(&web);
    let id = json!({ "call_id": call_id(&client.call("hangs_forever", json!({})).await) });
    web.engine.written("hanging in a tool").await;
    client.call("call_cancel", id.clone()).await;
    web.engine.written("cancelled in a tool").await;
    let end = client.call("call_wait", id).await;
    assert_eq!(text(&end), "The call was cancelled.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_tasks_gets_one() {
    let web = web().await;
    let mut client = Client::new(&web);
    client.capabilities = with_tasks();
    let file = web.engine.file("go");
    let task = client.call("counter_add", slow(&file)).await;
    assert_eq!(
        (&task["resultType"], &task["status"]),
        (&json!("task"), &json!("working"))
    );
    let id = json!({ "taskId": task["taskId"] });
    let got = client.ask("tasks/get", id.clone()).await;
    assert_eq!(got["status"], "working");
    fs::write(file, "").unwrap();
    let done = again("the end", async |_| {
        let got = client.ask("tasks/get", id.clone()).await;
        (got["status"] != "working").then_some(got)
    })
    .await;
    assert_eq!(done["status"], "completed");
    assert!(text(&done["result"]).contains('7'), "{done}");
    let task = client.call("hangs_forever", json!({})).await;
    let id = json!({ "taskId": task["taskId"] });
    client.ask("tasks/cancel", id.clone()).await;
    let gone = client.ask("tasks/get", id.clone()).await;
    assert_eq!(gone["status"], "cancelled");
    client.capabilities = json!({});
    let refused = client.send("tasks/get", id).await;
    assert_eq!(refused.body["error"]["code"], -32021);
}
