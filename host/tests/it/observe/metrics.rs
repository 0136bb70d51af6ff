//! `/metrics`, and the dashboard that is drawn from it.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::{
    engine::{again, until},
    fixtures::{copy, root},
    http::web::{Web, post},
};

async fn scrape(web: &Web) -> String {
    let response = web.client.get(web.url("/metrics")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    response.text().await.unwrap()
}

/// The value of the sample with this name and these labels.
fn value(page: &str, sample: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample));
    let text = line.unwrap_or_else(|| panic!("no {sample} in\n{page}"));
    text.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_sessions_warm_ups_and_panics_are_counted_where_they_happen() {
    let web = Web::of(json!({ "echo": {}, "counter": {}, "panics": {} })).await;
    for _ in 0..3 {
        web.execute("echo:echo", json!({ "value": 1 })).await;
    }
    web.execute("echo:echo", json!({})).await;
    web.execute("echo:fail", json!({ "code": 4321, "message": "" }))
        .await;
    web.execute("no:tool", json!({})).await;
    web.execute("panics:now", json!({})).await;
    let session = json!({ "worker_id": "w", "resource_type": "counter" });
    web.post("/api/v1/session/create", session).await;
    web.execute("counter:add", json!({})).await;
    let page = scrape(&web).await;
    for (sample, expected) in [
        (
            "sandbox_calls_total{backend=\"echo\",tool=\"echo:echo\",code=\"0\"}",
            3,
        ),
        (
            "sandbox_calls_total{backend=\"echo\",tool=\"echo:echo\",code=\"1002\"}",
            1,
        ),
        (
            "sandbox_calls_total{backend=\"echo\",tool=\"echo:fail\",code=\"other\"}",
            1,
        ),
        (
            "sandbox_calls_total{backend=\"\",tool=\"\",code=\"1001\"}",
            1,
        ),
        (
            "sandbox_call_duration_seconds_count{backend=\"echo\",tool=\"echo:echo\"}",
            4,
        ),
        (
            "sandbox_call_duration_seconds_bucket{backend=\"echo\",tool=\"echo:echo\",le=\"+Inf\"}",
            4,
        ),
        (
            "sandbox_calls_running{backend=\"echo\",tool=\"echo:echo\"}",
            0,
        ),
        ("sandbox_plugin_panics_total{backend=\"panics\"}", 1),
        (
            "sandbox_warmups_total{backend=\"echo\",outcome=\"success\"}",
            1,
        ),
        ("sandbox_sessions{backend=\"counter\",state=\"active\"}", 1),
        ("sandbox_sessions_opened_total{backend=\"counter\"}", 1),
        ("sandbox_workers", 1),
        ("sandbox_ready", 1),
    ] {
        assert_eq!(value(&page, sample), expected, "{sample}\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_seen_while_it_runs_and_when_its_caller_goes_away() {
    let web = Web::of(json!({ "echo": {} })).await;
    let running = "sandbox_calls_running{backend=\"echo\",tool=\"echo:sleep\"}";
    let body = json!({ "worker_id": "w", "action": "echo:sleep", "params": { "ms": 60_000 } });
    let mut raw = web.connect().await;
    raw.say(post("/api/v1/execute", &body.to_string())).await;
    let feed = &web.engine.sandbox.observers.feed;
    until("the call", || feed.running().pop()).await;
    assert_eq!(value(&scrape(&web).await, running), 1);
    let mut live = feed.subscribe();
    drop(raw);
    // Before its end there may still be news of the backend, which was cold.
    let ended = loop {
        let event = live.next().await.unwrap();
        let event = serde_json::to_value(&*event).unwrap();
        if event["type"] == "call_ended" {
            break event;
        }
    };
    assert_eq!(
        (&ended["tool"], &ended["code"]),
        (&json!("echo:sleep"), &Value::Null)
    );
    let page = scrape(&web).await;
    assert_eq!(value(&page, running), 0);
    let abandoned = "sandbox_calls_total{backend=\"echo\",tool=\"echo:sleep\",code=\"abandoned\"}";
    assert_eq!(value(&page, abandoned), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_of_probes_are_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let hangs = json!({
        // A library of its own, as it holds threads that would be other tests' too.
        "backend_class": copy("hangs", directory.path()),
        "config": { "at": ["probe"], "hold_thread": true, "journal": journal },
    });
    let config = json!({
        "resources": { "echo": {}, "hybrid": {}, "hangs": hangs },
        "server": { "limits": { "probe_timeout": 0.05 } },
    });
    let web = Web::with(config).await;
    assert!(!scrape(&web).await.contains("sandbox_backend_probe{"));
    web.execute("echo:echo", json!({ "value": 1 })).await.data();
    web.execute("hybrid:touch", json!({})).await.data();
    let touched = "sandbox_backend_probe{backend=\"hybrid\",value=\"touched\"}";
    let page = again("a probe in time", async |_| {
        let page = scrape(&web).await;
        page.contains(touched).then_some(page)
    })
    .await;
    let well = |name| format!("sandbox_backend_probe_success{{backend=\"{name}\"}}");
    assert_eq!(value(&page, touched), 1);
    assert_eq!(value(&page, &well("hybrid")), 1);
    assert!(!page.contains(&well("echo")) && !page.contains(&well("hangs")));

    web.execute("hangs:fine", json!({})).await.data();
    for _ in 0..2 {
        web.execute("hybrid:touch", json!({})).await.data();
    }
    let fails = async || {
        let page = scrape(&web).await;
        assert_eq!(value(&page, &well("hybrid")), 0);
        assert_eq!(value(&page, &well("hangs")), 0);
        assert!(!page.contains(touched));
    };
    // A probe whose time is up before it has begun does not hang.
    again("the probe that hangs", async |_| {
        fails().await;
        journal.exists().then_some(())
    })
    .await;
    for _ in 0..2 {
        fails().await;
    }
    // What cannot be stopped is not begun again with each scrape.
    assert_eq!(fs::read_to_string(&journal).unwrap(), "hanging in probe\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_ask_for_a_key_and_can_be_switched_off() {
    let config = json!({
        "resources": { "echo": {} },
        "security": { "auth": { "api_key": "0123456789abcdef" } },
    });
    let web = Web::with(config).await;
    assert_eq!(web.get("/metrics").await.codes(), (401, 1006));
    let shown = web
        .client
        .get(web.url("/metrics"))
        .header("x-api-key", "0123456789abcdef");
    assert_eq!(shown.send().await.unwrap().status(), 200);
    let config =
        json!({ "resources": { "echo": {} }, "observe": { "metrics": { "enabled": false } } });
    assert_eq!(Web::with(config).await.get("/metrics").await.status, 404);
}

/// Every metric that the dashboard asks for is one that the server has.
#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_what_there_is() {
    let text = fs::read_to_string(root().join("docs/grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = json!({
        "resources": { "echo": {}, "counter": {}, "hybrid": {} },
        "observe": {
            "audit": { "file": directory.path().join("audit.log") },
            "traces": { "endpoint": "http://127.0.0.1:1/v1/traces" },
        },
    });
    let web = Web::with(config).await;
    web.execute("echo:echo", json!({ "value": 1 })).await;
    let page = scrape(&web).await;
    let families: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let mut asked = BTreeSet::new();
    collect(&dashboard, &mut asked);
    assert!(asked.len() > 15, "{asked:?}");
    for name in asked {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(&name);
        assert!(
            families.contains(family) || families.contains(&*name),
            "the dashboard asks for {name}, which is none of {families:?}"
        );
    }
}

/// The metrics in the expressions of all panels and variables.
fn collect(node: &Value, names: &mut BTreeSet<String>) {
    match node {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if key == "expr" || key == "query" => {
                        read(text, names);
                    }
                    other => collect(other, names),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, names)),
        _ => {}
    }
}

fn read(expression: &str, names: &mut BTreeSet<String>) {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("sandbox_") || word.starts_with("process_"));
    names.extend(ours.map(str::to_owned));
}
