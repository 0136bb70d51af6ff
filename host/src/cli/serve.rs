//! `sandbox serve`: the server's life from start to exit.

use std::{
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sandbox_plugin_api::host::table;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::{ConfigFile, client, read, say};
use crate::{
    boot,
    config::{Environment, Host, Loaded, LogLevel, Severity},
    http,
    instance::Instance,
    logging::{self, Format, PluginLog},
    observe::{Feed, Observers},
    sandbox::Sandbox,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox serve                                   with ./config.json, on 127.0.0.1:18890
  sandbox serve --config my.json --port 8080      somewhere else
  sandbox serve --log-level debug --log-format json
  sandbox serve --show-config                     print what would be in force, and exit

Ctrl-C or SIGTERM stops the server: calls may end, sessions are cleaned up. A second one does not wait.")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Listen on this address instead of the file's
    #[arg(long, value_name = "ADDRESS")]
    host: Option<Host>,
    /// Listen on this port instead of the file's; 0 picks a free one
    #[arg(short, long)]
    port: Option<u16>,
    /// Log this much instead of what the file says
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LevelFilter>,
    /// The form of the log
    #[arg(long, value_enum, default_value_t)]
    log_format: Format,
    /// Allow an address that other machines reach, without keys: everybody may run anything
    #[arg(long)]
    insecure: bool,
    /// Print the configuration in force, secrets masked, and exit
    #[arg(long)]
    show_config: bool,
    /// Print everything that is known about a plugin that cannot be loaded
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let environment = Environment::process();
    let mut loaded = match read(&args.file.config, &environment) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            say(&diagnostics);
            return Ok(ExitCode::FAILURE);
        }
    };
    loaded.override_listen(args.host.clone(), args.port);
    if args.show_config {
        client::print_json(&loaded.effective())?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&loaded.notes);
    if let Err(exposed) = loaded.check_exposure(args.insecure) {
        say(&[*exposed]);
        return Ok(ExitCode::FAILURE);
    }
    let log = (
        args.log_level
            .unwrap_or_else(|| level(loaded.config.server.log_level)),
        args.log_format,
    );
    run_loaded(loaded, &environment, log, args.verbose, |prepared| {
        serve(prepared, started)
    })
}

/// What a server is made of.
pub(super) struct Prepared {
    pub(super) loaded: Loaded,
    ready: Vec<boot::Ready>,
    feed: Arc<Feed>,
    plugins_tell: Arc<OnceLock<Arc<Observers>>>,
}

impl Prepared {
    /// The server. Needs a tokio runtime around it.
    pub(super) fn assemble(self) -> anyhow::Result<Arc<Sandbox>> {
        let sandbox = boot::assemble(self.loaded, self.ready, self.feed);
        let sandbox = Arc::new(sandbox.map_err(anyhow::Error::msg)?);
        let _ = self.plugins_tell.set(Arc::clone(&sandbox.observers));
        Ok(sandbox)
    }
}

/// Loads the plugins and does `work` with them, as a process that cleans up behind itself.
pub(super) fn run_loaded<W: Future<Output = anyhow::Result<ExitCode>>>(
    loaded: Loaded,
    environment: &Environment,
    (level, format): (LevelFilter, Format),
    verbose: bool,
    work: impl FnOnce(Prepared) -> W,
) -> anyhow::Result<ExitCode> {
    let instance = Instance::enter().context("preparing the server's own directory")?;
    let feed = Arc::new(Feed::default());
    logging::start(level, format, &feed);
    let threads = u32::try_from(loaded.config.server.plugin_threads).unwrap_or(u32::MAX);
    let plugin_log = PluginLog::default();
    let plugins_tell = Arc::clone(&plugin_log.observers);
    let booted = boot::load(
        &loaded,
        environment,
        table(Box::new(plugin_log), threads),
        verbose,
    );
    say(&booted.diagnostics);
    if booted
        .diagnostics
        .iter()
        .any(|one| one.severity == Severity::Error)
    {
        instance.leave();
        return Ok(ExitCode::FAILURE);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("sandbox")
        .build()?;
    let result = runtime.block_on(work(Prepared {
        loaded,
        ready: booted.ready,
        feed,
        plugins_tell,
    }));
    // Plugins may have left threads of their own behind in calls that never ended.
    runtime.shutdown_timeout(Duration::from_millis(100));
    instance.leave();
    logging::flush();
    result
}

async fn serve(prepared: Prepared, started: Instant) -> anyhow::Result<ExitCode> {
    let loaded = &prepared.loaded;
    let listener = listen(loaded).await?;
    let address = listener.local_addr()?;
    let (title, grace) = (
        loaded.config.server.title.clone(),
        loaded.config.server.grace_period,
    );
    let directory = loaded.document.directory().to_owned();
    let sandbox = prepared.assemble()?;
    let closing = CancellationToken::new();
    let options = http::Options {
        config_directory: Some(directory),
        closing: closing.clone(),
    };
    let front = tokio::spawn(http::serve(Arc::clone(&sandbox), listener, options));
    tracing::info!(
        title,
        tools = sandbox.catalog.visible(),
        backends = sandbox.catalog.backends().len(),
        url = format!("http://{address}"),
        "listening"
    );
    let warming = Arc::clone(&sandbox);
    tokio::spawn(async move {
        warming.warm_up().await;
        warming.open();
        tracing::info!(after_ms = started.elapsed().as_millis(), "ready");
    });
    if sandbox.observers.audit.is_some() {
        reopen_on_hangup(Arc::clone(&sandbox))?;
    }
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        () = interrupts.next() => tracing::info!("stopping; again to stop at once"),
        () = sandbox.stop_asked.cancelled() => tracing::info!("stopping, as a client asked"),
    }
    stop(&sandbox, grace, &mut interrupts).await;
    // The last answers, that of the request to stop among them, still reach their clients.
    closing.cancel();
    front.await?;
    sandbox.observers.close().await;
    Ok(ExitCode::SUCCESS)
}

/// With an audit log, SIGHUP asks for it to be opened anew; without one it ends the process, as ever.
fn reopen_on_hangup(sandbox: Arc<Sandbox>) -> anyhow::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            if let Some(audit) = &sandbox.observers.audit {
                tracing::info!("opening the audit log anew");
                audit.reopen();
            }
        }
    });
    Ok(())
}

/// Stops in order; a second signal takes the time away that calls would have had.
pub(super) async fn stop(sandbox: &Sandbox, grace: Duration, interrupts: &mut Interrupts) {
    let ended = tokio::select! {
        ended = sandbox.stop(grace) => ended,
        () = interrupts.next() => {
            tracing::warn!("stopping at once");
            sandbox.called_off.cancel();
            tokio::select! {
                ended = sandbox.stop(Duration::ZERO) => ended,
                // What is left now is killed by the reaper.
                () = interrupts.next() => 0,
            }
        }
    };
    tracing::info!(sessions_cleaned = ended, "stopped");
}

async fn listen(loaded: &Loaded) -> anyhow::Result<TcpListener> {
    let server = &loaded.config.server;
    let address = match &server.host {
        Host::Address(address) => (address.to_string(), server.port),
        Host::Name(name) => (name.clone(), server.port),
    };
    TcpListener::bind(&address).await.with_context(|| {
        format!(
            "cannot listen on {}:{}; is another server running there? `--port 0` picks a free port",
            server.host, server.port
        )
    })
}

const fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// SIGINT and SIGTERM.
pub(super) struct Interrupts {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupts {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
