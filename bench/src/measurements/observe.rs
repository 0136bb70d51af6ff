//! What it costs to be seen: an echo tool over HTTP, watched in every way there is, against the same server unwatched.

use serde_json::json;

use super::{
    http::echo,
    rounds::{PROCESSES, Rounds},
};
use crate::{
    client::Target,
    collector::Collector,
    load::Plan,
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

const CONNECTIONS: usize = 64;

/// Measures it.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let collector = Collector::start().await?;
    let unwatched = json!({ "metrics": { "enabled": false } });
    let watched = json!({
        "metrics": { "enabled": true },
        "audit": { "file": "audit.log" },
        "traces": { "endpoint": collector.endpoint() },
    });
    let plan = |server: &Server| Plan {
        address: server.address,
        target: Target::execute(),
        connections: CONNECTIONS,
        bodies: vec![echo()],
        warm_up_ms: 150,
        measure_ms: 600,
        every_us: 0,
    };
    let mut rounds = Rounds::default();
    for _ in 0..PROCESSES {
        let watched = Server::observed(workshop, &["echo"], &watched).await?;
        let unwatched = Server::observed(workshop, &["echo"], &unwatched).await?;
        rounds.measure(&plan(&watched), &plan(&unwatched)).await?;
        watched.stop().await?;
        unwatched.stop().await?;
    }
    anyhow::ensure!(collector.took_any(), "the collector got no spans");
    Ok(vec![row(&rounds)])
}

fn row(rounds: &Rounds) -> Row {
    let (rate, unwatched) = rounds.rates();
    Row::new(format!("http/observed/{CONNECTIONS}"), rate, "requests/s")
        .against(unwatched)
        .goal(Goal::RatioAtLeast(0.93))
        .note(format!(
            "audit log, and a span of every call to a collector; {}",
            rounds.rates_noise()
        ))
}
