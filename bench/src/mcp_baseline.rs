//! What the server's MCP front is held against: a bare server made with the same SDK that has the same tool. A
//! process of its own, on a runtime with the server's settings.

use std::{net::SocketAddr, process::Stdio, sync::Arc};

use anyhow::Context as _;
use axum::{Router, serve::ListenerExt};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig,
        streamable_http_server::{StreamableHttpService, session::never::NeverSessionManager},
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

/// The baseline's process; killed when this is dropped.
pub(crate) struct McpBaseline {
    _child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl McpBaseline {
    /// Starts this very program as a baseline that answers so.
    pub(crate) async fn start(events: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("mcp-baseline");
        if events {
            command.arg("--events");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the baseline")?;
        let output = child.stdout.take().context("the baseline has no output")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let address = line.context("the baseline did not start")?.parse()?;
        Ok(Self {
            _child: child,
            address,
        })
    }
}

/// The baseline itself: prints its address and serves until its standard input ends, as it does when
/// the benchmark is gone.
pub(crate) fn run(events: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(events))
}

async fn serve(events: bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::report::print(&format!("{}\n", listener.local_addr()?))?;
    let listener = listener.tap_io(|stream| {
        // Without it, streams of events would stand still for 40 ms a call.
        let _ = stream.set_nodelay(true);
    });
    // Without sessions, as ours: it is the SDK's faster way.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(!events);
    let manager = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Bare), manager, config);
    let router = Router::new().route_service("/mcp", service);
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served?,
        _ = orphaned() => {}
    }
    Ok(())
}

async fn orphaned() -> std::io::Result<()> {
    let mut input = tokio::io::stdin();
    while input.read(&mut [0]).await? > 0 {}
    Ok(())
}

/// A server with one tool.
#[derive(Clone)]
struct Bare;

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let value = request.arguments.and_then(|mut it| it.remove("value"));
        let value = value.ok_or_else(|| ErrorData::invalid_params("no value", None))?;
        Ok(CallToolResult::structured(value).into())
    }
}
