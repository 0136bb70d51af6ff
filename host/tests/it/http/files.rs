//! Reading configuration files for clients: some files, no secrets.

use std::fs;

use serde_json::{Value, json};

use super::web::{Got, Web};

async fn load(web: &Web, path: &str, over: Value) -> Got {
    let body = json!({ "worker_id": "w", "config_path": path, "override_params": over });
    web.post("/api/v1/init/from-config", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_below_the_configuration_is_read_without_its_secrets() {
    let web = Web::of(json!({})).await;
    let file = web.engine.file("agents.json");
    let text =
        r#"{"vm": {"size": [1, 2], "password": "open sesame", "token": "${TOKEN}"}, "n": 1}"#;
    fs::write(file, text).unwrap();
    let over = json!({ "vm": { "size": [3, 4] }, "absent": 1 });
    let got = load(&web, "agents.json", over).await;
    assert_eq!(
        got.data(),
        &json!({ "config_loaded": true, "config": {
            "vm": { "size": [3, 4], "password": "********", "token": "${TOKEN}" }, "n": 1,
        } })
    );
    assert_eq!(got.body["meta"]["tool"], "init:from_config");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_file_is_read() {
    let web = Web::of(json!({})).await;
    fs::write(web.engine.file("list.json"), "[1]").unwrap();
    fs::write(web.engine.file("text.json"), "root:x:0:0").unwrap();
    fs::create_dir(web.engine.file("folder")).unwrap();
    for (path, codes) in [
        ("absent.json", (404, 5001)),
        ("folder", (404, 5001)),
        ("../../etc/passwd", (403, 1006)),
        ("/etc/passwd", (403, 1006)),
        ("/etc/absent", (403, 1006)),
        ("list.json", (500, 5001)),
        ("text.json", (500, 5001)),
    ] {
        let got = load(&web, path, json!({})).await;
        assert_eq!(got.codes(), codes, "{path}");
        assert!(!got.message().contains("root:"), "{got:?}");
        let directory = web.engine.directory.path().to_str().unwrap();
        assert!(!got.message().contains(directory), "{got:?}");
    }
}
