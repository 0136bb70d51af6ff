//! What becomes of answers and failures.

use serde_json::json;

use super::client::{Client, block, text};
use crate::http::web::Web;

#[tokio::test(flavor = "multi_thread")]
async fn data_is_structured_and_a_text_and_pictures_are_pictures() {
    let web = Web::of(json!({ "echo": {} })).await;
    let client = Client::new(&web);
    let given = json!({ "a": [1, "zwei"] });
    let result = client.call("echo_echo", json!({ "value": given })).await;
    assert_eq!(result["structuredContent"], given);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(text(&result)).unwrap(),
        given
    );
    let result = client.call("echo_text", json!({ "text": "hello" })).await;
    assert_eq!(text(&result), "hello");
    let result = client.call("echo_image", json!({})).await;
    let picture = block(&result, "image");
    assert_eq!(picture["mimeType"], "image/png");
    assert!(picture["data"].as_str().unwrap().starts_with("iVBOR"));
    assert_eq!(result["structuredContent"], json!({ "size": [1, 1] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_what_is_wrong_and_what_to_do() {
    let web = Web::of(json!({ "echo": {}, "panics": {} })).await;
    let client = Client::new(&web);
    let failed = client
        .call(
            "echo_fail",
            json!({ "code": 4321, "message": "no such thing" }),
        )
        .await;
    assert_eq!(failed["isError"], true);
    assert_eq!(
        text(&failed).lines().next(),
        Some("Error 4321: no such thing")
    );
    assert_eq!(failed["_meta"]["sandbox/code"], 4321);
    let wrong = client.call("echo_text", json!({ "txt": 1 })).await;
    assert!(text(&wrong).starts_with("Error 1002") && text(&wrong).contains("input schema"));
    let got = client
        .send("tools/call", json!({ "name": "echo_ehco" }))
        .await;
    assert_eq!(got.body["error"]["code"], -32602);
    let message = got.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("did you mean `echo_echo`?"), "{message}");
    let hidden = client
        .send("tools/call", json!({ "name": "echo_whisper" }))
        .await;
    assert_eq!(hidden.body["error"]["code"], -32602);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_request_is_the_calls() {
    let web = Web::of(json!({ "echo": {} })).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let meta = json!({ "traceparent": format!("00-{trace}-00f067aa0ba902b7-01") });
    let params = json!({ "name": "echo_context", "arguments": {}, "_meta": meta });
    let result = Client::new(&web).ask("tools/call", params).await;
    assert_eq!(result["structuredContent"]["trace"], trace);
    assert_eq!(result["_meta"]["sandbox/trace_id"], trace);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_to_those_who_asked() {
    let web = Web::of(json!({ "echo": {} })).await;
    let client = Client::new(&web);
    let mut params = json!({ "name": "echo_steps", "arguments": { "steps": 3 } });
    let quiet = client.ask("tools/call", params.clone()).await;
    assert_eq!(quiet["structuredContent"]["steps"], 3);
    params["_meta"] = json!({ "progressToken": "mine" });
    let message = client.message("tools/call", params);
    let response = client.request(&message).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = response.text().await.unwrap();
    let messages = events.lines().filter_map(|line| line.strip_prefix("data:"));
    let messages: Vec<serde_json::Value> = messages
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let (result, steps) = messages.split_last().unwrap();
    assert_eq!(result["result"]["structuredContent"]["steps"], 3);
    let steps: Vec<_> = steps.iter().map(|step| &step["params"]).collect();
    assert_eq!(steps.len(), 3);
    for (step, done) in steps.iter().zip(1..) {
        assert_eq!(step["progressToken"], "mine");
        assert_eq!(
            (step["progress"].as_f64(), step["total"].as_f64()),
            (Some(f64::from(done)), Some(3.0))
        );
    }
}
