//! `tools/call` of an echo tool over MCP against a bare server made with the same SDK; and what clients that
//! vanish leave behind.

use anyhow::Context as _;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::rounds::{PROCESSES, Rounds};
use crate::{
    client::{Connection, Target, request_to},
    load::Plan,
    mcp_baseline::McpBaseline,
    memory,
    numbers::count,
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

/// Over how many connections.
const CONNECTIONS: usize = 16;

/// How many clients vanish, and how many did before, so that buffers are not counted as clients.
const VANISHED: usize = 10_000;
const BEFORE: usize = 2_000;

const NEW: &str = "2026-07-28";
const OLD: &str = "2025-11-25";

/// Which generation speaks, and how it is answered.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    /// What the rows' names begin with.
    pub(crate) name: &'static str,
    /// Whether it is the newer generation.
    pub(crate) new: bool,
    /// Whether replies are streams of events.
    pub(crate) events: bool,
}

/// Measures calls.
pub(crate) async fn echo(workshop: &Workshop, way: Way) -> anyhow::Result<Vec<Row>> {
    let mut rounds = Rounds::default();
    for _ in 0..PROCESSES {
        let server = start(workshop, way.events).await?;
        let baseline = McpBaseline::start(way.events).await?;
        let ours = plan(&server, way).await?;
        let mut theirs = ours.clone();
        theirs.address = baseline.address;
        theirs.target.headers = headers(way, None);
        rounds.measure(&ours, &theirs).await?;
        server.stop().await?;
    }
    let (rate, their_rate) = rounds.rates();
    Ok(vec![
        Row::new(way.name, rate, "calls/s")
            .against(their_rate)
            .goal(Goal::RatioAtLeast(0.9))
            .note(rounds.rates_noise()),
    ])
}

async fn start(workshop: &Workshop, events: bool) -> anyhow::Result<Server> {
    let replies = if events { "event-stream" } else { "json" };
    let config = json!({
        "resources": { "echo": { "backend_class": "echo" } },
        "warmup": { "resources": ["echo"] },
        "mcp": { "replies": replies },
    });
    let file = workshop.folder()?.join("config.json");
    std::fs::write(&file, config.to_string())?;
    Server::start(workshop, &file).await
}

async fn plan(server: &Server, way: Way) -> anyhow::Result<Plan> {
    let session = if way.new {
        None
    } else {
        Some(begin(server).await?)
    };
    let plan = Plan {
        address: server.address,
        target: Target {
            path: "/mcp".to_owned(),
            headers: headers(way, session.as_deref()),
        },
        connections: CONNECTIONS,
        bodies: vec![call(way.new).to_string()],
        warm_up_ms: 150,
        measure_ms: 600,
        every_us: 0,
    };
    let mut connection = Connection::open(server.address).await?;
    let request = request_to(server.address, &plan.target, &plan.bodies[0]);
    let answer = connection.call(&request).await?;
    let text = str::from_utf8(answer.body).context("the answer is not text")?;
    let fine = answer.status == 200 && text.contains(r#""isError":false"#);
    anyhow::ensure!(fine, "the echo was refused: {text}");
    Ok(plan)
}

fn headers(way: Way, session: Option<&str>) -> String {
    let accept = "accept: application/json, text/event-stream\r\n";
    if way.new {
        return format!(
            "{accept}mcp-protocol-version: {NEW}\r\nmcp-method: tools/call\r\nmcp-name: echo_echo\r\n"
        );
    }
    let session = session.map(|session| format!("mcp-session-id: {session}\r\n"));
    format!(
        "{accept}mcp-protocol-version: {OLD}\r\n{}",
        session.unwrap_or_default()
    )
}

fn call(new: bool) -> Value {
    let value = json!({ "query": "what is measured is the way there and back", "top_k": 10 });
    let mut params = json!({ "name": "echo_echo", "arguments": { "value": value } });
    if new {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": NEW,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "bench", "version": "1" },
        });
    }
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
}

/// Introduces a client of the older generation; returns its handle.
async fn begin(server: &Server) -> anyhow::Result<String> {
    let mut connection = Connection::open(server.address).await?;
    begin_on(&mut connection, server).await
}

async fn begin_on(connection: &mut Connection, server: &Server) -> anyhow::Result<String> {
    let about = json!({
        "protocolVersion": OLD,
        "capabilities": {},
        "clientInfo": { "name": "bench", "version": "1" },
    });
    let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about });
    let target = Target {
        path: "/mcp".to_owned(),
        headers: "accept: application/json, text/event-stream\r\n".to_owned(),
    };
    let request = request_to(server.address, &target, &message.to_string());
    let answer = connection.call(&request).await?;
    let head = String::from_utf8_lossy(answer.head);
    let session = head
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "));
    Ok(session.context("the server gave no handle")?.to_owned())
}

/// Measures what clients leave that introduce themselves, call a tool, and are never heard of again.
pub(crate) async fn vanished(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let server = start(workshop, false).await?;
    let process = server.process()?;
    vanish(&server, BEFORE).await?;
    let before = memory::of(process)?.resident;
    vanish(&server, VANISHED).await?;
    let after = memory::of(process)?.resident;
    server.stop().await?;
    let more = count(after.saturating_sub(before)) / 1024.0;
    Ok(vec![
        Row::new("mcp/vanished/10000", more, "KiB")
            .goal(Goal::Below(1024.0))
            .note("resident memory that they left"),
    ])
}

async fn vanish(server: &Server, clients: usize) -> anyhow::Result<()> {
    let way = Way {
        name: "",
        new: false,
        events: false,
    };
    let connection = |_| async move {
        for _ in 0..clients / CONNECTIONS {
            let mut connection = Connection::open(server.address).await?;
            let session = begin_on(&mut connection, server).await?;
            let target = Target {
                path: "/mcp".to_owned(),
                headers: headers(way, Some(&session)),
            };
            let request = request_to(server.address, &target, &call(false).to_string());
            let answer = connection.call(&request).await?;
            anyhow::ensure!(answer.status == 200, "a call was refused");
        }
        anyhow::Ok(())
    };
    try_join_all((0..CONNECTIONS).map(connection)).await?;
    Ok(())
}
