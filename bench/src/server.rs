//! The real server, as an operator runs it: `sandbox serve` with a configuration, its log in a file.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    task::spawn_blocking,
    time::timeout,
};

use crate::workshop::Workshop;

/// No server takes longer to start; the default one reads a corpus when it starts for the first time.
const START: Duration = Duration::from_mins(1);

/// No server takes longer to stop.
const STOP: Duration = Duration::from_secs(30);

/// How often to ask whether the server is ready: often enough to time its start, and seldom enough to
/// leave it the processor.
const ASK: Duration = Duration::from_micros(200);

/// A running server; killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// How long it took from its start to its first 200 of `/ready`.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts a server with these resources, otherwise as it is when nothing is configured.
    pub(crate) async fn with(workshop: &Workshop, resources: &[&str]) -> anyhow::Result<Self> {
        Self::observed(workshop, resources, &json!({})).await
    }

    /// The same, watched in these ways.
    pub(crate) async fn observed(
        workshop: &Workshop,
        resources: &[&str],
        observe: &Value,
    ) -> anyhow::Result<Self> {
        let folder = workshop.folder()?;
        let resource = |name: &&str| ((*name).to_owned(), json!({ "backend_class": name }));
        let config = json!({
            "resources": resources.iter().map(resource).collect::<serde_json::Map<_, Value>>(),
            "warmup": { "resources": resources },
            "observe": observe,
        });
        let file = folder.join("config.json");
        fs::write(&file, config.to_string())?;
        Self::start(workshop, &file).await
    }

    /// Starts a server with this configuration and waits until it is ready. Its log is beside the
    /// configuration.
    pub(crate) async fn start(workshop: &Workshop, config: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let log = config.with_extension("log");
        let mut command = Command::new(workshop.programs.join("sandbox"));
        command
            .args(["serve", "--port", &address.port().to_string(), "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true);
        let started = Instant::now();
        let mut child = command
            .spawn()
            .context("cannot start `sandbox`; ./scripts/bench builds it")?;
        while !is_ready(address) {
            if child.try_wait()?.is_some() || started.elapsed() > START {
                bail!(
                    "the server did not start; it said:\n{}",
                    fs::read_to_string(&log)?
                );
            }
            spawn_blocking(|| std::thread::sleep(ASK)).await?;
        }
        let ready_after = started.elapsed();
        Ok(Self {
            child,
            address,
            ready_after,
        })
    }

    /// The process.
    pub(crate) fn process(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server has stopped")
    }

    /// Stops the server as an operator does, and sees that it was content.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let process = i32::try_from(self.process()?).ok().and_then(Pid::from_raw);
        kill_process(process.context("no such process")?, Signal::TERM)?;
        let status = timeout(STOP, self.child.wait())
            .await
            .context("the server did not stop")??;
        anyhow::ensure!(status.success(), "the server stopped with {status}");
        Ok(())
    }
}

/// An address that was free a moment ago: the server is told which, so that nobody has to read its log.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Whether `/ready` answers 200.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(
            stream,
            "GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
