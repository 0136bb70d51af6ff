//! `sandbox mcp`: the tools for one client of the Model Context Protocol, on standard input and output.

use std::{process::ExitCode, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    ConfigFile, block_on, client,
    serve::{Interrupts, Log, Prepared, Start, part, run_server, stop},
};
use crate::{config::LogLevel, logging::Format, mcp};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox mcp --config config.json                         a server of its own for this client
  sandbox mcp --server http://127.0.0.1:18890              the tools of a server that runs
  sandbox mcp --server http://127.0.0.1:18890/mcp/bash     one backend's alone

An MCP client starts this command itself: give it the command line in its configuration.")]
pub(super) struct McpArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Be a bridge to this running server instead
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    server: Option<String>,
    #[command(flatten)]
    key: client::KeyArgs,
    /// Log this much, to standard error
    #[arg(long, value_name = "LEVEL", ignore_case = true, default_value = "warn")]
    log_level: LogLevel,
}

pub(super) fn run(args: &McpArgs) -> anyhow::Result<ExitCode> {
    if let Some(url) = &args.server {
        block_on(mcp::bridge(&args.key.connect(url)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let start = Start {
        config: &args.file.config,
        log: Log {
            level: Some(args.log_level),
            format: Format::Text,
        },
        // It listens to nobody else.
        insecure: true,
        verbose: false,
    };
    run_server(&start, |_| {}, serve)
}

async fn serve(prepared: Prepared) -> anyhow::Result<ExitCode> {
    let grace = prepared.loaded.config.server.grace_period;
    let sandbox = prepared.assemble()?;
    let mut interrupts = Interrupts::listen()?;
    let warming = Arc::clone(&sandbox);
    tokio::spawn(async move {
        warming.warm_up().await;
        let _ = warming.open();
    });
    let closing = CancellationToken::new();
    let served = tokio::select! {
        served = mcp::serve_stdio(Arc::clone(&sandbox), closing.clone()) => served,
        () = interrupts.next() => Ok(()),
    };
    let forced = stop(&sandbox, grace, &mut interrupts).await;
    part(sandbox.observers.close(), forced, &mut interrupts).await;
    served.map(|()| ExitCode::SUCCESS)
}
