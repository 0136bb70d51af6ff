//! A call through a plugin's vtable: a real library, loaded and driven as the host does it.

use std::{
    hint::black_box,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::Instant,
};

use anyhow::Context as _;
use futures_util::future::join_all;
use sandbox::{
    config::Environment,
    plugin::{LoadedPlugin, Loader, SearchPath},
};
use sandbox_plugin_api::host::{
    Answer, BackendHandle, Function, LogEntry, LogSink, Pending, Request, table,
};
use tokio::runtime::{Builder, Handle};

use crate::{
    numbers::{count, median},
    row::{Goal, Row},
    workshop::Workshop,
};

/// How often each kind of call is measured, in turn with the others.
const ROUNDS: usize = 31;

/// Calls that take nanoseconds, per round.
const MANY: u32 = 20_000;

/// Calls that take microseconds, per round.
const FEW: u32 = 1_000;

/// How many calls are in flight at the same time, and how many each of them makes per round.
const FLIGHT: (u32, u32) = (64, 50);

/// About a hundred bytes, which `bench:typed` reads and writes.
const TYPED: &[u8] =
    br#"{"id": 4711, "score": 0.875, "text": "what is measured is the way there and back again"}"#;

/// Measures all kinds of calls.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let plugin = load(&workshop.programs)?;
    // Blocks between rounds only; the rounds themselves hold this thread, as they must.
    tokio::spawn(rounds(plugin)).await?
}

async fn rounds(plugin: Plugin) -> anyhow::Result<Vec<Row>> {
    let plugin = Arc::new(plugin);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let far = runtime.handle().clone();
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        times.direct.push(direct(&Nothing));
        times.raw.push(plugin.inline(plugin.nothing, b"{}")?);
        times.typed.push(plugin.inline(plugin.typed, TYPED)?);
        times.bare_hop.push(bare_hop(&far).await?);
        times.hop.push(plugin.hop(FEW).await?);
        times.bare_hop64.push(bare_hop64(&far).await?);
        times.hop64.push(hop64(&plugin).await?);
    }
    // A runtime must not wait for its threads inside another one.
    runtime.shutdown_background();
    Ok(times.rows())
}

/// Nanoseconds per call, one number per round.
#[derive(Default)]
struct Times {
    direct: Vec<f64>,
    raw: Vec<f64>,
    typed: Vec<f64>,
    bare_hop: Vec<f64>,
    hop: Vec<f64>,
    bare_hop64: Vec<f64>,
    hop64: Vec<f64>,
}

impl Times {
    fn rows(&self) -> Vec<Row> {
        let row = |name: &str, times: &[f64], baseline: &[f64]| {
            Row::new(format!("vtable/{name}"), median(times), "ns").against(median(baseline))
        };
        vec![
            Row::new("vtable/direct", median(&self.direct), "ns")
                .note("a `dyn` async call that answers four bytes"),
            row("raw", &self.raw, &self.direct)
                .goal(Goal::OverBaseline(300.0))
                .note("the same through the vtable, inline"),
            row("typed", &self.typed, &self.direct).note("with serde, 100 bytes each way"),
            row("hop", &self.hop, &self.bare_hop)
                .note("on the plugin's runtime; baseline: spawned on another runtime"),
            row("hop64", &self.hop64, &self.bare_hop64)
                .note("the same with 64 in flight, per call"),
        ]
    }
}

/// The plugin, and its tools' places in its table.
struct Plugin {
    backend: Arc<BackendHandle>,
    nothing: u32,
    typed: u32,
    hop: u32,
}

fn load(programs: &Path) -> anyhow::Result<Plugin> {
    let search = SearchPath::new(&[programs.to_owned()], &Environment::empty(), None);
    let loader = Loader::new(search, table(Box::new(Silent), 2));
    let plugin = loader
        .load("bench", programs, None)
        .map_err(|error| anyhow::anyhow!("{}", error.report(false)))?;
    let backend = plugin
        .table
        .create(&plugin.class, b"{}", ".")
        .map_err(|answer| anyhow::anyhow!("{}", answer.message()))?;
    Ok(Plugin {
        backend,
        nothing: place(&plugin, "bench:nothing")?,
        typed: place(&plugin, "bench:typed")?,
        hop: place(&plugin, "bench:hop")?,
    })
}

fn place(plugin: &LoadedPlugin, name: &str) -> anyhow::Result<u32> {
    let tools = &plugin.description.tools;
    let place = tools.iter().position(|tool| tool.name == name);
    Ok(u32::try_from(
        place.with_context(|| format!("the plugin has no {name}"))?,
    )?)
}

impl Plugin {
    fn start(&self, tool: u32, params: &[u8]) -> Pending {
        let request = Request {
            tool,
            params,
            worker: "bench",
            trace: "0123456789abcdef0123456789abcdef",
            ..Request::default()
        };
        self.backend.start(Function::Call, &request, None, None)
    }

    /// Calls that are over when they have been started.
    fn inline(&self, tool: u32, params: &[u8]) -> anyhow::Result<f64> {
        let started = Instant::now();
        for _ in 0..MANY {
            let answer = self.start(tool, black_box(params)).try_take();
            check(&answer.context("an inline tool did not end at once")?)?;
        }
        Ok(per_call(started, MANY))
    }

    async fn hop(&self, calls: u32) -> anyhow::Result<f64> {
        let started = Instant::now();
        for _ in 0..calls {
            check(&self.start(self.hop, b"{}").await)?;
        }
        Ok(per_call(started, calls))
    }
}

async fn hop64(plugin: &Arc<Plugin>) -> anyhow::Result<f64> {
    let (tasks, calls) = FLIGHT;
    let started = Instant::now();
    let task = |_| {
        let plugin = Arc::clone(plugin);
        tokio::spawn(async move { plugin.hop(calls).await })
    };
    for ended in join_all((0..tasks).map(task)).await {
        ended??;
    }
    Ok(per_call(started, tasks * calls))
}

/// The least that a hop can be: the direct call, spawned on another runtime and waited for.
async fn bare_hop(far: &Handle) -> anyhow::Result<f64> {
    let started = Instant::now();
    for _ in 0..FEW {
        black_box(far.spawn(Nothing.call(b"{}")).await?);
    }
    Ok(per_call(started, FEW))
}

async fn bare_hop64(far: &Handle) -> anyhow::Result<f64> {
    let (tasks, calls) = FLIGHT;
    let started = Instant::now();
    let task = |_| {
        let far = far.clone();
        tokio::spawn(async move {
            for _ in 0..calls {
                black_box(far.spawn(Nothing.call(b"{}")).await?);
            }
            anyhow::Ok(())
        })
    };
    for ended in join_all((0..tasks).map(task)).await {
        ended??;
    }
    Ok(per_call(started, tasks * calls))
}

/// What a program without plugins would call.
trait Tool {
    fn call(&self, params: &[u8]) -> Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;
}

/// The direct counterpart of `bench:nothing`.
struct Nothing;

impl Tool for Nothing {
    fn call(&self, params: &[u8]) -> Pin<Box<dyn Future<Output = Vec<u8>> + Send>> {
        black_box(params);
        Box::pin(async { b"null".to_vec() })
    }
}

fn direct(tool: &dyn Tool) -> f64 {
    let tool = black_box(tool);
    let mut context = Context::from_waker(Waker::noop());
    let started = Instant::now();
    for _ in 0..MANY {
        let mut future = tool.call(black_box(b"{}"));
        let _ = black_box(future.as_mut().poll(&mut context));
    }
    per_call(started, MANY)
}

fn check(answer: &Answer) -> anyhow::Result<()> {
    anyhow::ensure!(
        answer.is_success(),
        "the plugin failed: {}",
        answer.message()
    );
    Ok(())
}

fn per_call(started: Instant, calls: u32) -> f64 {
    let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    count(took) / f64::from(calls)
}

/// As the host's log is at its default level, for which these calls say nothing.
struct Silent;

impl LogSink for Silent {
    fn level(&self) -> u32 {
        3
    }

    fn write(&self, _: &LogEntry<'_>) {}
}
