//! What isolation costs a program: `code:execute` in a session, from the request to the answer, against the same interpreter
//! started bare. Both run a program that does nothing, in turn.

use std::{fs, process::Stdio, time::Instant};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    client::{Connection, request},
    numbers::{median, range},
    row::Row,
    server::Server,
    workshop::Workshop,
};

/// How often each side is measured.
const ROUNDS: usize = 41;

/// A language, and how a program in it is started bare.
const LANGUAGES: [(&str, &[&str]); 3] = [
    ("python", &["/usr/bin/python3", "-c", "pass"]),
    ("javascript", &["node", "-e", "0"]),
    ("bash", &["/bin/bash", "-c", ":"]),
];

/// Measures each language that the machine has.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let file = workshop.folder()?.join("config.json");
    let config = json!({
        // What the machine gives is what is measured.
        "resources": {"code": {"backend_class": "code", "config": {"sandbox": "best_effort"}}},
        "warmup": {"resources": ["code"]},
    });
    fs::write(&file, config.to_string())?;
    let server = Server::start(workshop, &file).await?;
    let mut connection = Connection::open(server.address).await?;
    let session = json!({"worker_id": "bench", "resource_type": "code"});
    let made = request(
        server.address,
        "/api/v1/session/create",
        &session.to_string(),
    );
    ensure_success(connection.call(&made).await?.body)?;
    let mut rows = Vec::new();
    for (language, bare) in LANGUAGES {
        if spawn(bare).await.is_err() {
            continue;
        }
        let body = json!({
            "worker_id": "bench",
            "action": "code:execute",
            "params": {"code": if language == "bash" { ":" } else { "0" }, "language": language},
        });
        let execute = request(server.address, "/api/v1/execute", &body.to_string());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(spawn(bare).await?);
            let started = Instant::now();
            let answer = connection.call(&execute).await?;
            ours.push(started.elapsed().as_secs_f64() * 1e3);
            ensure_success(answer.body)?;
        }
        let (low, high) = range(&theirs);
        rows.push(
            Row::new(format!("code/execute/{language}"), median(&ours), "ms")
                .against(median(&theirs))
                .note(format!(
                    "an empty program; baseline {low:.1} to {high:.1} in {ROUNDS} rounds"
                )),
        );
    }
    server.stop().await?;
    Ok(rows)
}

/// Runs a program bare; the milliseconds that took.
async fn spawn(command: &[&str]) -> anyhow::Result<f64> {
    let started = Instant::now();
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await?;
    anyhow::ensure!(status.success(), "{} ended with {status}", command[0]);
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn ensure_success(body: &[u8]) -> anyhow::Result<()> {
    let answer: Value = serde_json::from_slice(body)?;
    anyhow::ensure!(answer["code"] == 0, "the server refused: {answer}");
    Ok(())
}
