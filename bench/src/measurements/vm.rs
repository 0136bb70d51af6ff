//! Desktops of the provider `display`: how long until there is one, cold and from the pool, how long a picture and a
//! click take, and what one costs in memory.
//!
//! The baseline of a picture is what the same machine needs for the rest of such a call: the same tool over HTTP on
//! the smallest screen there is.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    client::{Connection, request},
    memory,
    numbers::{count, median},
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

/// How often each is measured.
const ROUNDS: usize = 9;
/// What screens most often are.
const FULL_HD: [u16; 2] = [1920, 1080];
const SMALLEST: [u16; 2] = [64, 64];
/// No window appears later than this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures all of it.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let cold = desktops(workshop, 0).await?;
    let warm = desktops(workshop, 2).await?;
    let (cold_ms, pooled_ms) = (cold.ready, warm.ready);
    Ok(vec![
        Row::new("vm/ready/cold", cold_ms, "ms")
            .goal(Goal::Below(1000.0))
            .note("a session with a working desktop of 1920x1080: X server, window manager, bus"),
        Row::new("vm/ready/pool", pooled_ms, "ms")
            .against(cold_ms)
            .goal(Goal::RatioAtMost(0.5))
            .note("a session with a working desktop, against the same without a pool"),
        Row::new("vm/screenshot/1920x1080", cold.picture, "ms")
            .against(cold.smallest)
            .goal(Goal::Below(200.0))
            .note("PNG with pointer and accessibility tree over HTTP, against a screen of 64x64"),
        Row::new("vm/click-to-pixel", cold.click, "ms")
            .goal(Goal::Below(500.0))
            .note("from the call of vm:click on a window to a picture that shows what it did"),
        Row::new("vm/memory", cold.memory / 1_048_576.0, "MiB/session")
            .goal(Goal::Below(128.0))
            .note("proportional, of all processes of an idle desktop of 1920x1080"),
    ])
}

struct Desktops {
    ready: f64,
    picture: f64,
    smallest: f64,
    click: f64,
    memory: f64,
}

async fn desktops(workshop: &Workshop, pool: usize) -> anyhow::Result<Desktops> {
    let server = serve(workshop, pool).await?;
    let process = server.process()?;
    let mut worker = Worker::new(&server).await?;
    let mut ready = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        // The pool has time to fill: what is measured is a session, not a race with it.
        tokio::time::sleep(Duration::from_millis(if pool > 0 { 1500 } else { 0 })).await;
        ready.push(worker.begin(FULL_HD).await?);
        worker.end().await?;
    }
    let before = memory::of_tree(process)?;
    worker.begin(FULL_HD).await?;
    let memory = count(memory::of_tree(process)?.saturating_sub(before));
    let picture = worker.pictures().await?;
    let click = worker.clicks().await?;
    worker.end().await?;
    worker.begin(SMALLEST).await?;
    let smallest = worker.pictures().await?;
    worker.end().await?;
    server.stop().await?;
    Ok(Desktops {
        ready: median(&ready),
        picture,
        smallest,
        click,
        memory,
    })
}

async fn serve(workshop: &Workshop, pool: usize) -> anyhow::Result<Server> {
    let config = json!({ "sandbox": "best_effort", "pool_size": pool });
    let config = json!({
        "resources": { "vm": { "backend_class": "vm", "config": config } },
        "warmup": { "resources": ["vm"] },
    });
    let file = workshop.folder()?.join("config.json");
    fs::write(&file, config.to_string())?;
    Server::start(workshop, &file).await
}

/// A worker with one session at a time.
struct Worker<'a> {
    server: &'a Server,
    connection: Connection,
}

impl<'a> Worker<'a> {
    async fn new(server: &'a Server) -> anyhow::Result<Self> {
        let connection = Connection::open(server.address).await?;
        Ok(Self { server, connection })
    }

    /// Makes a session; gives the milliseconds that took.
    async fn begin(&mut self, size: [u16; 2]) -> anyhow::Result<f64> {
        let config = json!({ "screen_size": size });
        let body = json!({ "worker_id": "w", "resource_type": "vm", "config": config });
        let begun = Instant::now();
        self.ask("/api/v1/session/create", &body).await?;
        Ok(milliseconds(begun))
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        let body = json!({ "worker_id": "w", "resource_type": "vm" });
        self.ask("/api/v1/session/destroy", &body).await.map(drop)
    }

    async fn call(&mut self, tool: &str, params: Value) -> anyhow::Result<Value> {
        let body = json!({ "worker_id": "w", "action": tool, "params": params });
        self.ask("/api/v1/execute", &body).await
    }

    async fn pictures(&mut self) -> anyhow::Result<f64> {
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            self.call("vm:screenshot", json!({})).await?;
            times.push(milliseconds(begun));
        }
        Ok(median(&times))
    }

    /// Clicks on a terminal that shows every click.
    async fn clicks(&mut self) -> anyhow::Result<f64> {
        let script = r"printf '\033[?1000h'; stty -echo raw; cat -v";
        let command = ["xterm", "-geometry", "60x20+0+0", "-e", "sh", "-c", script];
        let empty = self.image().await?;
        self.call("vm:launch", json!({ "command": command }))
            .await?;
        self.other_than(&empty).await?;
        let mut times = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            // The pointer moves first, so that it is not the pointer that changes the picture.
            let place = json!({ "x": 60 + round, "y": 60 });
            self.call("vm:move", place.clone()).await?;
            let before = self.still().await?;
            let begun = Instant::now();
            self.call("vm:click", place).await?;
            self.other_than(&before).await?;
            times.push(milliseconds(begun));
        }
        Ok(median(&times))
    }

    async fn image(&mut self) -> anyhow::Result<Value> {
        Ok(self.call("vm:screenshot", json!({})).await?["image"].take())
    }

    /// A picture that stays as it is.
    async fn still(&mut self) -> anyhow::Result<Value> {
        let mut last = self.image().await?;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let next = self.image().await?;
            if next == last {
                return Ok(next);
            }
            last = next;
        }
    }

    async fn other_than(&mut self, before: &Value) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.image().await? == *before {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "the picture did not change");
        }
        Ok(())
    }

    async fn ask(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = request(self.server.address, path, &body.to_string());
        let answer = self.connection.call(&request).await?;
        let mut answer: Value = serde_json::from_slice(answer.body).context("no JSON")?;
        anyhow::ensure!(answer["code"] == 0, "{path}: {}", answer["message"]);
        Ok(answer["data"].take())
    }
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
