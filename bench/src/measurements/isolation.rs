//! What everybody else notices of one worker that is slow: their echo, with and without it.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use super::rounds::Rounds;
use crate::{
    client::{Connection, Target, request},
    load::{Load, Plan},
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

/// How often each side is measured.
const ROUNDS: usize = 7;

/// One request that the slow worker sends: path and body.
type Step = (&'static str, Value);

/// One worker makes a session whose `initialize` takes a second, ends it, and makes it again.
pub(crate) async fn initialize(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let server = Server::with(workshop, &["echo", "counter"]).await?;
    let steps = [
        (
            "/api/v1/session/create",
            json!({"worker_id": "slow", "resource_type": "counter", "config": {"slow_ms": 1000}}),
        ),
        (
            "/api/v1/session/destroy",
            json!({"worker_id": "slow", "resource_type": "counter"}),
        ),
    ];
    measure("isolation/initialize", server, &steps).await
}

/// One worker is in a tool that holds its thread for a second, again and again.
pub(crate) async fn blocking(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let server = Server::with(workshop, &["echo"]).await?;
    let block = json!({"worker_id": "slow", "action": "echo:block", "params": {"ms": 1000}});
    measure("isolation/blocking", server, &[("/api/v1/execute", block)]).await
}

async fn measure(name: &str, server: Server, steps: &[Step]) -> anyhow::Result<Vec<Row>> {
    let mut rounds = Rounds::default();
    let plan = others(server.address);
    for _ in 0..ROUNDS {
        rounds.theirs.push(plan.run().await?);
        rounds.ours.push(beside(&plan, steps).await?);
    }
    server.stop().await?;
    let (p99, without) = rounds.medians(|load| load.p99_us);
    let (max, max_without) = rounds.medians(|load| load.max_us);
    Ok(vec![
        Row::new(format!("{name}/p99"), p99, "us")
            .against(without)
            .goal(Goal::RatioAtMost(1.2))
            .note(rounds.noise(|load| load.p99_us)),
        Row::new(format!("{name}/max"), max, "us")
            .against(max_without)
            .note(rounds.noise(|load| load.max_us)),
    ])
}

/// Everybody else: eight connections with two hundred calls a second each, half of them of the
/// inline echo, half of the one on the plugin's runtime.
fn others(address: SocketAddr) -> Plan {
    let inline = json!({"worker_id": "other", "action": "echo:echo", "params": {"value": "hello"}});
    let hop = json!({"worker_id": "other", "action": "echo:text", "params": {"text": "hello"}});
    Plan {
        address,
        target: Target::execute(),
        connections: 8,
        bodies: vec![inline.to_string(), hop.to_string()],
        warm_up_ms: 200,
        measure_ms: 1000,
        every_us: 5000,
    }
}

/// The others while the slow worker goes through its steps.
async fn beside(plan: &Plan, steps: &[Step]) -> anyhow::Result<Load> {
    let mut connection = Connection::open(plan.address).await?;
    tokio::select! {
        load = plan.run() => load,
        slow = go_through(&mut connection, plan.address, steps) => {
            slow?;
            anyhow::bail!("the slow worker stopped")
        }
    }
}

async fn go_through(
    connection: &mut Connection,
    address: SocketAddr,
    steps: &[Step],
) -> anyhow::Result<()> {
    for (path, body) in steps.iter().cycle() {
        let request = request(address, path, &body.to_string());
        let answer = connection.call(&request).await?;
        let known = answer.status == 200 || is_left_over(answer.status);
        let text = String::from_utf8_lossy(answer.body).into_owned();
        anyhow::ensure!(known, "the slow worker's {path} was refused: {text}");
        if is_left_over(answer.status) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// What a round was interrupted in ends a little later: 404 for a session that was never made, 409
/// for one that is still being ended.
fn is_left_over(status: u16) -> bool {
    matches!(status, 404 | 409)
}
