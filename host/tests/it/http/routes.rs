//! What every route answers when all is well.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::web::{Raw, Web, post, stable};
use crate::engine::until;

/// Everything but the list of tools, whose schemas are the fixtures' own.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_in_its_published_form() {
    let web = Web::of(json!({ "counter": {}, "echo": {} })).await;
    let mut said = Vec::new();
    let worker = json!({ "worker_id": "my run #1" });
    let with = |more: Value| {
        let mut body = worker.clone();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let counter = with(json!({ "resource_type": "counter" }));
    for (path, body) in [
        ("/health", None),
        ("/ready", None),
        ("/api/v1/warmup/status", None),
        (
            "/api/v1/warmup",
            Some(json!({ "backends": ["counter", "nobody"] })),
        ),
        (
            "/api/v1/execute",
            Some(with(
                json!({ "action": "echo:echo", "params": { "value": [1] } }),
            )),
        ),
        (
            "/api/v1/execute",
            Some(with(json!({ "action": "counter:add", "trace_id": "mine" }))),
        ),
        (
            "/api/v1/session/create",
            Some(with(
                json!({ "resource_type": "counter", "config": { "start": 5 }, "custom_name": "my x" }),
            )),
        ),
        ("/api/v1/session/create", Some(counter.clone())),
        (
            "/api/v1/session/create",
            Some(with(json!({ "resource_type": "echo" }))),
        ),
        (
            "/api/v1/execute",
            Some(with(json!({ "action": "counter.get" }))),
        ),
        ("/api/v1/session/list", Some(worker.clone())),
        ("/api/v1/session/refresh", Some(counter.clone())),
        ("/api/v1/session/refresh", Some(worker.clone())),
        ("/api/v1/lifecycle/heartbeat", Some(worker.clone())),
        ("/api/v1/lifecycle/status", Some(worker.clone())),
        ("/ready", None),
        ("/api/v1/session/destroy", Some(counter.clone())),
        (
            "/api/v1/init/resource",
            Some(with(
                json!({ "resource_type": "counter", "init_config": {} }),
            )),
        ),
        ("/api/v1/worker/disconnect", Some(worker.clone())),
        (
            "/api/v1/init/batch",
            Some(with(json!({ "resource_configs": {
                "counter": { "content": { "start": 7 } }, "echo": {}, "nobody": {},
            } }))),
        ),
        (
            "/api/v1/session/list",
            Some(json!({ "worker_id": "nobody" })),
        ),
    ] {
        // A session that was made for one call goes in the background, and `/ready` counts it.
        let sessions = &web.engine.sandbox.sessions;
        until("the end of brief sessions", || {
            (sessions.count() == sessions.lasting()).then_some(())
        })
        .await;
        let got = match body {
            None => web.get(path).await,
            Some(body) => web.post(path, body).await,
        };
        said.push(json!([path, got.status, stable(got.body)]));
    }
    assert_json_snapshot!(said);
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_listed_and_described() {
    let web = Web::of(json!({ "echo": {} })).await;
    let names = |list: &Value| -> Vec<String> {
        let tools = list["tools"].as_array().unwrap();
        assert_eq!(list["count"], tools.len());
        tools
            .iter()
            .map(|tool| tool["full_name"].as_str().unwrap().to_owned())
            .collect()
    };
    let visible = names(&web.get("/api/v1/tools").await.body);
    let all = names(&web.get("/api/v1/tools?include_hidden=true").await.body);
    assert!(
        visible.contains(&"echo:echo".to_owned()) && !visible.contains(&"echo:whisper".to_owned())
    );
    assert!(all.contains(&"echo:whisper".to_owned()));
    assert_eq!(
        web.get("/api/v1/tools?include_hidden=perhaps")
            .await
            .codes(),
        (400, 1002)
    );

    let one = web.get("/api/v1/tools/echo:block/schema").await;
    assert_eq!(one.status, 200);
    assert_json_snapshot!(one.body);
    assert_eq!(
        web.get("/api/v1/tools/echo%3Ablock/schema").await.body,
        one.body
    );
    assert_eq!(
        web.get("/api/v1/tools/echo:nothing/schema").await.codes(),
        (404, 1001)
    );
    assert_eq!(
        web.get("/api/v1/tools/%ff/schema").await.codes(),
        (400, 1002)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_up_needs_no_body() {
    let web = Web::of(json!({ "echo": {}, "hybrid": { "config": { "cold_starts": 1 } } })).await;
    let cold = web.post_text("/api/v1/warmup", "").await;
    assert_eq!(
        (cold.status, &cold.body["status"]),
        (200, &json!("partial_error"))
    );
    assert_eq!(
        cold.body["results"],
        json!({ "echo": true, "hybrid": false })
    );
    assert!(
        cold.body["errors"]["hybrid"]
            .as_str()
            .unwrap()
            .contains("still cold"),
        "{cold:?}"
    );
    let warm = web.post_text("/api/v1/warmup", "").await;
    assert_eq!(warm.body["status"], "success");
    assert!(warm.body.get("errors").is_none());
    assert_eq!(
        warm.body["summary"],
        json!({ "total": 2, "warmed_up": 2, "pending": 0 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_and_trace_come_from_headers_too() {
    let web = Web::of(json!({ "echo": {} })).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("x-worker-id", "世界"), ("traceparent", &*traceparent)];
    let body = json!({ "action": "echo:context", "trace_id": "not this one" });
    let got = web.post_with("/api/v1/execute", &headers, body).await;
    assert_eq!(
        (&got.data()["worker"], &got.data()["trace"]),
        (&json!("世界"), &json!(trace))
    );
    assert_eq!(got.body["meta"]["trace_id"], trace);
    let body = json!({ "worker_id": "from the body" });
    let got = web.post_with("/api/v1/session/list", &headers, body).await;
    assert_eq!(
        (&got.data()["worker_id"], &got.body["meta"]["trace_id"]),
        (&json!("from the body"), &json!(trace))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_says_is_passed_on() {
    let web = Web::of(json!({ "echo": {} })).await;
    let spoken = web
        .execute("echo:speak", json!({ "message": "well done" }))
        .await;
    assert_eq!(
        (spoken.message(), &spoken.body["meta"]["spoken"]),
        ("well done", &json!(true))
    );
    let image = web.execute("echo:image", json!({})).await;
    assert_eq!(image.data()["size"], json!([1, 1]));
    assert!(
        image.data()["image"]
            .as_str()
            .unwrap()
            .starts_with("iVBORw0KGgo")
    );
    for (code, status) in [(4242, 400), (77, 500), (1004, 404), (2004, 503)] {
        let failed = web
            .execute("echo:fail", json!({ "code": code, "message": "no" }))
            .await;
        assert_eq!(failed.codes(), (status, code));
        assert_eq!(
            (failed.message(), &failed.body["data"]),
            ("no", &json!({ "failed": true }))
        );
    }
    let limited = web
        .execute("echo:fail", json!({ "code": 1007, "message": "no" }))
        .await;
    assert_eq!(
        (limited.status, limited.header("retry-after")),
        (429, None),
        "whether time helps, only the tool knows"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_let_in_while_the_server_starts_and_refused_while_it_drains() {
    let web = Web::starting(json!({ "resources": { "echo": {} } })).await;
    let ready = web.get("/ready").await;
    assert_eq!(
        (ready.status, &ready.body["status"]),
        (503, &json!("starting"))
    );
    // A call waits for its own backend alone, not for what else warms up.
    web.execute("echo:echo", json!({ "value": 1 })).await.data();
    web.engine.sandbox.open();
    assert_eq!(web.get("/ready").await.status, 200);
    web.engine.sandbox.drain();
    let call = web.execute("echo:echo", json!({ "value": 1 })).await;
    assert_eq!(
        (call.codes(), call.header("retry-after")),
        ((503, 5002), Some("1"))
    );
    let ready = web.get("/ready").await;
    assert_eq!(
        (ready.status, &ready.body["status"]),
        (503, &json!("draining"))
    );
    let create = json!({ "worker_id": "w", "resource_type": "echo" });
    assert_eq!(
        web.post("/api/v1/session/create", create).await.codes(),
        (503, 5002)
    );
    assert_eq!(web.get("/health").await.body["status"], "healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_sessions_of_concurrent_calls_are_not_shared() {
    let web = Web::of(json!({ "counter": { "config": { "journal": "journal" } } })).await;
    let calls = (0..20).map(|_| web.execute("counter:add", json!({ "ms": 20 })));
    let mut ids = std::collections::HashSet::new();
    for got in futures_util::future::join_all(calls).await {
        assert_eq!(got.data()["value"], 1);
        assert_eq!(got.body["meta"]["temporary_session"], true);
        ids.insert(got.body["meta"]["session_id"].to_string());
    }
    assert_eq!(ids.len(), 20);
}

/// A server on which somebody asked for `path`, which hangs in this function of the plugin.
async fn hanging(place: &str, made_before: bool, path: &str) -> (Web, Raw) {
    let web = Web::of(json!({ "hangs": { "config": { "journal": "journal" } } })).await;
    let body =
        json!({ "worker_id": "w", "resource_type": "hangs", "session_config": { "at": [place] } });
    if made_before {
        web.post("/api/v1/session/create", body.clone())
            .await
            .data();
    }
    let mut raw = web.connect().await;
    raw.say(post(path, &body.to_string())).await;
    web.engine.written(&format!("hanging in {place}")).await;
    (web, raw)
}

/// The worker's only session, as it is listed.
async fn listed(web: &Web) -> Value {
    let worker = json!({ "worker_id": "w" });
    let list = web.post("/api/v1/session/list", worker.clone()).await;
    let status = web.post("/api/v1/lifecycle/status", worker.clone()).await;
    let beat = web.post("/api/v1/lifecycle/heartbeat", worker).await;
    assert_eq!(list.data()["count"], 1);
    let session = &list.data()["sessions"][0];
    for key in ["session_id", "status", "created_at", "last_activity"] {
        assert_eq!(
            status.data()["sessions"]["hangs"][key],
            session[key],
            "{key}"
        );
    }
    let id = session["session_id"].as_str().unwrap();
    assert!(id.starts_with("hangs_w_001_") && session["session_name"] == "hangs_w_001");
    for active in [
        &status.data()["active_resources"],
        &beat.data()["active_sessions"],
    ] {
        assert_eq!(active, &json!([]), "it is of no use now");
    }
    session.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_seen_while_it_is_made() {
    let (web, _raw) = hanging("initialize", false, "/api/v1/session/create").await;
    let session = listed(&web).await;
    assert_eq!(session["status"], "creating");
    assert_eq!(session["expires_at"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_seen_while_it_goes() {
    let (web, _raw) = hanging("cleanup", true, "/api/v1/session/destroy").await;
    assert_eq!(listed(&web).await["status"], "closing");
    let one = json!({ "worker_id": "w", "resource_type": "hangs" });
    let refreshed = web.post("/api/v1/session/refresh", one).await;
    assert_eq!(refreshed.codes(), (409, 1003));
    let all = json!({ "worker_id": "w" });
    let refreshed = web.post("/api/v1/session/refresh", all).await;
    assert_eq!(refreshed.data()["refreshed_count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_with_the_worker_is_all_that_some_routes_need() {
    let web = Web::of(json!({ "echo": {} })).await;
    for path in [
        "session/list",
        "session/refresh",
        "lifecycle/heartbeat",
        "lifecycle/status",
        "worker/disconnect",
    ] {
        let path = format!("/api/v1/{path}");
        let got = web.post_text_with(&path, &[("x-worker-id", "w")], "").await;
        assert_eq!(got.data()["worker_id"], "w", "{path}");
        let nobody = web.post_text(&path, "").await;
        assert!(
            nobody.message().contains("`worker_id` is missing"),
            "{nobody:?}"
        );
    }
}
