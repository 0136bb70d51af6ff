//! What the server's execute route is held against: a bare axum handler that reads the same JSON and
//! answers the same bytes. A process of its own, on a runtime with the server's settings.

use std::{net::SocketAddr, process::Stdio};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
    serve::ListenerExt,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

/// The request, read as a careful server reads it: nothing is copied, `params` is not parsed.
#[derive(Debug, Deserialize, Serialize)]
struct Execute<'a> {
    worker_id: &'a str,
    action: &'a str,
    #[serde(borrow)]
    params: &'a RawValue,
}

/// The baseline's process; killed when this is dropped.
pub(crate) struct Baseline {
    _child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Baseline {
    /// Starts this very program as a baseline that gives this answer.
    pub(crate) async fn start(answer: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["baseline", answer])
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
pub(crate) fn run(answer: String) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(answer))
}

async fn serve(answer: String) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::report::print(&format!("{}\n", listener.local_addr()?))?;
    let listener = listener.tap_io(|stream| {
        // Without it, only latency would suffer, and the numbers would show it.
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new()
        .route("/api/v1/execute", post(execute))
        .with_state(Bytes::from(answer));
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

async fn execute(State(answer): State<Bytes>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Execute<'_>>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    std::hint::black_box(&request);
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}
