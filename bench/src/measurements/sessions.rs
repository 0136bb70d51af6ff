//! A hundred thousand idle sessions: what each costs, and what others notice when all end at once.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::json;

use crate::{
    client::{Connection, Target, request},
    load::{Load, Plan},
    memory,
    numbers::count,
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

/// How many sessions.
const SESSIONS: u32 = 100_000;

/// Sessions that are made before, so that neither buffers nor threads are counted as sessions.
const BEFORE: u32 = 2_000;

/// Over how many connections they are made.
const CONNECTIONS: u32 = 64;

/// When all sessions expire, counted from the first: the making and a quiet time must fit in.
const EXPIRE: Duration = Duration::from_secs(25);

/// How long calls are measured while nothing expires.
const QUIET: Duration = Duration::from_secs(2);

/// All sessions are gone this long after they expired, or something is wrong.
const GONE: Duration = Duration::from_secs(20);

/// Measures memory and delay.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let server = Server::with(workshop, &["echo", "counter"]).await?;
    let process = server.process()?;
    // These stay: they only have to be there before and after.
    fill(
        &server,
        "before",
        BEFORE,
        Instant::now() + Duration::from_hours(1),
    )
    .await?;
    let before = memory::of(process)?.resident;
    let started = Instant::now();
    let expire = started + EXPIRE;
    fill(&server, "worker", SESSIONS, expire).await?;
    let making = started.elapsed();
    let after = memory::of(process)?.resident;
    let there = sessions(&server).await?;
    anyhow::ensure!(there == SESSIONS + BEFORE, "there are {there} sessions");
    let quiet = echo(&server, QUIET).run().await?;
    let (ending, gone) = while_expiring(&server, expire).await?;
    server.stop().await?;
    let each = count(after.saturating_sub(before)) / f64::from(SESSIONS);
    let per_second = f64::from(SESSIONS) / making.as_secs_f64();
    Ok(vec![
        Row::new("sessions/100000/memory", each, "bytes/session")
            .goal(Goal::Below(1536.0))
            .note(format!(
                "resident, plugin's part included; made {per_second:.0} a second"
            )),
        Row::new("sessions/100000/expiry-delay/p99", ending.p99_us, "us")
            .against(quiet.p99_us)
            .note(format!(
                "echo while all expire at once; all gone after {:.1} s",
                gone.as_secs_f64()
            )),
        Row::new("sessions/100000/expiry-delay/max", ending.max_us, "us").against(quiet.max_us),
    ])
}

/// Makes sessions over many connections; all of them expire at the same time.
async fn fill(server: &Server, name: &str, sessions: u32, expire: Instant) -> anyhow::Result<()> {
    let next = AtomicU32::new(0);
    let connection = |_| async {
        let mut connection = Connection::open(server.address).await?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= sessions {
                return anyhow::Ok(());
            }
            let left = expire.saturating_duration_since(Instant::now());
            anyhow::ensure!(left > QUIET * 2, "only {number} sessions were made in time");
            let ttl = left.as_secs_f64();
            let worker = format!("{name}-{number:06}");
            let body = json!({"worker_id": worker, "resource_type": "counter", "ttl": ttl});
            let request = request(server.address, "/api/v1/session/create", &body.to_string());
            let answer = connection.call(&request).await?;
            let text = String::from_utf8_lossy(answer.body);
            anyhow::ensure!(answer.status == 200, "a session was refused: {text}");
        }
    };
    try_join_all((0..CONNECTIONS).map(connection)).await?;
    Ok(())
}

/// Calls while all sessions expire, and how long after their time the last of them was gone.
async fn while_expiring(server: &Server, expire: Instant) -> anyhow::Result<(Load, Duration)> {
    // The load warms up while the last moments pass. Expiry is acted on within a second, and then
    // the sessions take a while to end.
    let left = expire.saturating_duration_since(Instant::now());
    tokio::time::sleep(left.saturating_sub(Duration::from_millis(200))).await;
    let plan = echo(server, Duration::from_secs(3));
    let (load, gone) = tokio::try_join!(plan.run(), wait_until_gone(server, expire))?;
    Ok((load, gone))
}

async fn wait_until_gone(server: &Server, expire: Instant) -> anyhow::Result<Duration> {
    while sessions(server).await? > BEFORE {
        anyhow::ensure!(expire.elapsed() < GONE, "the sessions do not end");
        // Often enough for a tenth of a second, seldom enough not to disturb.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(expire.elapsed())
}

/// Four connections, five hundred calls a second each: enough to see any delay, not to cause one.
fn echo(server: &Server, length: Duration) -> Plan {
    let body = json!({"worker_id": "other", "action": "echo:echo", "params": {"value": "hello"}});
    Plan {
        address: server.address,
        target: Target::execute(),
        connections: 4,
        bodies: vec![body.to_string()],
        warm_up_ms: 200,
        measure_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        every_us: 2000,
    }
}

/// How many sessions the server has.
async fn sessions(server: &Server) -> anyhow::Result<u32> {
    #[derive(Deserialize)]
    struct Ready {
        total_sessions: u32,
    }
    let mut connection = Connection::open(server.address).await?;
    let answer = connection
        .call(&request(server.address, "/ready", ""))
        .await?;
    let ready: Ready = serde_json::from_slice(answer.body).context("an unexpected /ready")?;
    Ok(ready.total_sessions)
}
