//! The browser through the server, against the same browser over a pipe and nothing between: sessions, addresses, pictures,
//! memory. Needs the package `chromium-headless-shell`.

use std::{fs, net::SocketAddr, time::Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    client::{Connection, request},
    devtools::Browser,
    memory,
    numbers::{count, median},
    row::Row,
    server::Server,
    workshop::Workshop,
};

/// How often each thing is done on each side, in turn.
const TIMES: usize = 30;
/// Pages that are open at once when memory is counted.
const PAGES: usize = 8;

/// Measures both sides in turn.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let url = site().await?;
    let folder = workshop.folder()?;
    let config = json!({
        "resources": { "browser": { "backend_class": "browser", "config": { "allowed_hosts": ["127.0.0.1"] } } },
        "warmup": { "resources": ["browser"] },
    });
    let file = folder.join("config.json");
    fs::write(&file, config.to_string())?;
    let server = Server::start(workshop, &file).await?;
    let mut ours = Ours::new(server.address).await?;
    let mut theirs = Browser::start(&workshop.folder()?)?;
    theirs.call("", "Browser.getVersion", json!({})).await?;
    let rows = vec![
        sessions(&mut ours, &mut theirs, &url).await?,
        goto(&mut ours, &mut theirs, &url).await?,
        screenshot(&mut ours, &mut theirs, &url).await?,
        memory(&mut ours, &mut theirs, &url, server.process()?).await?,
    ];
    server.stop().await?;
    Ok(rows)
}

/// A session, a page in it, and its end.
async fn sessions(ours: &mut Ours, theirs: &mut Browser, url: &str) -> anyhow::Result<Row> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let begun = Instant::now();
        ours.create("s").await?;
        ours.call("s", "goto", json!({ "url": url })).await?;
        ours.destroy("s").await?;
        with.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let (context, session) = theirs.open().await?;
        theirs.goto(&session, url).await?;
        theirs
            .call(
                "",
                "Target.disposeBrowserContext",
                json!({ "browserContextId": context }),
            )
            .await?;
        without.push(begun.elapsed().as_secs_f64());
    }
    Ok(Row::new("browser/sessions", 1.0 / median(&with), "1/s")
        .against(1.0 / median(&without))
        .note("one after another: create, open a page, end"))
}

async fn goto(ours: &mut Ours, theirs: &mut Browser, url: &str) -> anyhow::Result<Row> {
    ours.create("g").await?;
    let (_, session) = theirs.open().await?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let begun = Instant::now();
        ours.call("g", "goto", json!({ "url": url })).await?;
        with.push(milliseconds(begun));
        let begun = Instant::now();
        theirs.goto(&session, url).await?;
        without.push(milliseconds(begun));
    }
    ours.destroy("g").await?;
    Ok(Row::new("browser/goto", median(&with), "ms")
        .against(median(&without))
        .note("a small page on loopback, to its load event; through the filtering proxy"))
}

async fn screenshot(ours: &mut Ours, theirs: &mut Browser, url: &str) -> anyhow::Result<Row> {
    ours.create("p").await?;
    ours.call("p", "goto", json!({ "url": url })).await?;
    let (_, session) = theirs.open().await?;
    let size = json!({ "width": 1280, "height": 720, "deviceScaleFactor": 1, "mobile": false });
    theirs
        .call(&session, "Emulation.setDeviceMetricsOverride", size)
        .await?;
    theirs.goto(&session, url).await?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let begun = Instant::now();
        ours.call("p", "screenshot", json!({})).await?;
        with.push(milliseconds(begun));
        let begun = Instant::now();
        theirs
            .call(
                &session,
                "Page.captureScreenshot",
                json!({ "optimizeForSpeed": true }),
            )
            .await?;
        without.push(milliseconds(begun));
    }
    ours.destroy("p").await?;
    Ok(Row::new("browser/screenshot", median(&with), "ms")
        .against(median(&without))
        .note("1280×720, PNG"))
}

/// What one more session with a page costs.
async fn memory(
    ours: &mut Ours,
    theirs: &mut Browser,
    url: &str,
    server: u32,
) -> anyhow::Result<Row> {
    let before = memory::of_tree(server)?;
    for number in 0..PAGES {
        let worker = format!("m{number}");
        ours.create(&worker).await?;
        ours.call(&worker, "goto", json!({ "url": url })).await?;
    }
    let with = memory::of_tree(server)?.saturating_sub(before);
    for number in 0..PAGES {
        ours.destroy(&format!("m{number}")).await?;
    }
    let browser = theirs.process()?;
    let before = memory::of_tree(browser)?;
    for _ in 0..PAGES {
        let (_, session) = theirs.open().await?;
        theirs.goto(&session, url).await?;
    }
    let without = memory::of_tree(browser)?.saturating_sub(before);
    let each = |bytes: u64| count(bytes) / f64::from(1 << 20) / count(PAGES as u64);
    Ok(Row::new("browser/memory", each(with), "MiB")
        .against(each(without))
        .note(format!(
            "proportional memory (PSS) of one of {PAGES} sessions with a page each"
        )))
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

/// The server's side.
struct Ours {
    address: SocketAddr,
    connection: Connection,
}

impl Ours {
    async fn new(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            address,
            connection: Connection::open(address).await?,
        })
    }

    async fn create(&mut self, worker: &str) -> anyhow::Result<()> {
        self.post(
            "/api/v1/session/create",
            &json!({ "worker_id": worker, "resource_type": "browser" }),
        )
        .await
    }

    async fn destroy(&mut self, worker: &str) -> anyhow::Result<()> {
        self.post(
            "/api/v1/session/destroy",
            &json!({ "worker_id": worker, "resource_type": "browser" }),
        )
        .await
    }

    async fn call(&mut self, worker: &str, tool: &str, params: Value) -> anyhow::Result<()> {
        let action = format!("browser:{tool}");
        self.post(
            "/api/v1/execute",
            &json!({ "worker_id": worker, "action": action, "params": params }),
        )
        .await
    }

    async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<()> {
        let answer = self
            .connection
            .call(&request(self.address, path, &body.to_string()))
            .await?;
        let refused = || format!("{path}: {}", String::from_utf8_lossy(answer.body));
        anyhow::ensure!(answer.status == 200, refused());
        Ok(())
    }
}

/// Serves one small page, to whoever asks for anything.
async fn site() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot serve a page")?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let body = format!(
                    "<title>Page</title><h1>A page</h1>{}",
                    "<p>Some text.</p>".repeat(100)
                );
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    seen.extend_from_slice(&buffer[..read]);
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(url)
}
