//! What every error looks like: the envelope, as JSON, whatever went wrong.

use insta::assert_json_snapshot;
use serde_json::json;

use super::web::{Got, Web, stable};

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_methods_that_do_not_exist() {
    let web = Web::of(json!({})).await;
    let lost = web.get("/api/v2/execute").await;
    assert_json_snapshot!(stable(lost.body));
    assert_eq!(lost.status, 404);
    let wrong = web.get("/api/v1/execute").await;
    assert_eq!(
        (wrong.codes(), wrong.header("allow")),
        ((405, 1002), Some("POST"))
    );
    assert_eq!(web.post("/health", json!({})).await.codes(), (405, 1002));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_wrong() {
    let web = Web::of(json!({ "echo": {} })).await;
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let mut said = Vec::new();
    for (path, body) in [
        ("execute", b"".to_vec()),
        ("execute", b"[]".to_vec()),
        ("execute", br#"{"worker_id":"w""#.to_vec()),
        ("execute", br#"{"worker_id":"w"}"#.to_vec()),
        ("execute", br#"{"action":"echo:echo"}"#.to_vec()),
        (
            "execute",
            br#"{"worker_id":"","action":"echo:echo"}"#.to_vec(),
        ),
        ("execute", br#"{"worker_id":"w","action":7}"#.to_vec()),
        (
            "execute",
            br#"{"worker_id":"w","action":"echo:echo","timeout":-1}"#.to_vec(),
        ),
        (
            "execute",
            br#"{"worker_id":"w","action":"echo:echo","params":{"value":NaN}}"#.to_vec(),
        ),
        (
            "execute",
            b"{\"worker_id\":\"w\",\"action\":\"echo:echo\",\"params\":{\"value\":\"\xff\"}}"
                .to_vec(),
        ),
        (
            "execute",
            br#"{"worker_id":"w","action":"echo:echo","params":[1]}"#.to_vec(),
        ),
        (
            "execute",
            br#"{"worker_id":"w","action":"echo:block","params":{"ms":"x"}}"#.to_vec(),
        ),
        (
            "execute/batch",
            br#"{"worker_id":"w","actions":[{"action":1}]}"#.to_vec(),
        ),
        ("session/create", br#"{"worker_id":"w"}"#.to_vec()),
        (
            "session/create",
            br#"{"worker_id":"w","resource_type":"echo","ttl":0}"#.to_vec(),
        ),
        ("session/list", br#"{"worker_id":"a\u0000b"}"#.to_vec()),
        (
            "init/batch",
            br#"{"worker_id":"w","resource_configs":{"echo":1}}"#.to_vec(),
        ),
        ("warmup", br#"{"backends":"echo"}"#.to_vec()),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let got = web.post_text(&format!("/api/v1/{path}"), body).await;
        assert_eq!(got.codes(), (400, 1002), "{path} {shown}");
        said.push(json!([
            path,
            shown,
            got.message(),
            got.body["data"],
            got.body["meta"]["tool"]
        ]));
    }
    assert_json_snapshot!(said);
    for path in ["execute", "session/create"] {
        let body = format!(
            r#"{{"worker_id":"w","action":"echo:echo","resource_type":"echo","params":{0},"session_config":{{"a":{0}}}}}"#,
            deep(1000)
        );
        let got = web.post_text(&format!("/api/v1/{path}"), body).await;
        assert_eq!(got.codes(), (400, 1002), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_limit_of_nesting_holds() {
    let config =
        json!({ "resources": { "echo": {} }, "server": { "limits": { "max_json_depth": 8 } } });
    let web = Web::with(config).await;
    // Two levels are the body and its parameters.
    web.execute("echo:echo", json!({ "value": [[[[[["[[[[[["]]]]]] }))
        .await
        .data();
    let got = web
        .execute("echo:echo", json!({ "value": [[[[[[[1]]]]]]] }))
        .await;
    assert_eq!(got.codes(), (400, 1002));
    assert!(got.message().contains("8 levels"), "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_fail() {
    let web = Web::of(json!({ "echo": {}, "counter": {}, "panics": {}, "hangs": {} })).await;
    let worker = "w";
    let mut said = Vec::new();
    for (path, body) in [
        ("execute", json!({ "action": "echo:ecko" })),
        ("execute", json!({ "action": "fine" })),
        ("execute", json!({ "action": "panics:now" })),
        (
            "execute",
            json!({ "action": "hangs:forever", "timeout": 0.05 }),
        ),
        (
            "execute",
            json!({ "action": "echo:block", "params": { "milliseconds": 1 } }),
        ),
        ("session/create", json!({ "resource_type": "nobody" })),
        (
            "session/create",
            json!({ "resource_type": "counter", "session_config": { "fail": true } }),
        ),
        ("session/destroy", json!({ "resource_type": "counter" })),
        ("session/refresh", json!({ "resource_type": "counter" })),
        ("init/resource", json!({ "resource_type": "nobody" })),
    ] {
        let mut body = body;
        body["worker_id"] = json!(worker);
        let got = web.post(&format!("/api/v1/{path}"), body).await;
        said.push(json!([path, got.status, stable(got.body)]));
    }
    assert_json_snapshot!(said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_warm_up_is_told_to_the_caller_and_tried_again() {
    let web = Web::of(json!({ "hybrid": { "config": { "cold_starts": 1 } } })).await;
    let cold = web.execute("hybrid:touch", json!({})).await;
    assert!(
        [(503, 2003), (503, 2004)].contains(&cold.codes()),
        "{cold:?}"
    );
    // Callers learn what is wrong, and not where things are on the server.
    let said = cold.body["message"].as_str().unwrap();
    assert!(said.ends_with("still cold: …/fire is out"), "{said}");
    web.execute("hybrid:touch", json!({})).await.data();
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_told() {
    let config = json!({
        "resources": { "counter": { "max_sessions": 1 } },
    });
    let web = Web::with(config).await;
    let create = |worker| json!({ "worker_id": worker, "resource_type": "counter" });
    web.post("/api/v1/session/create", create("a")).await.data();
    let full = web.post("/api/v1/session/create", create("b")).await;
    assert_eq!(
        (full.codes(), full.header("retry-after")),
        ((429, 1007), Some("1"))
    );
    // Time helps where others have to leave, and not where the worker itself has to.
    let config = json!({
        "server": { "limits": { "max_sessions_per_worker": 1 } },
        "resources": { "counter": {}, "panics": {} },
    });
    let web = Web::with(config).await;
    web.post("/api/v1/session/create", create("a")).await.data();
    let more = json!({ "worker_id": "a", "resource_type": "panics" });
    let full = web.post("/api/v1/session/create", more).await;
    assert_eq!(
        (full.codes(), full.header("retry-after")),
        ((429, 1007), None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_of_a_client_do_not_come_back() {
    let web = Web::of(json!({ "echo": {} })).await;
    let long = "x".repeat(1 << 20);
    for (path, body) in [
        ("execute", json!({ "worker_id": "w", "action": long })),
        (
            "execute",
            json!({ "worker_id": "w", "action": "echo:echo", "timeout": long }),
        ),
        (
            "session/create",
            json!({ "worker_id": "w", "resource_type": long }),
        ),
        (
            "session/destroy",
            json!({ "worker_id": "w", "resource_type": long }),
        ),
        (
            "init/batch",
            json!({ "worker_id": "w", "resource_configs": { long.clone(): 1 } }),
        ),
    ] {
        let got = web.post(&format!("/api/v1/{path}"), body).await;
        assert!(
            got.status >= 400 && got.body.to_string().len() < 8192,
            "{path}: {}",
            got.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_a_limit() {
    let config =
        json!({ "resources": { "echo": {} }, "server": { "limits": { "max_batch_actions": 3 } } });
    let web = Web::with(config).await;
    let configs = json!({ "a": {}, "b": {}, "c": {}, "d": {} });
    let body = json!({ "worker_id": "w", "resource_configs": configs });
    assert_eq!(
        web.post("/api/v1/init/batch", body).await.codes(),
        (400, 1002)
    );
    let body = json!({ "backends": ["a", "b", "c", "d"] });
    assert_eq!(web.post("/api/v1/warmup", body).await.codes(), (400, 1002));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_wrong_is_answered_in_its_own_trace() {
    let web = Web::of(json!({ "echo": {} })).await;
    for (path, body) in [
        ("execute", json!({ "action": "echo:echo" })),
        ("execute", json!({ "worker_id": "w", "action": 5 })),
        ("execute/batch", json!({ "worker_id": "w", "actions": 5 })),
        ("execute/batch", json!({ "actions": [] })),
        ("session/create", json!({ "worker_id": "w" })),
        ("session/list", json!({ "worker_id": 5 })),
        ("session/kill", json!({ "session_id": 5 })),
        ("warmup", json!({ "backends": "echo" })),
    ] {
        let mut body = body;
        body["trace_id"] = json!("mine");
        let got = web.post(&format!("/api/v1/{path}"), body).await;
        assert_eq!(got.codes(), (400, 1002));
        assert_eq!(got.body["meta"]["trace_id"], "mine", "{path}: {got:?}");
    }
    let key = [("idempotency-key", "one")];
    let body = |value| json!({ "worker_id": "w", "action": "echo:echo", "params": { "value": value }, "trace_id": "mine" });
    let path = "/api/v1/execute";
    web.post_with(path, &key, body(1)).await.data();
    let another = web.post_with(path, &key, body(2)).await;
    assert_eq!(another.codes(), (422, 1002));
    assert_eq!(another.body["meta"]["trace_id"], "mine");
    // The parameters of a tool are its own.
    let path = "/api/v1/tools/echo:echo/call";
    let got = web
        .post(path, json!({ "value": 1, "trace_id": "no" }))
        .await;
    assert_eq!(got.codes(), (400, 1002));
    assert_ne!(got.body["meta"]["trace_id"], "no");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_what_would_help() {
    let web = Web::of(json!({ "echo": {}, "panics": {} })).await;
    let message = async |path: &str, headers: &[(&str, &[u8])], body: &[u8]| {
        let mut request = web.client.post(web.url(path)).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Got::read(request.send().await.unwrap())
            .await
            .message()
            .to_owned()
    };
    let address = "/api/v1/tools/echo:echo/call";
    let said = message(address, &[], br#"{"value": 1}"#).await;
    assert!(
        said.contains("X-Worker-ID") && !said.contains("body"),
        "{said}"
    );
    let execute = "/api/v1/execute";
    let list = "/api/v1/session/list";
    for (path, headers, body, words) in [
        (
            list,
            &[("x-worker-id", &b"\xff"[..])][..],
            &b"{}"[..],
            "X-Worker-ID is not UTF-8",
        ),
        (execute, &[], b"\xef\xbb\xbf{}", "byte order mark"),
        (
            execute,
            &[("content-encoding", b"gzip")],
            b"\x1f\x8b\x08\x00",
            "compressed",
        ),
        (
            "/api/v1/warmup",
            &[],
            b"[]",
            "must be a JSON object, or be left out",
        ),
        (
            "/api/v1/server/shutdown",
            &[],
            b"[]",
            "must be a JSON object, or be left out",
        ),
    ] {
        let said = message(path, headers, body).await;
        assert!(said.contains(words), "{path}: {said}");
    }
    let said = web.execute("panics:now", json!({})).await;
    assert_eq!(said.body["meta"]["temporary_session"], true);
    assert!(!said.message().contains("create it again"), "{said:?}");
    assert!(said.message().contains("panicked"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nesting_has_one_limit_wherever_it_is() {
    let web = Web::of(json!({ "echo": {} })).await;
    let body = |field: &str, levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(
            r#"{{"worker_id":"w","resource_type":"echo","action":"echo:context","{field}":{open}{close}}}"#
        )
    };
    for path in ["execute", "session/create", "session/list"] {
        let path = format!("/api/v1/{path}");
        web.post_text(&path, body("junk", 120)).await.data();
        for (field, levels) in [("junk", 128), ("junk", 100_000), ("session_config", 128)] {
            let got = web.post_text(&path, body(field, levels)).await;
            assert_eq!(got.codes(), (400, 1002), "{path} {field} {levels}");
            assert!(got.message().contains("nested deeper than 128"), "{got:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_sessions_of_a_shared_backend_do_not_have() {
    let web =
        Web::of(json!({ "other": { "backend_class": "duo#OTHERBackend" }, "echo": {} })).await;
    let create = |of: &str, config| {
        let body = json!({ "worker_id": "w", "resource_type": of, "session_config": config });
        web.post("/api/v1/session/create", body)
    };
    let unknown = create("other", json!({ "nam": "Ada" })).await;
    assert_eq!(
        unknown.message(),
        "the session's configuration: unknown key `nam`; did you mean `name`?"
    );
    let wrong = create("other", json!({ "name": 7 })).await;
    assert_eq!(
        (wrong.codes().1, &wrong.body["data"]["pointer"]),
        (1002, &json!("/name"))
    );
    let right = create("other", json!({ "name": "Ada" })).await;
    assert_eq!(right.codes(), (200, 0));
    assert_eq!(*web.execute("other:which", json!({})).await.data(), "Ada");
    // One that says nothing of them leaves it to its tools.
    let any = create("echo", json!({ "nam": "Ada" })).await;
    assert_eq!(any.codes(), (200, 0));
}
