//! A browser that is driven with as little as can be: the same program over the same pipe, one call at a time. What the
//! `browser` plugin is held against.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Where Debian's package `chromium-headless-shell` puts it.
pub(crate) const PROGRAM: &str = "/usr/lib/chromium/chromium-headless-shell";

/// The browser reads from descriptor 3 and writes to 4.
const HAND_OVER: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#;

/// A running browser; killed when dropped.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    read: Vec<u8>,
    last: u64,
}

impl Browser {
    /// Starts it with this profile.
    pub(crate) fn start(profile: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args([
                "-c",
                HAND_OVER,
                "sh",
                PROGRAM,
                "--remote-debugging-pipe",
                "--no-sandbox",
            ])
            .args([
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-site-isolation-trials",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            input: child.stdin.take().context("no pipe")?,
            output: child.stdout.take().context("no pipe")?,
            child,
            read: Vec::new(),
            last: 0,
        })
    }

    /// Its first process.
    pub(crate) fn process(&self) -> anyhow::Result<u32> {
        self.child.id().context("the browser has ended")
    }

    /// Calls, and waits for the answer. `session` is empty for the browser itself.
    pub(crate) async fn call(
        &mut self,
        session: &str,
        method: &str,
        params: Value,
    ) -> anyhow::Result<Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if !session.is_empty() {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.input.write_all(&bytes).await?;
        loop {
            let message = self.next().await?;
            if message["id"] == self.last {
                if let Some(error) = message.get("error") {
                    bail!("{method}: {error}");
                }
                return Ok(message["result"].clone());
            }
        }
    }

    /// A context with an empty page: the context's name, and the page's session.
    pub(crate) async fn open(&mut self) -> anyhow::Result<(String, String)> {
        let context = self
            .call("", "Target.createBrowserContext", json!({}))
            .await?;
        let context = text(&context["browserContextId"])?;
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let target = self.call("", "Target.createTarget", target).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("", "Target.attachToTarget", attach).await?;
        let session = text(&attached["sessionId"])?;
        self.call(&session, "Page.enable", json!({})).await?;
        Ok((context, session))
    }

    /// Opens an address and waits until it has loaded.
    pub(crate) async fn goto(&mut self, session: &str, url: &str) -> anyhow::Result<()> {
        self.call(session, "Page.navigate", json!({ "url": url }))
            .await?;
        while self.next().await?["method"] != "Page.loadEventFired" {}
        Ok(())
    }

    async fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == 0) {
                let message = serde_json::from_slice(&self.read[..end])?;
                self.read.drain(..=end);
                return Ok(message);
            }
            if self.output.read_buf(&mut self.read).await? == 0 {
                bail!("the browser has ended");
            }
        }
    }
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().context("a name is missing")?.to_owned())
}
