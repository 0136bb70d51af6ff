//! The load on a server: a process of its own with one thread, so that it takes little from the server
//! and always the same. It sends requests over many connections and tells how long the answers took.

use std::{
    net::SocketAddr,
    process::Stdio,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::{process::Command, task::LocalSet};

use crate::{
    client::{Connection, Target, request_to},
    numbers::{count, microseconds, percentile},
};

/// What to send.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Plan {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// What is asked for.
    pub(crate) target: Target,
    /// Over how many connections.
    pub(crate) connections: usize,
    /// The bodies of the calls of tools: each connection sends one of them, taking turns.
    pub(crate) bodies: Vec<String>,
    /// How long to send before measuring, in milliseconds.
    pub(crate) warm_up_ms: u64,
    /// How long to measure, in milliseconds.
    pub(crate) measure_ms: u64,
    /// How long each connection takes from one request to the next, in microseconds; zero for as
    /// fast as answers come.
    pub(crate) every_us: u64,
}

/// How it went.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Load {
    /// Answers per second.
    pub(crate) per_second: f64,
    /// The time that 99 of 100 answers did not exceed, in microseconds.
    pub(crate) p99_us: f64,
    /// The longest time, in microseconds.
    pub(crate) max_us: f64,
    /// How many answers were not success.
    pub(crate) refused: usize,
    /// One of those.
    pub(crate) refusal: String,
}

impl Plan {
    /// Runs this plan in a process of its own, which is killed when the future is dropped.
    pub(crate) async fn run(&self) -> anyhow::Result<Load> {
        let output = Command::new(std::env::current_exe()?)
            .args(["load", &serde_json::to_string(self)?])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot start the load")?;
        anyhow::ensure!(
            output.status.success(),
            "the load failed: {}",
            output.status
        );
        let load: Load = serde_json::from_slice(&output.stdout)?;
        anyhow::ensure!(
            load.refused == 0 && load.per_second > 0.0,
            "{} calls were refused, such as with: {}",
            load.refused,
            load.refusal
        );
        Ok(load)
    }
}

/// The load itself: carries out the plan and prints how it went.
pub(crate) fn run(plan: &str) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_str(plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let load = runtime.block_on(LocalSet::new().run_until(carry_out(plan)))?;
    crate::report::print(&serde_json::to_string(&load)?)?;
    Ok(())
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    /// How long each answer took, in nanoseconds.
    took: Vec<u64>,
    refused: usize,
    refusal: String,
}

async fn carry_out(plan: Plan) -> anyhow::Result<Load> {
    let plan = Rc::new(plan);
    let mut connections = Vec::new();
    for _ in 0..plan.connections {
        connections.push(Connection::open(plan.address).await?);
    }
    let start = Instant::now();
    let tasks: Vec<_> = connections
        .into_iter()
        .enumerate()
        .map(|(turn, connection)| {
            tokio::task::spawn_local(drive(Rc::clone(&plan), turn, connection, start))
        })
        .collect();
    let mut all = Seen::default();
    for task in tasks {
        let seen = task.await??;
        all.took.extend(seen.took);
        all.refused += seen.refused;
        if seen.refused > 0 {
            all.refusal = seen.refusal;
        }
    }
    all.took.sort_unstable();
    let answers = u64::try_from(all.took.len())?;
    Ok(Load {
        per_second: count(answers) * 1e3 / count(plan.measure_ms),
        p99_us: microseconds(percentile(&all.took, 990)),
        max_us: microseconds(percentile(&all.took, 1000)),
        refused: all.refused,
        refusal: all.refusal,
    })
}

async fn drive(
    plan: Rc<Plan>,
    turn: usize,
    mut connection: Connection,
    start: Instant,
) -> anyhow::Result<Seen> {
    let body = &plan.bodies[turn % plan.bodies.len()];
    let request = request_to(plan.address, &plan.target, body);
    let measure = start + Duration::from_millis(plan.warm_up_ms);
    let end = measure + Duration::from_millis(plan.measure_ms);
    let mut pace = Pace::new(&plan, turn, start);
    let mut seen = Seen::default();
    loop {
        let sent = pace.next().await;
        if sent >= end {
            return Ok(seen);
        }
        let answer = connection.call(&request).await?;
        let done = Instant::now();
        if answer.status != 200 {
            seen.refused += 1;
            seen.refusal = String::from_utf8_lossy(answer.body).into_owned();
        }
        // What was under way when the time was up counts among the times, as the slowest may be that.
        if sent >= measure {
            seen.took.push(nanoseconds(done - sent));
        }
    }
}

/// When each request of a connection is due.
struct Pace {
    every: Duration,
    due: Instant,
}

impl Pace {
    fn new(plan: &Plan, turn: usize, start: Instant) -> Self {
        let every = Duration::from_micros(plan.every_us);
        // Connections take turns, rather than all send at once.
        let turn = u32::try_from(turn).unwrap_or(0);
        let turns = u32::try_from(plan.connections).unwrap_or(u32::MAX);
        Self {
            every,
            due: start + every * turn / turns,
        }
    }

    /// Waits until the next request is due and returns the time its answer is counted from. After a
    /// late answer that is the time when it was due: what waited behind a slow call counts as slow.
    async fn next(&mut self) -> Instant {
        if self.every.is_zero() {
            return Instant::now();
        }
        let due = self.due;
        self.due += self.every;
        if due <= Instant::now() {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        // The timer's own lateness is not the server's.
        Instant::now()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_behind_a_slow_one_counts_from_when_it_was_due() {
        let start = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let plan = Plan {
            address: ([127, 0, 0, 1], 1).into(),
            target: Target::execute(),
            connections: 2,
            bodies: Vec::new(),
            warm_up_ms: 0,
            measure_ms: 0,
            every_us: 400_000,
        };
        let mut pace = Pace::new(&plan, 1, start);
        let due = [200, 600, 1000].map(|after| start + Duration::from_millis(after));
        assert_eq!([pace.next().await, pace.next().await], [due[0], due[1]]);
        assert!(pace.next().await >= due[2]);
    }
}
