//! Calls that take longer than clients wait.

use serde_json::{Value, json};

use super::client::{Client, text, with_tasks};
use crate::{
    engine::{lines, until},
    http::web::Web,
};

async fn web() -> Web {
    Web::with(json!({
        "resources": { "counter": {}, "hangs": { "config": { "journal": "journal" } } },
        "mcp": { "detach_after": 0.05 },
    }))
    .await
}

fn slow() -> Value {
    json!({ "by": 7, "ms": 400 })
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
    let id = call_id(&client.call("counter_add", slow()).await);
    let early = client
        .call("call_wait", json!({ "call_id": id, "seconds": 0.001 }))
        .await;
    assert!(text(&early).contains("still running"), "{early}");
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
    client.call("call_cancel", id.clone()).await;
    let journal = web.engine.file("journal");
    until("the cancellation", || {
        lines(&journal)
            .contains(&"cancelled in a tool".to_owned())
            .then_some(())
    })
    .await;
    let end = client.call("call_wait", id).await;
    assert_eq!(text(&end), "The call was cancelled.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_tasks_gets_one() {
    let web = web().await;
    let mut client = Client::new(&web);
    client.capabilities = with_tasks();
    let task = client.call("counter_add", slow()).await;
    assert_eq!(
        (&task["resultType"], &task["status"]),
        (&json!("task"), &json!("working"))
    );
    let id = json!({ "taskId": task["taskId"] });
    let done = loop {
        let got = client.ask("tasks/get", id.clone()).await;
        if got["status"] != "working" {
            break got;
        }
        tokio::task::yield_now().await;
    };
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
