//! Which tools a client sees.

use serde_json::json;

use super::client::Client;
use crate::http::web::Web;

async fn web() -> Web {
    Web::with(json!({
        "resources": { "counter": {}, "echo": {} },
        "mcp": { "tools": ["counter:*", "echo_*"] },
    }))
    .await
}

fn at<'w>(web: &'w Web, path: &str) -> Client<'w> {
    let mut client = Client::new(web);
    path.clone_into(&mut client.path);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_in_order_and_says_all_about_each_tool() {
    let web = web().await;
    let client = Client::new(&web);
    let names = client.tools().await;
    let own = names.iter().position(|name| name == "call_cancel").unwrap();
    assert!(
        names[..own].is_sorted() && names[own..].is_sorted(),
        "{names:?}"
    );
    assert_eq!(names, client.tools().await);
    assert!(!names.contains(&"echo_whisper".to_owned()));
    let list = client.ask("tools/list", json!({})).await;
    let tool = |name: &str| {
        let tools = list["tools"].as_array().unwrap();
        tools.iter().find(|tool| tool["name"] == name).unwrap()
    };
    let echo = tool("echo_echo");
    assert_eq!(echo["annotations"]["readOnlyHint"], true);
    assert_eq!(echo["annotations"]["idempotentHint"], true);
    assert!(echo["inputSchema"]["properties"]["session_id"].is_null());
    assert!(tool("counter_get")["inputSchema"]["properties"]["session_id"].is_object());
    // A client whose connection has a session needs no argument for it.
    let old = Client::old(&web).await;
    let list = old.ask("tools/list", json!({})).await;
    assert!(
        !list["tools"]
            .to_string()
            .contains("as `session_create` gave it")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn path_and_query_narrow_the_list_and_the_calls() {
    let web = web().await;
    let echo = at(&web, "/mcp/echo");
    let names = echo.tools().await;
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("echo_") || name.starts_with("call_"))
    );
    let got = echo
        .send("tools/call", json!({ "name": "counter_get" }))
        .await;
    assert_eq!(got.body["error"]["code"], -32602);
    let two = at(&web, "/mcp?tools=echo_text,counter:get");
    let names = two.tools().await;
    assert_eq!(names[..2], ["counter_get", "echo_text"]);
    assert_eq!(
        at(&web, "/mcp/nothing")
            .send("tools/list", json!({}))
            .await
            .status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compact_list_finds_and_calls_the_others() {
    let web = web().await;
    let client = at(&web, "/mcp?compact=true");
    assert_eq!(client.tools().await, ["call_tool", "search_tools"]);
    let found = client
        .data("search_tools", json!({ "query": "picture" }))
        .await;
    assert_eq!(found["tools"][0]["name"], "echo_image");
    assert!(found["tools"][0]["input_schema"].is_object());
    let all = client.data("search_tools", json!({})).await;
    assert!(
        all["tools"]
            .as_array()
            .unwrap()
            .contains(&json!("session_create"))
    );
    let call = json!({ "name": "echo_echo", "arguments": { "value": { "x": 1 } } });
    assert_eq!(client.data("call_tool", call).await, json!({ "x": 1 }));
    let made = json!({ "name": "session_create", "arguments": { "resource_type": "counter" } });
    assert!(client.data("call_tool", made).await["session_id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_can_be_without_it() {
    let web = Web::with(json!({ "resources": { "echo": {} }, "mcp": { "enabled": false } })).await;
    assert_eq!(
        Client::new(&web).send("tools/list", json!({})).await.status,
        404
    );
}
