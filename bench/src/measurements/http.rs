//! `POST /api/v1/execute` of an echo tool against a bare axum handler.

use anyhow::Context as _;
use serde_json::json;

use super::rounds::{PROCESSES, Rounds};
use crate::{
    baseline::Baseline,
    client::{Connection, Target, request},
    load::Plan,
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

/// Measures with this many connections.
pub(crate) async fn execute(workshop: &Workshop, connections: usize) -> anyhow::Result<Vec<Row>> {
    let mut rounds = Rounds::default();
    for _ in 0..PROCESSES {
        let server = Server::with(workshop, &["echo"]).await?;
        let body = echo();
        let answer = sample(&server, &body).await?;
        let baseline = Baseline::start(&answer).await?;
        let plan = Plan {
            address: server.address,
            target: Target::execute(),
            connections,
            bodies: vec![body],
            warm_up_ms: 150,
            measure_ms: 600,
            every_us: 0,
        };
        let against = Plan {
            address: baseline.address,
            ..plan.clone()
        };
        rounds.measure(&plan, &against).await?;
        server.stop().await?;
    }
    Ok(rows(&rounds, connections))
}

/// The body of a call of the echo tool.
pub(super) fn echo() -> String {
    json!({
        "worker_id": "bench",
        "action": "echo:echo",
        "params": { "value": { "query": "what is measured is the way there and back", "top_k": 10 } },
    })
    .to_string()
}

/// An answer of the server, for the baseline to give the same bytes.
async fn sample(server: &Server, body: &str) -> anyhow::Result<String> {
    let mut connection = Connection::open(server.address).await?;
    let request = request(server.address, "/api/v1/execute", body);
    let answer = connection.call(&request).await?;
    let text = str::from_utf8(answer.body).context("the answer is not text")?;
    anyhow::ensure!(answer.status == 200, "the echo was refused: {text}");
    Ok(text.to_owned())
}

fn rows(rounds: &Rounds, connections: usize) -> Vec<Row> {
    let name = format!("http/execute/{connections}");
    let (rate, their_rate) = rounds.rates();
    let (p99, their_p99) = rounds.medians(|load| load.p99_us);
    let noise = rounds.rates_noise();
    vec![
        Row::new(name.clone(), rate, "requests/s")
            .against(their_rate)
            .goal(Goal::RatioAtLeast(0.85))
            .note(format!(
                "server logs at its default level to a file; {noise}"
            )),
        Row::new(format!("{name}/p99"), p99, "us")
            .against(their_p99)
            .goal(Goal::RatioAtMost(1.3))
            .note(rounds.noise(|load| load.p99_us)),
    ]
}
