//! `sandbox status`: whether a server takes calls, and what it has.

use super::{
    connect::ServerArgs,
    failure::Failure,
    output::{print, print_json, table},
};
use clap::Args;
use sandbox_protocol::response::{Health, Readiness, Ready, WarmupStatus};
use serde::Serialize;

/// Show how a running server is
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sandbox status
  sandbox status --url http://127.0.0.1:9000 --json

Exit status: 0 ready, 1 starting or draining, 3 no server answers.")]
pub(crate) struct StatusArgs {
    /// Print as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: ServerArgs,
}

/// All that the server says of itself.
#[derive(Serialize)]
struct Status<'a> {
    url: &'a str,
    health: Health,
    ready: Ready,
    #[serde(flatten)]
    backends: WarmupStatus,
}

/// Prints how the server is.
pub(super) async fn run(args: &StatusArgs) -> Result<(), Failure> {
    let client = args.server.connect()?;
    let status = Status {
        url: client.url().trim_end_matches('/'),
        health: client.health().await?,
        ready: client.ready().await?,
        backends: client.warmup_status().await?,
    };
    if args.json {
        print_json(&status)?;
    } else {
        print(&as_table(&status))?;
    }
    match status.ready.status {
        Readiness::Ready => Ok(()),
        Readiness::Starting => Err(Failure::refused("the server is starting")),
        Readiness::Draining => Err(Failure::refused("the server is stopping")),
    }
}

fn as_table(status: &Status<'_>) -> String {
    let ready = match status.ready.status {
        Readiness::Ready => "ready",
        Readiness::Starting => "starting",
        Readiness::Draining => "stopping",
    };
    let row = |name: &str, value: String| [name.to_owned(), value];
    let mut rows = vec![
        row(
            "server",
            format!(
                "{} ({ready}, version {})",
                status.url, status.health.version
            ),
        ),
        row("tools", status.ready.tools_count.to_string()),
        row("workers", status.ready.active_workers.to_string()),
        row("sessions", status.ready.total_sessions.to_string()),
    ];
    for (place, (name, backend)) in status.backends.backends.iter().enumerate() {
        let state = match (backend.loaded, backend.warmed_up) {
            (false, _) => "not loaded",
            (true, false) => "warms up with its first call",
            (true, true) => "warm",
        };
        let heading = if place == 0 { "backends" } else { "" };
        rows.push(row(heading, format!("{name}: {state}")));
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_fits_on_a_few_lines() {
        let status = Status {
            url: "http://127.0.0.1:18890",
            health: serde_json::from_value(
                json!({"status": "healthy", "version": "0.1.0", "timestamp": "2026-01-02T03:04:05Z"}),
            )
            .unwrap(),
            ready: serde_json::from_value(
                json!({"status": "ready", "tools_count": 12, "active_workers": 3, "total_sessions": 4}),
            )
            .unwrap(),
            backends: serde_json::from_value(json!({
                "backends": {
                    "bash": {"loaded": true, "warmed_up": true},
                    "rag": {"loaded": true, "warmed_up": false},
                    "vm": {"loaded": false, "warmed_up": false},
                },
                "summary": {"total": 3, "warmed_up": 1, "pending": 2},
            }))
            .unwrap(),
        };
        insta::assert_snapshot!(as_table(&status), @r"
        server    http://127.0.0.1:18890 (ready, version 0.1.0)
        tools     12
        workers   3
        sessions  4
        backends  bash: warm
                  rag: warms up with its first call
                  vm: not loaded
        ");
    }
}
