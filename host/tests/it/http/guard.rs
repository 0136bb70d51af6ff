//! Who may come in: host names, web pages, keys, and how often.

use serde_json::{Value, json};

use super::web::{Got, Web, http2};
use crate::engine::{lines, until};

async fn web(security: Value) -> Web {
    let resources = json!({ "echo": {}, "counter": { "config": { "journal": "journal" } } });
    Web::with(json!({ "resources": resources, "security": security })).await
}

async fn execute(web: &Web, headers: &[(&str, &str)]) -> Got {
    let body = json!({ "worker_id": "w", "action": "echo:echo", "params": { "value": 1 } });
    web.post_with("/api/v1/execute", headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_may_change_nothing() {
    let web = web(json!({ "allowed_origins": ["https://app.example.org"] })).await;
    for (origin, kind) in [
        ("https://evil.example.org", "text/plain"),
        ("https://evil.example.org", "application/json"),
        ("http://app.example.org", "application/json"),
        ("null", "application/x-www-form-urlencoded"),
    ] {
        let headers = [("origin", origin), ("content-type", kind)];
        let got = execute(&web, &headers).await;
        assert_eq!(
            (got.codes(), got.header("access-control-allow-origin")),
            ((403, 1006), None)
        );
        let stop = web
            .post_with("/api/v1/server/shutdown", &headers, json!({}))
            .await;
        assert_eq!(stop.codes(), (403, 1006));
    }
    let got = execute(&web, &[("origin", "https://app.example.org")]).await;
    got.data();
    assert_eq!(
        got.header("access-control-allow-origin"),
        Some("https://app.example.org")
    );
    assert_eq!(got.header("vary"), Some("origin"));
    execute(&web, &[]).await.data();
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_which_pages_may() {
    let web = web(json!({ "allowed_origins": ["https://app.example.org"], "auth": { "api_key": "0123456789abcdef" } })).await;
    let ask = |origin: &'static str| {
        let request = web
            .client
            .request(http::Method::OPTIONS, web.url("/api/v1/execute"));
        let request = request
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        request
            .header("access-control-request-headers", "content-type")
            .send()
    };
    let yes = ask("https://app.example.org").await.unwrap();
    assert_eq!(yes.status(), 204);
    let header = |name: &str| yes.headers()[name].to_str().unwrap();
    assert_eq!(
        header("access-control-allow-origin"),
        "https://app.example.org"
    );
    assert!(header("access-control-allow-methods").contains("POST"));
    for name in ["x-api-key", "idempotency-key", "idempotency-repeat"] {
        assert!(
            header("access-control-allow-headers").contains(name),
            "{name}"
        );
    }
    let no = Got::read(ask("https://evil.example.org").await.unwrap()).await;
    assert_eq!(
        (no.codes(), no.header("access-control-allow-origin")),
        ((403, 1006), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_may_when_the_configuration_says_so() {
    let web = web(json!({ "allowed_origins": ["*"] })).await;
    let got = execute(&web, &[("origin", "https://anybody.example.org")]).await;
    got.data();
    assert_eq!(got.header("access-control-allow-origin"), Some("*"));
    let readable = got.header("access-control-expose-headers").unwrap();
    for name in [
        "idempotency-instance",
        "idempotency-replayed",
        "retry-after",
    ] {
        assert!(readable.contains(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_loopback_answers_to_its_own_names_only() {
    let web = web(json!({})).await;
    for host in [
        "evil.example.org",
        "evil.example.org:80",
        "localhost.evil.example.org",
    ] {
        assert_eq!(
            execute(&web, &[("host", host)]).await.codes(),
            (403, 1006),
            "{host}"
        );
    }
    for host in ["localhost", "localhost:1234", "127.0.0.1", "[::1]:80"] {
        execute(&web, &[("host", host)]).await.data();
    }
    let http2 = http2()
        .resolve("evil.example.org", web.address)
        .build()
        .unwrap();
    let url = format!("http://evil.example.org:{}/health", web.address.port());
    assert_eq!(
        Got::read(http2.get(url).send().await.unwrap())
            .await
            .codes(),
        (403, 1006)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_is_not_for_foreign_names_and_pages_either() {
    let web = web(json!({})).await;
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let accept = ("accept", "application/json, text/event-stream");
    for path in ["/mcp", "/mcp/echo"] {
        for foreign in [
            ("host", "evil.example.org"),
            ("origin", "https://evil.example.org"),
        ] {
            let refused = web.post_with(path, &[accept, foreign], ask.clone()).await;
            assert_eq!(refused.codes(), (403, 1006), "{path} {foreign:?}");
        }
    }
}

fn keys() -> Value {
    json!({ "auth": { "keys": [
        { "name": "ann", "key": "key-of-ann-012345" },
        { "name": "ben", "key": "key-of-ben-012345" },
        { "name": "ops", "key": "key-of-ops-012345", "admin": true },
    ] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_asked_for_everywhere_but_at_the_door() {
    let web = web(keys()).await;
    for path in ["/api/v1/tools", "/api/v1/warmup/status", "/no/such/route"] {
        let got = web.get(path).await;
        assert_eq!(
            (got.codes(), got.header("www-authenticate")),
            ((401, 1006), Some("Bearer")),
            "{path}"
        );
    }
    assert_eq!(
        execute(&web, &[("authorization", "Bearer key-of-eve-012345")])
            .await
            .codes(),
        (401, 1006)
    );
    assert_eq!(
        (
            web.get("/health").await.status,
            web.get("/ready").await.status
        ),
        (200, 200)
    );
    execute(&web, &[("authorization", "Bearer key-of-ann-012345")])
        .await
        .data();
    execute(&web, &[("x-api-key", "key-of-ben-012345")])
        .await
        .data();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sees_its_own_workers_only() {
    let web = web(keys()).await;
    let post = async |path: &str, key: &str, body: Value| {
        web.post_with(&format!("/api/v1/{path}"), &[("x-api-key", key)], body)
            .await
    };
    let (ann, ben) = ("key-of-ann-012345", "key-of-ben-012345");
    let create = json!({ "worker_id": "w", "resource_type": "counter" });
    post("session/create", ann, create.clone()).await.data();
    let add = json!({ "worker_id": "w", "action": "counter:add" });
    assert_eq!(post("execute", ann, add.clone()).await.data()["value"], 1);
    // The same name, and another worker.
    let bens = post("execute", ben, add.clone()).await;
    assert_eq!(
        (
            &bens.data()["value"],
            &bens.body["meta"]["temporary_session"]
        ),
        (&json!(1), &json!(true))
    );
    let worker = json!({ "worker_id": "w" });
    assert_eq!(
        post("session/list", ben, worker.clone()).await.data()["count"],
        0
    );
    assert_eq!(
        post("session/destroy", ben, create).await.codes(),
        (404, 1003)
    );
    assert_eq!(
        post("worker/disconnect", ben, worker.clone()).await.data()["sessions_cleaned"],
        0
    );
    assert_eq!(post("execute", ann, add).await.data()["value"], 2);
    assert_eq!(
        post("worker/disconnect", ann, worker).await.data()["sessions_cleaned"],
        1
    );
    let journal = web.engine.file("journal");
    until("both cleanups", || {
        let ended = |line: &&String| line.starts_with("cleanup");
        (lines(&journal).iter().filter(ended).count() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_holds_for_each_key_and_says_when_to_come_again() {
    let mut security = keys();
    security["rate_limit"] = json!({ "requests": 1, "per": 60, "burst": 3 });
    let web = web(security).await;
    let ann = [("x-api-key", "key-of-ann-012345")];
    for _ in 0..3 {
        execute(&web, &ann).await.data();
    }
    let limited = execute(&web, &ann).await;
    assert_eq!(limited.codes(), (429, 1007));
    let wait: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    execute(&web, &[("x-api-key", "key-of-ben-012345")])
        .await
        .data();
    for _ in 0..3 {
        assert_eq!(execute(&web, &[("x-api-key", "guess")]).await.status, 401);
    }
    assert_eq!(
        execute(&web, &[("x-api-key", "guess")]).await.codes(),
        (429, 1007)
    );
    assert_eq!(web.get("/ready").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_rate_holds_for_the_address() {
    let web = web(json!({ "rate_limit": { "requests": 1, "per": 60, "burst": 2 } })).await;
    execute(&web, &[]).await.data();
    execute(&web, &[]).await.data();
    assert_eq!(execute(&web, &[]).await.codes(), (429, 1007));
}
