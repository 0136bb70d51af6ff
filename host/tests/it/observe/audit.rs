//! The audit log of the real server.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    engine::until,
    server::{Server, session},
};

fn config(audit: Value) -> Value {
    let echo = json!({ "backend_class": "echo" });
    let counter = json!({ "backend_class": "counter" });
    json!({
        "server": {},
        "resources": { "echo": echo, "counter": counter },
        "observe": { "audit": audit },
    })
}

fn entries(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn work(server: &Server) {
    let client = server.client("ann");
    client.create_session(session("counter")).await.unwrap();
    client
        .execute("counter:add", &json!({}), None)
        .await
        .unwrap();
    let secret = json!({ "text": "my secret" });
    client.execute("echo:text", &secret, None).await.unwrap();
    client.execute("echo:text", &json!({}), None).await.unwrap();
    client.destroy_session("counter").await.unwrap();
    client.warmup(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_is_in_the_file_when_the_server_has_stopped() {
    let mut server = Server::start_of(config(json!({ "file": "audit.log" })));
    work(&server).await;
    server.signal(Signal::TERM);
    assert!(server.ended().success());
    let file = server.directory.path().join("audit.log");
    let seen = entries(&file);
    let is = |entry: &&Value, event: &str, what: &str| {
        entry["event"] == event
            && entry["change"]
                .as_str()
                .or(entry["tool"].as_str())
                .or(entry["action"].as_str())
                == Some(what)
    };
    let find = |event: &str, what: &str| {
        let found = seen.iter().find(|entry| is(entry, event, what));
        found.unwrap_or_else(|| panic!("no {event} {what} in {seen:#?}"))
    };
    let secret = find("call", "echo:text");
    assert_eq!(
        (&secret["worker"], &secret["outcome"]),
        (&json!("ann"), &json!("success"))
    );
    assert_eq!(secret["params_sha256"].as_str().unwrap().len(), 64);
    assert!(
        !std::fs::read_to_string(&file)
            .unwrap()
            .contains("my secret")
    );
    let failure = seen
        .iter()
        .find(|entry| entry["outcome"] == "failure")
        .unwrap();
    assert_eq!(
        (&failure["code"], &failure["tool"]),
        (&json!(1002), &json!("echo:text"))
    );
    assert_eq!(find("session", "opened")["backend"], "counter");
    assert_eq!(find("session", "closed")["why"], "destroyed");
    assert_eq!(find("admin", "warmup")["outcome"], "success");
    assert_eq!(
        (find("server", "started"), find("server", "stopped")),
        (&seen[0], seen.last().unwrap())
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_makes_it_begin_a_new_file_and_parameters_are_written_when_asked_for() {
    let server = Server::start_of(config(json!({ "file": "audit.log", "params": "plain" })));
    let file = server.directory.path().join("audit.log");
    until("the first line", || {
        (entries(&file).len() == 1).then_some(())
    })
    .await;
    std::fs::rename(&file, server.directory.path().join("old.log")).unwrap();
    server.signal(Signal::HUP);
    until("the new file", || file.exists().then_some(())).await;
    let client = server.client("ann");
    let said = json!({ "text": "said" });
    client.execute("echo:text", &said, None).await.unwrap();
    let line = until("the call", || entries(&file).pop()).await;
    assert_eq!(line["params"], json!({ "text": "said" }));
}

#[test]
fn a_server_that_cannot_write_it_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    let mut config = config(json!({ "file": "no/such/folder/audit.log" }));
    config["resources"] = json!({});
    std::fs::write(&file, config.to_string()).unwrap();
    let run = crate::server::command()
        .args(["serve", "--port", "0", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(
        !run.status.success() && said.contains("cannot write the audit log"),
        "{said}"
    );
}
