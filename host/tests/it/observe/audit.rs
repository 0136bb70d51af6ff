//! The audit log of the real server.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    engine::until,
    http::web::Web,
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

#[tokio::test(flavor = "multi_thread")]
async fn kills_that_were_refused_are_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.log");
    let key = |name: &str, key: &str| json!({ "name": name, "key": key });
    let keys = [("ann", "0123456789abcdef"), ("ben", "fedcba9876543210")];
    let web = Web::with(json!({
        "resources": { "counter": {} },
        "security": { "auth": { "keys": keys.map(|(name, text)| key(name, text)) } },
        "observe": { "audit": { "file": file } },
    }))
    .await;
    let post = async |name: &str, path: &str, body: Value| {
        let (_, key) = keys.iter().find(|(owner, _)| *owner == name).unwrap();
        web.post_with(path, &[("x-api-key", key)], body).await
    };
    let wanted = json!({ "worker_id": "w", "resource_type": "counter" });
    let made = post("ann", "/api/v1/session/create", wanted).await;
    let id = &made.data()["session_id"];
    let long = "x".repeat(10_000);
    let mut refused = Vec::new();
    for id in [id, &json!(long)] {
        let body = json!({ "session_id": id });
        refused.push(post("ben", "/api/v1/session/kill", body).await);
    }
    let killed = post("ann", "/api/v1/session/kill", json!({ "session_id": id })).await;
    assert_eq!(killed.codes(), (200, 0));
    assert_eq!(refused[0].codes(), (404, 1003));
    assert_eq!(refused[0].body["message"], refused[1].body["message"]);

    let admin = |entry: &Value| entry["event"] == "admin";
    let seen = until("the lines", || {
        let seen: Vec<_> = entries(&file).into_iter().filter(admin).collect();
        (seen.len() == 3).then_some(seen)
    })
    .await;
    let told = |entry: &Value| {
        let of = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(entry["action"], "session:kill");
        [of("key"), of("target"), of("outcome"), of("error")]
    };
    let (id, long) = (id.as_str().unwrap(), &long[..80]);
    let another = "the session is another key's";
    assert_eq!(told(&seen[0]), ["ben", id, "failure", another]);
    assert_eq!(
        told(&seen[1]),
        ["ben", long, "failure", "there is no such session"]
    );
    assert_eq!(told(&seen[2]), ["ann", id, "success", ""]);
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
