//! Keys: what is asked for, and that nobody reaches what is another's.

use serde_json::json;

use super::client::{Client, block, text};
use crate::http::web::Web;

async fn web() -> Web {
    let keys = json!([
        { "name": "ann", "key": "0123456789abcdef-ann" },
        { "name": "bob", "key": "0123456789abcdef-bob" },
    ]);
    Web::with(json!({
        "resources": { "counter": {}, "echo": {} },
        "security": { "auth": { "keys": keys } },
        "mcp": { "max_text_bytes": 1024 },
    }))
    .await
}

fn of<'w>(web: &'w Web, key: &'static str) -> Client<'w> {
    let mut client = Client::new(web);
    client.key = Some(key);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_key_is_told_where_it_says_how() {
    let web = web().await;
    let got = Client::new(&web).send("tools/list", json!({})).await;
    assert_eq!(got.status, 401);
    let challenge = got.header("www-authenticate").unwrap();
    let (_, url) = challenge.split_once("resource_metadata=\"").unwrap();
    let url = url.trim_end_matches('"');
    assert_eq!(url, web.url("/.well-known/oauth-protected-resource/mcp"));
    let document = web.client.get(url).send().await.unwrap();
    let document: serde_json::Value =
        serde_json::from_str(&document.text().await.unwrap()).unwrap();
    assert_eq!(document["resource"], json!(web.url("/mcp")));
    assert_eq!(document["bearer_methods_supported"], json!(["header"]));
    assert!(!of(&web, "0123456789abcdef-ann").tools().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_to_what_is_anothers() {
    let web = web().await;
    let (ann, bob) = (
        of(&web, "0123456789abcdef-ann"),
        of(&web, "0123456789abcdef-bob"),
    );
    let made = ann
        .data("session_create", json!({ "resource_type": "counter" }))
        .await;
    let of_ann = json!({ "session_id": made["session_id"] });
    for tool in ["counter_get", "session_list", "session_destroy"] {
        let refused = bob.call(tool, of_ann.clone()).await;
        assert_eq!(refused["isError"], true);
        assert!(text(&refused).starts_with("Error 1003"), "{refused}");
    }
    let large = ann.call("echo_big", json!({ "bytes": 2000 })).await;
    let uri = json!({ "uri": block(&large, "resource_link")["uri"] });
    let read = ann.ask("resources/read", uri.clone()).await;
    assert!(read["contents"][0]["text"].as_str().unwrap().len() > 2000);
    let refused = bob.send("resources/read", uri).await;
    assert_eq!(refused.body["error"]["code"], -32602);
    ann.data("counter_get", of_ann).await;
}
