//! Programs and files in the guest, through QEMU's guest agent (`qemu-guest-agent`), if the guest has it.

use std::{path::Path, time::Duration};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    time::{sleep, timeout},
};

use crate::{
    End, Error, Result,
    qmp::{Qmp, QmpError},
};

/// What an agent that is there may take for an answer.
const LIMIT: Duration = Duration::from_secs(15);
/// How long to wait for an agent that may not be there.
const THERE: Duration = Duration::from_secs(5);
/// How often a program is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);
/// What is sent of a file at once. Agents take up to 48 MB; the monitor's line must be in memory as a whole.
const PART: usize = 512 * 1024;

#[derive(Debug, Deserialize)]
struct Started {
    pid: u32,
}

#[derive(Debug, Deserialize)]
struct Status {
    exited: bool,
    exitcode: Option<i32>,
    signal: Option<i32>,
}

pub(super) async fn launch(agent: &Qmp, command: &[String]) -> Result<u32> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::Refused("the command is empty".into()));
    };
    there(agent).await?;
    let arguments = json!({ "path": program, "arg": arguments, "capture-output": false });
    let started: Started = ask(agent, "guest-exec", arguments).await?;
    Ok(started.pid)
}

pub(super) async fn run(agent: &Qmp, command: &[String], limit: Duration) -> Result<i32> {
    let pid = launch(agent, command).await?;
    let ended = async {
        loop {
            let status: Status = ask(agent, "guest-exec-status", json!({ "pid": pid })).await?;
            if status.exited {
                // As shells say it.
                let killed = status.signal.map(|signal| 128 + signal);
                return Ok(status.exitcode.or(killed).unwrap_or_default());
            }
            sleep(LOOK).await;
        }
    };
    let late = || {
        Error::Timeout(format!(
            "the program still runs after {} s",
            limit.as_secs()
        ))
    };
    timeout(limit, ended).await.map_err(|_| late())?
}

pub(super) async fn upload(agent: &Qmp, from: &Path, to: &str) -> Result<()> {
    let unreadable = Error::system("read the file to upload");
    let mut file = tokio::fs::File::open(from).await.map_err(&unreadable)?;
    there(agent).await?;
    let handle: i64 = ask(agent, "guest-file-open", json!({ "path": to, "mode": "w" })).await?;
    let mut part = vec![0; PART];
    let written = async {
        loop {
            let length = file.read(&mut part).await.map_err(&unreadable)?;
            if length == 0 {
                return Ok(());
            }
            let text = BASE64_STANDARD.encode(&part[..length]);
            let arguments = json!({ "handle": handle, "buf-b64": text });
            ask::<Value>(agent, "guest-file-write", arguments).await?;
        }
    };
    let written = written.await;
    ask::<Value>(agent, "guest-file-close", json!({ "handle": handle })).await?;
    written
}

async fn there(agent: &Qmp) -> Result<()> {
    let answer = agent.ask::<Value>("guest-ping", json!({}), THERE).await;
    answer.map(drop).map_err(|error| match error {
        QmpError::Timeout(_) => Error::Unsupported(
            "the virtual machine has no guest agent: its image needs the package qemu-guest-agent"
                .into(),
        ),
        other => presentable(other),
    })
}

async fn ask<T: serde::de::DeserializeOwned>(
    agent: &Qmp,
    command: &'static str,
    arguments: Value,
) -> Result<T> {
    agent
        .ask(command, arguments, LIMIT)
        .await
        .map_err(presentable)
}

/// What the agent says is about the guest, so the caller may read it.
fn presentable(error: QmpError) -> Error {
    match error {
        QmpError::Gone => Error::Dead(End::Unknown),
        QmpError::Timeout(_) => Error::Timeout("the guest agent did not answer".into()),
        QmpError::Refused { reason, .. } => {
            Error::Refused(format!("the guest agent says: {reason}"))
        }
    }
}
