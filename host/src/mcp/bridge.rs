//! `sandbox mcp --server URL`: carries messages between a client on standard input and output and a server
//! that runs elsewhere. Knows of the messages only what the transports treat differently.
//!
//! A server that was started anew does not know the client any more: the bridge introduces the client again
//! and tells it that the list of tools may have changed. `remote` is the side of HTTP, `events` reads its streams.

mod events;
mod remote;

use std::{collections::HashMap, sync::Arc};

use sandbox_client::Client;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Stdout, stdin, stdout},
    sync::Mutex,
    task::{AbortHandle, JoinSet},
};

use remote::{Remote, Trouble};

/// As much of a message as the transports treat differently.
#[derive(Deserialize)]
struct Message {
    id: Option<Box<RawValue>>,
    #[serde(default)]
    method: String,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Params {
    name: Option<String>,
    uri: Option<String>,
    task_id: Option<String>,
    request_id: Option<Box<RawValue>>,
    #[serde(rename = "_meta")]
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    /// Only the newer generation says it with each request.
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<String>,
}

impl Params {
    /// What the newer generation repeats in a header.
    fn name(&self) -> Option<&str> {
        let names = [&self.name, &self.uri, &self.task_id];
        names.into_iter().flatten().map(String::as_str).next()
    }
}

/// Carries messages until the client closes standard input and has its answers.
///
/// # Errors
///
/// When standard input or output fail.
pub async fn bridge(server: &Client) -> anyhow::Result<()> {
    let remote = Remote::new(server);
    let output = Output(Arc::new(Mutex::new(stdout())));
    let bridge = Arc::new(Bridge { remote, output });
    let mut lines = BufReader::new(stdin()).lines();
    let mut tasks = JoinSet::new();
    let mut running = HashMap::<String, AbortHandle>::new();
    while let Some(line) = lines.next_line().await? {
        while tasks.try_join_next().is_some() {}
        running.retain(|_, call| !call.is_finished());
        let Ok(message) = serde_json::from_str::<Message>(&line) else {
            let error = json!({ "code": -32700, "message": "not a message of JSON-RPC" });
            let answer = json!({ "jsonrpc": "2.0", "error": error });
            bridge.output.line(&answer.to_string()).await?;
            continue;
        };
        match (&message.id, &*message.method) {
            // What follows needs the handle that comes of it.
            (Some(_), "initialize") => bridge.carry(line, message).await?,
            (None, "notifications/cancelled") if !bridge.remote.has_session().await => {
                // The newer generation cancels by closing the stream; so does whoever drops the request.
                let id = message.params.request_id.as_deref().map(RawValue::get);
                if let Some(call) = id.and_then(|id| running.remove(id)) {
                    call.abort();
                }
            }
            (id, _) => {
                let id = id.as_deref().map(|id| id.get().to_owned());
                let bridge = Arc::clone(&bridge);
                let call = tasks.spawn(async move { bridge.carry(line, message).await });
                running.extend(id.map(|id| (id, call)));
            }
        }
    }
    while tasks.join_next().await.is_some() {}
    bridge.remote.take_leave().await;
    Ok(())
}

struct Bridge {
    remote: Remote,
    output: Output,
}

impl Bridge {
    /// Sends one message and gives the client what comes of it.
    async fn carry(&self, line: String, message: Message) -> std::io::Result<()> {
        let trouble = match self.remote.send(&line, &message, &self.output).await {
            Ok(again) => {
                if again {
                    let changed =
                        json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
                    self.output.line(&changed.to_string()).await?;
                }
                return Ok(());
            }
            Err(trouble) => trouble,
        };
        let (text, id) = match (trouble, message.id) {
            (Trouble::Output(error), _) => return Err(error),
            (Trouble::Server(text), Some(id)) => (text, id),
            (Trouble::Server(text), None) => {
                tracing::warn!(error = text, "a notification was not delivered");
                return Ok(());
            }
        };
        let error = json!({ "code": -32000, "message": text });
        let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
        self.output.line(&answer.to_string()).await
    }
}

/// The client's end: one message a line.
struct Output(Arc<Mutex<Stdout>>);

impl Output {
    async fn line(&self, text: &str) -> std::io::Result<()> {
        // Line breaks stand between the parts of JSON, never inside a text.
        let mut line = text.replace(['\n', '\r'], " ");
        line.push('\n');
        let mut output = self.0.lock().await;
        output.write_all(line.as_bytes()).await?;
        output.flush().await
    }
}
