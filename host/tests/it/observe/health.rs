//! `/ready?verbose`: how each backend is.

use std::time::Instant;

use serde_json::{Value, json};

use crate::http::web::{PATIENCE, Web};

async fn health(web: &Web, name: &str) -> Value {
    let got = web.get("/ready?verbose").await;
    let backends = got.body["backends"].as_array().unwrap();
    let found = backends.iter().find(|backend| backend["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {backends:#?}"))
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_what_is_shared_starts_the_backend_anew_and_its_place_stays_in_the_log() {
    let web = Web::of(json!({ "echo": {} })).await;
    let spoiled = web.execute("echo:panic", json!({})).await;
    assert_eq!(spoiled.codes(), (500, 2001));
    let said = health(&web, "echo").await.to_string() + &spoiled.body.to_string();
    assert!(said.contains("it panicked; the server's log says more"));
    assert!(!said.contains("as told") && !said.contains(".rs"), "{said}");
    // It rests for a moment first.
    let started = Instant::now();
    while web.execute("echo:echo", json!({ "value": 1 })).await.status == 503 {
        assert!(started.elapsed() < PATIENCE, "it was not warmed up again");
        tokio::task::yield_now().await;
    }
    web.execute("echo:echo", json!({ "value": 1 })).await.data();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_backend_says_how_it_is() {
    let config = json!({
        "resources": { "echo": {}, "hybrid": {} },
        // No probe is slow here; the machine may be.
        "server": { "limits": { "probe_timeout": 60 } },
    });
    let web = Web::with(config).await;
    let cold = health(&web, "hybrid").await;
    assert_eq!(
        (&cold["state"], &cold["probe"]),
        (&json!("cold"), &Value::Null)
    );
    web.execute("hybrid:touch", json!({})).await.data();
    let warm = health(&web, "hybrid").await;
    assert_eq!(
        (&warm["state"], &warm["probe"]),
        (&json!("warm"), &json!({ "touched": 1 }))
    );
    assert_eq!(warm["abi"], "1.1");
    for _ in 0..2 {
        web.execute("hybrid:touch", json!({})).await.data();
    }
    let failing = health(&web, "hybrid").await;
    assert_eq!(failing["state"], "failing");
    assert!(
        failing["probe_error"]
            .as_str()
            .unwrap()
            .contains("touched too often")
    );
    web.execute("echo:echo", json!({ "value": 1 })).await.data();
    let silent = health(&web, "echo").await;
    assert_eq!(
        (&silent["state"], &silent["probe"]),
        (&json!("warm"), &Value::Null)
    );
    assert_eq!(web.get("/ready").await.body["backends"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_inside_is_for_those_who_have_a_key() {
    let config = json!({
        "resources": { "echo": {} },
        "security": { "auth": { "api_key": "0123456789abcdef" } },
    });
    let web = Web::with(config).await;
    assert_eq!(web.get("/ready?verbose").await.codes(), (401, 1006));
    assert_eq!(web.get("/ready").await.status, 200);
}
