//! A thousand workers that call for a minute: whether each of them finds in its session what it did there.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::json;

use crate::{
    client::{Connection, request},
    numbers::count,
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

/// How many workers, each on a connection of its own.
const WORKERS: usize = 1_000;

/// How long they call.
const LENGTH: Duration = Duration::from_mins(1);

/// What one worker saw.
struct Seen {
    calls: u64,
    /// What its session's counter should not differ from.
    counted: u64,
    refused: u64,
    /// Whether it ended in the session it began in.
    same_session: bool,
}

/// Measures what is lost: nothing, or something is wrong.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let server = Server::with(workshop, &["counter"]).await?;
    let end = Instant::now() + LENGTH;
    let workers = (0..WORKERS).map(|number| work(&server, number, end));
    let seen = try_join_all(workers).await?;
    server.stop().await?;
    let calls: u64 = seen.iter().map(|seen| seen.calls).sum();
    let lost: u64 = seen
        .iter()
        .map(|seen| seen.refused + (seen.calls - seen.refused).abs_diff(seen.counted))
        .sum();
    let sessions = seen.iter().filter(|seen| !seen.same_session).count();
    Ok(vec![
        Row::new(
            "soak/1000-workers/calls",
            count(calls) / LENGTH.as_secs_f64(),
            "calls/s",
        )
        .note(format!(
            "{calls} calls in a minute, each into its worker's own session"
        )),
        Row::new("soak/1000-workers/lost-calls", count(lost), "calls").goal(Goal::Below(1.0)),
        Row::new(
            "soak/1000-workers/lost-sessions",
            count(u64::try_from(sessions)?),
            "sessions",
        )
        .goal(Goal::Below(1.0)),
    ])
}

/// One worker: makes its session, adds to its counter until the time is up, and reads it.
async fn work(server: &Server, number: usize, end: Instant) -> anyhow::Result<Seen> {
    let worker = format!("worker-{number}");
    let mut connection = Connection::open(server.address).await?;
    let mut ask = async |path: &str, body: serde_json::Value| {
        let request = request(server.address, path, &body.to_string());
        let answer = connection.call(&request).await?;
        let envelope = serde_json::from_slice::<Envelope>(answer.body);
        envelope.with_context(|| String::from_utf8_lossy(answer.body).into_owned())
    };
    let create = json!({"worker_id": worker, "resource_type": "counter", "ttl": 600});
    let session = ask("/api/v1/session/create", create).await?.data.session_id;
    let (mut calls, mut refused) = (0, 0);
    while Instant::now() < end {
        let add = json!({"worker_id": worker, "action": "counter:add"});
        let answer = ask("/api/v1/execute", add).await?;
        calls += 1;
        refused += u64::from(answer.code != 0);
    }
    let get = json!({"worker_id": worker, "action": "counter:get"});
    let last = ask("/api/v1/execute", get).await?;
    Ok(Seen {
        calls,
        counted: last.data.value,
        refused,
        same_session: session.is_some() && last.meta.session_id == session,
    })
}

/// As much of an envelope as is looked at.
#[derive(Deserialize)]
struct Envelope {
    code: i32,
    #[serde(default)]
    data: Data,
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    value: u64,
    session_id: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    session_id: Option<String>,
}
