//! `sandbox serve`: the server's life from start to exit.

use std::{
    io::ErrorKind,
    path::Path,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sandbox_plugin_api::host::table;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{Level, level_filters::LevelFilter};

use super::{ConfigFile, check::examine, config, say};
use crate::{
    boot,
    config::{Config, Diagnostic, Environment, Host, Loaded, LogLevel, Severity, sort},
    http,
    instance::Instance,
    logging::{self, Format, PluginLog},
    observe::{Feed, Observers},
    sandbox::Sandbox,
};

/// How long a server that is not to wait takes to stop, and then to send its last answers.
const FORCED: Duration = Duration::from_millis(500);

/// Within this time, a second signal is an echo of the first.
const ECHO: Duration = Duration::from_millis(100);

const PREPARING: &str = "preparing the server's own directory";

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
    #[arg(long, value_name = "LEVEL", ignore_case = true)]
    log_level: Option<LogLevel>,
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
    let overridden = |loaded: &mut Loaded| {
        loaded.override_listen(args.host.clone(), args.port);
        let server = &mut loaded.config.server;
        server.log_level = args.log_level.unwrap_or(server.log_level);
    };
    if args.show_config {
        return config::show(&args.file.config, overridden);
    }
    let start = Start {
        config: &args.file.config,
        log: Log {
            level: args.log_level,
            format: args.log_format,
        },
        insecure: args.insecure,
        verbose: args.verbose,
    };
    run_server(&start, overridden, |prepared| serve(prepared, started))
}

/// What a server is started with.
pub(super) struct Start<'a> {
    pub(super) config: &'a Path,
    pub(super) log: Log,
    /// Other machines may reach it without a key.
    pub(super) insecure: bool,
    pub(super) verbose: bool,
}

/// How a server logs.
#[derive(Clone, Copy)]
pub(super) struct Log {
    /// Instead of the level that the configuration names.
    pub(super) level: Option<LogLevel>,
    pub(super) format: Format,
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

/// Reads a configuration, loads its plugins and does `work` with them, as a process that cleans up behind itself.
pub(super) fn run_server<W: Future<Output = anyhow::Result<ExitCode>>>(
    start: &Start<'_>,
    override_with: impl FnOnce(&mut Loaded),
    work: impl FnOnce(Prepared) -> W,
) -> anyhow::Result<ExitCode> {
    // Before anything is read, as this begins the process anew.
    let entered = Instance::enter().context(PREPARING);
    let environment = Environment::process();
    let feed = Arc::new(Feed::default());
    let Log { level, format } = start.log;
    let ended = match entered.map(|()| Config::load(start.config, &environment)) {
        Err(error) => {
            logging::start(level.unwrap_or(LogLevel::Info).into(), format, &feed);
            Err(error)
        }
        Ok(Ok(mut loaded)) => {
            override_with(&mut loaded);
            let level = level.unwrap_or(loaded.config.server.log_level);
            logging::start(level.into(), format, &feed);
            run_loaded(start, loaded, &environment, feed, work)
        }
        Ok(Err(error)) => {
            logging::start(level.unwrap_or(LogLevel::Info).into(), format, &feed);
            let (said, _) = examine(Err(error), &environment, start.insecure, start.verbose);
            tell(&said, format);
            Ok(ExitCode::FAILURE)
        }
    };
    let ended = ended.or_else(|error| match format {
        Format::Text => Err(error),
        // A log of JSON has nothing else in it.
        Format::Json => {
            tracing::error!("{error:#}");
            Ok(ExitCode::FAILURE)
        }
    });
    logging::flush();
    ended
}

fn run_loaded<W: Future<Output = anyhow::Result<ExitCode>>>(
    start: &Start<'_>,
    mut loaded: Loaded,
    environment: &Environment,
    feed: Arc<Feed>,
    work: impl FnOnce(Prepared) -> W,
) -> anyhow::Result<ExitCode> {
    let instance = Instance::begin().context(PREPARING)?;
    let mut said = std::mem::take(&mut loaded.notes);
    said.extend(
        loaded
            .check_exposure(start.insecure)
            .err()
            .map(|exposed| *exposed),
    );
    let threads = u32::try_from(loaded.config.server.plugin_threads).unwrap_or(u32::MAX);
    let plugin_log = PluginLog::default();
    let plugins_tell = Arc::clone(&plugin_log.observers);
    let booted = boot::load(
        &loaded,
        environment,
        table(Box::new(plugin_log), threads),
        start.verbose,
    );
    said.extend(booted.diagnostics);
    sort(&mut said);
    tell(&said, start.log.format);
    if said.iter().any(|one| one.severity == Severity::Error) {
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
    result
}

/// Says diagnostics where the log goes: a log of JSON has nothing else in it.
fn tell(diagnostics: &[Diagnostic], format: Format) {
    let logged = tracing::enabled!(target: "sandbox::config", Level::ERROR);
    if format == Format::Text || !logged {
        return say(diagnostics);
    }
    for diagnostic in diagnostics {
        // An event's level is part of its call site, so each level has one.
        macro_rules! event {
            ($level:expr) => {{
                let place = diagnostic.location.as_ref();
                tracing::event!(
                    target: "sandbox::config",
                    $level,
                    file = place.map(|place| place.file.as_str()),
                    line = place.map(|place| place.line),
                    column = place.map(|place| place.column),
                    pointer = diagnostic.pointer,
                    hint = diagnostic.hint,
                    "{}",
                    diagnostic.message
                )
            }};
        }
        match diagnostic.severity {
            Severity::Error => event!(Level::ERROR),
            Severity::Warning => event!(Level::WARN),
            Severity::Note => event!(Level::INFO),
        }
    }
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
    // Before anybody can know that it runs, and signal it.
    let mut interrupts = Interrupts::listen()?;
    if sandbox.observers.audit.is_some() {
        reopen_on_hangup(Arc::clone(&sandbox))?;
    }
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
    if !address.ip().is_loopback() && sandbox.config.security.keys.is_empty() {
        tracing::warn!("everybody who can connect may run anything, as `--insecure` allows");
    }
    let warming = Arc::clone(&sandbox);
    tokio::spawn(async move {
        warming.warm_up().await;
        if warming.open() {
            tracing::info!(after_ms = started.elapsed().as_secs_f64() * 1e3, "ready");
        }
    });
    let forced = tokio::select! {
        () = interrupts.next() => {
            tracing::info!("stopping; again to stop at once");
            stop(&sandbox, grace, &mut interrupts).await
        }
        // Whoever asked has stopped it already, within the time that they gave it.
        () = sandbox.stop_asked.cancelled() => {
            tracing::info!("stopped, as a client asked");
            false
        }
    };
    // The last answers, that of the request to stop among them, still reach their clients.
    closing.cancel();
    let last = async {
        front.await?;
        sandbox.observers.close().await;
        anyhow::Ok(())
    };
    part(last, forced, &mut interrupts).await.transpose()?;
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

/// Stops in order, unless a second signal does not wait for that; whether it came.
pub(super) async fn stop(sandbox: &Sandbox, grace: Duration, interrupts: &mut Interrupts) -> bool {
    tokio::select! {
        ended = sandbox.stop(grace) => {
            tracing::info!(sessions_cleaned = ended, "stopped");
            false
        }
        () = interrupts.again() => {
            tracing::warn!("stopping at once");
            sandbox.called_off.cancel();
            // What has not left by then is killed by the reaper.
            let in_order = timeout(FORCED, sandbox.stop(Duration::ZERO)).await;
            tracing::info!(sessions_cleaned = in_order.ok(), "stopped");
            true
        }
    }
}

/// What a server does last; for as long as it likes, unless it is not to wait.
pub(super) async fn part<T>(
    last: impl Future<Output = T>,
    forced: bool,
    interrupts: &mut Interrupts,
) -> Option<T> {
    if forced {
        return timeout(FORCED, last).await.ok();
    }
    tokio::select! {
        done = last => Some(done),
        () = interrupts.again() => None,
    }
}

async fn listen(loaded: &Loaded) -> anyhow::Result<TcpListener> {
    let server = &loaded.config.server;
    let address = match &server.host {
        Host::Address(address) => (address.to_string(), server.port),
        Host::Name(name) => (name.clone(), server.port),
    };
    TcpListener::bind(&address).await.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => {
                "; is another server running there? `--port 0` picks a free port"
            }
            ErrorKind::PermissionDenied => "; ports below 1024 are the system's, 18890 is not",
            ErrorKind::AddrNotAvailable => "; it is not an address of this machine",
            _ => "",
        };
        let (host, port) = (&server.host, server.port);
        anyhow::anyhow!("cannot listen on {host}:{port}: {error}{advice}")
    })
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
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

    /// One that comes after the first. A program that signals a process and its group signals it twice at once.
    async fn again(&mut self) {
        let echoes = async {
            loop {
                self.next().await;
            }
        };
        let _ = timeout(ECHO, echoes).await;
        self.next().await;
    }
}
