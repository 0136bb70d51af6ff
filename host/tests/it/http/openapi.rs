//! What the server says about itself is true: every answer fits the schema that describes it.

use sandbox::schema::Checker;
use serde_json::{Value, json};

use super::web::{Got, Web};

/// A description, to hold answers against.
struct Described(Value);

impl Described {
    async fn at(web: &Web, path: &str) -> Self {
        let got = web.get(path).await;
        assert_eq!((got.status, &got.body["openapi"]), (200, &json!("3.1.0")));
        Self(got.body)
    }

    /// The schema at `content`, with everything that it may refer to.
    fn checker(&self, content: &Value) -> Checker {
        let schema = &content["application/json"]["schema"];
        assert!(!schema.is_null(), "no schema in {content}");
        let with_all = json!({ "allOf": [schema], "components": self.0["components"] });
        Checker::compile(with_all).unwrap()
    }

    /// Holds an answer against what is said about its status.
    fn check(&self, path: &str, method: &str, got: &Got) {
        let responses = &self.0["paths"][path][method]["responses"];
        let said = match &responses[got.status.to_string()] {
            Value::Null => &responses["default"],
            said => said,
        };
        let said = match said["$ref"].as_str() {
            Some(to) => self.0.pointer(to.trim_start_matches('#')).unwrap(),
            None => said,
        };
        let fault = self.checker(&said["content"]).first(&got.body);
        assert!(fault.is_none(), "{method} {path}: {fault:?}: {got:?}");
    }

    /// Holds a request against what is said about it.
    fn takes(&self, path: &str, body: &Value) -> bool {
        let content = &self.0["paths"][path]["post"]["requestBody"]["content"];
        self.checker(content).is_valid(body)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn execute_says_that_it_streams_and_runs_once() {
    let web = Web::of(json!({ "echo": {} })).await;
    let said = Described::at(&web, "/openapi.json").await;
    let execute = &said.0["paths"]["/api/v1/execute"]["post"];
    assert!(execute["responses"]["200"]["content"]["text/event-stream"].is_object());
    let key = json!({ "$ref": "#/components/parameters/IdempotencyKey" });
    assert!(execute["parameters"].as_array().unwrap().contains(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_fits_its_description() {
    let web = Web::of(json!({ "counter": {}, "echo": {} })).await;
    let said = Described::at(&web, "/openapi.json").await;
    for path in [
        "/health",
        "/ready",
        "/api/v1/tools",
        "/api/v1/warmup/status",
        "/openapi.json",
    ] {
        said.check(path, "get", &web.get(path).await);
    }
    let schema = "/api/v1/tools/{name}/schema";
    said.check(
        schema,
        "get",
        &web.get("/api/v1/tools/echo:echo/schema").await,
    );
    said.check(
        schema,
        "get",
        &web.get("/api/v1/tools/nothing/schema").await,
    );
    let counter = json!({ "worker_id": "w", "resource_type": "counter" });
    let worker = json!({ "worker_id": "w" });
    let add = json!({ "action": "counter:add" });
    for (path, body) in [
        (
            "/api/v1/warmup",
            json!({ "backends": ["counter", "nobody"] }),
        ),
        (
            "/api/v1/execute",
            json!({ "worker_id": "w", "action": "echo:echo", "params": { "value": [1] } }),
        ),
        (
            "/api/v1/execute",
            json!({ "worker_id": "w", "action": "counter:add", "timeout": 2.5 }),
        ),
        (
            "/api/v1/execute",
            json!({ "worker_id": "w", "action": "nothing" }),
        ),
        (
            "/api/v1/execute/batch",
            json!({ "worker_id": "w", "actions": [add] }),
        ),
        (
            "/api/v1/execute/batch",
            json!({ "worker_id": "w", "stop_on_error": false, "actions": [add, { "action": "x:y" }] }),
        ),
        ("/api/v1/session/create", counter.clone()),
        ("/api/v1/session/create", counter.clone()),
        (
            "/api/v1/session/create",
            json!({ "worker_id": "w", "resource_type": "echo", "ttl": 9 }),
        ),
        (
            "/api/v1/session/create",
            json!({ "worker_id": "w", "resource_type": "nobody" }),
        ),
        ("/api/v1/session/list", worker.clone()),
        ("/api/v1/session/refresh", counter.clone()),
        ("/api/v1/session/refresh", worker.clone()),
        ("/api/v1/lifecycle/heartbeat", worker.clone()),
        ("/api/v1/lifecycle/status", worker.clone()),
        ("/api/v1/session/destroy", counter.clone()),
        ("/api/v1/session/destroy", counter.clone()),
        ("/api/v1/init/resource", counter.clone()),
        (
            "/api/v1/init/batch",
            json!({ "worker_id": "w", "resource_configs": { "counter": {}, "nobody": {} } }),
        ),
        (
            "/api/v1/init/from-config",
            json!({ "worker_id": "w", "config_path": "config.json" }),
        ),
        (
            "/api/v1/init/from-config",
            json!({ "worker_id": "w", "config_path": "missing.json" }),
        ),
        ("/api/v1/worker/disconnect", worker.clone()),
        ("/api/v1/server/shutdown", json!({})),
    ] {
        assert!(said.takes(path, &body), "{path} is said not to take {body}");
        said.check(path, "post", &web.post(path, body).await);
    }
    for (path, body) in [
        ("/api/v1/execute", json!({ "worker_id": "w" })),
        ("/api/v1/session/create", json!({ "worker_id": "w" })),
        (
            "/api/v1/session/create",
            json!({ "worker_id": "w", "resource_type": "counter", "ttl": 0 }),
        ),
    ] {
        assert!(!said.takes(path, &body), "{path} is said to take {body}");
        assert_eq!(web.post(path, body).await.codes().1, 1002);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_is_described_where_it_can_be_called() {
    let web = Web::of(json!({ "counter": {}, "echo": {} })).await;
    let said = Described::at(&web, "/openapi/tools.json").await;
    let listed = web.get("/api/v1/tools").await;
    let paths = said.0["paths"].as_object().unwrap();
    assert_eq!(listed.body["count"], paths.len());
    for (path, operation) in paths {
        let name = operation["post"]["x-tool"].as_str().unwrap();
        assert_eq!(*path, format!("/api/v1/tools/{name}/call"));
    }
    let echo = "/api/v1/tools/echo:echo/call";
    let headers = [("x-worker-id", "w")];
    let params = json!({ "value": { "deep": [1, null] } });
    assert!(said.takes(echo, &params));
    assert!(!said.takes(echo, &json!({ "valeu": 1 })));
    let got = web.post_with(echo, &headers, params).await;
    assert_eq!(got.body["meta"]["tool"], "echo:echo");
    assert_eq!(*got.data(), json!({ "deep": [1, null] }));
    said.check(echo, "post", &got);
    // Whoever leaves the worker out, or sends no object, learns so; parameters may be left out.
    assert_eq!(web.post(echo, json!({})).await.codes(), (400, 1002));
    assert_eq!(
        web.post_with(echo, &headers, json!([])).await.codes(),
        (400, 1002)
    );
    let add = "/api/v1/tools/counter:add/call";
    let nothing = web.client.post(web.url(add)).header("x-worker-id", "w");
    let got = Got::read(nothing.send().await.unwrap()).await;
    assert_eq!(got.data()["value"], 1);
    said.check(add, "post", &got);
    let slow = format!("{add}?timeout=0.05");
    let got = web
        .post_with(&slow, &headers, json!({ "ms": 60_000 }))
        .await;
    assert_eq!(got.codes(), (504, 2002));
    let wrong = format!("{add}?timeout=never");
    assert_eq!(
        web.post_with(&wrong, &headers, json!({})).await.codes(),
        (400, 1002)
    );
}
