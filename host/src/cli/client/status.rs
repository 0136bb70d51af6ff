//! `sandbox status`: whether a server takes calls, and what it has.

use super::{
    connect::ServerArgs,
    failure::Failure,
    output::{print, print_json, table},
};
use clap::Args;
use sandbox_protocol::response::{
    BackendCondition, BackendHealth, BackendState, Health, Readiness, ReadyOrNot, WarmupStatus,
};
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
    ready: ReadyOrNot,
    #[serde(flatten)]
    backends: WarmupStatus,
}

/// Prints how the server is.
pub(super) async fn run(args: &StatusArgs) -> Result<(), Failure> {
    let client = args.server.connect()?;
    let status = Status {
        url: client.url().trim_end_matches('/'),
        health: client.health().await?,
        ready: client.ready_verbose().await?,
        backends: client.warmup_status().await?,
    };
    if args.json {
        print_json(&status)?;
    } else {
        print(&as_table(&status))?;
    }
    match status.ready.ready.status {
        Readiness::Ready => Ok(()),
        Readiness::Starting => Err(Failure::refused("the server is starting")),
        Readiness::Draining => Err(Failure::refused("the server is stopping")),
    }
}

fn as_table(status: &Status<'_>) -> String {
    let ready = &status.ready.ready;
    let readiness = match ready.status {
        Readiness::Ready => "ready",
        Readiness::Starting => "starting",
        Readiness::Draining => "stopping",
    };
    let row = |name: &str, value: String| [name.to_owned(), value];
    let mut rows = vec![
        row(
            "server",
            format!(
                "{} ({readiness}, version {})",
                status.url, status.health.version
            ),
        ),
        row("tools", ready.tools_count.to_string()),
        row("workers", ready.active_workers.to_string()),
        row("sessions", ready.total_sessions.to_string()),
    ];
    for (place, (name, backend)) in status.backends.backends.iter().enumerate() {
        let mut known = status.ready.backends.iter().flatten();
        let health = known.find(|health| health.name == *name);
        let state = state(*backend, health);
        let heading = if place == 0 { "backends" } else { "" };
        rows.push(row(heading, format!("{name}: {state}")));
    }
    table(&rows)
}

/// How a backend is, in words; a server that says no more than what is warm is believed that.
fn state(backend: BackendState, health: Option<&BackendHealth>) -> String {
    let why = |health: &BackendHealth| {
        let error = health.probe_error.as_ref().or(health.last_error.as_ref());
        error.map_or_else(String::new, |error| format!(": {}", one_line(error)))
    };
    match (backend, health.map(|health| (health.state, health))) {
        (BackendState { loaded: false, .. }, _) => {
            "not loaded; the server's log says why".to_owned()
        }
        (_, Some((BackendCondition::Failing, health))) => format!("failing{}", why(health)),
        (_, Some((BackendCondition::Warming, _))) => "warming up".to_owned(),
        (
            BackendState {
                warmed_up: true, ..
            },
            _,
        ) => "warm".to_owned(),
        _ => "warms up with its first call".to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn backend(name: &str, state: &Value) -> Value {
        let mut backend =
            json!({"name": name, "kind": "shared", "version": "1", "abi": "1.1", "sessions": 0});
        for (key, value) in state.as_object().into_iter().flatten() {
            backend[key] = value.clone();
        }
        backend
    }

    #[test]
    fn a_status_fits_on_a_few_lines() {
        let status = Status {
            url: "http://127.0.0.1:18890",
            health: serde_json::from_value(
                json!({"status": "healthy", "version": "0.1.0", "timestamp": "2026-01-02T03:04:05Z"}),
            )
            .unwrap(),
            ready: serde_json::from_value(
                json!({"status": "ready", "tools_count": 12, "active_workers": 3, "total_sessions": 4,
                    "not_loaded": ["vm"], "backends": [
                        backend("bash", &json!({"state": "warm"})),
                        backend("browser", &json!({"state": "failing", "last_error": "no Chromium\nin PATH"})),
                        backend("code", &json!({"state": "warming"})),
                        backend("rag", &json!({"state": "cold"})),
                        backend("web", &json!({"state": "failing", "probe_error": "no room"})),
                    ]}),
            )
            .unwrap(),
            backends: serde_json::from_value(json!({
                "backends": {
                    "bash": {"loaded": true, "warmed_up": true},
                    "browser": {"loaded": true, "warmed_up": false},
                    "code": {"loaded": true, "warmed_up": false},
                    "older": {"loaded": true, "warmed_up": true},
                    "rag": {"loaded": true, "warmed_up": false},
                    "vm": {"loaded": false, "warmed_up": false},
                    "web": {"loaded": true, "warmed_up": true},
                },
                "summary": {"total": 7, "warmed_up": 3, "pending": 4},
            }))
            .unwrap(),
        };
        insta::assert_snapshot!(as_table(&status), @r"
        server    http://127.0.0.1:18890 (ready, version 0.1.0)
        tools     12
        workers   3
        sessions  4
        backends  bash: warm
                  browser: failing: no Chromium in PATH
                  code: warming up
                  older: warm
                  rag: warms up with its first call
                  vm: not loaded; the server's log says why
                  web: failing: no room
        ");
        let told = serde_json::to_value(&status).unwrap();
        assert_eq!(told["ready"]["not_loaded"], json!(["vm"]));
    }
}
