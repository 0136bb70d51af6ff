//! From a configuration to a server: loads every plugin, checks every resource, reports all faults at once.
//!
//! `sandbox serve` and `sandbox check` both come this way, so what the one accepts the other does.

use std::sync::Arc;

use sandbox_plugin_api::abi;
use serde_json::{Map, Value};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backend::{Backend, Limits, Parts},
    catalog::Catalog,
    config::{self, Checked, Diagnostic, Environment, Loaded, Resource, Severity, check_against},
    observe::{Feed, Observers, audit},
    plugin::{Keys, LoadError, LoadedPlugin, Loader, SearchPath},
    sandbox::{self, Sandbox},
    schema::child,
    sessions::{Bounds, Sessions},
};

/// A resource that is loaded and whose configuration its plugin takes.
pub struct Ready {
    /// The resource's name.
    pub name: String,
    /// The plugin.
    pub plugin: LoadedPlugin,
    /// The configuration, typed and with its paths resolved.
    pub config: Map<String, Value>,
    parts: Parts,
}

/// Everything that came of loading the resources of a configuration.
pub struct Booted {
    /// What is ready.
    pub ready: Vec<Ready>,
    /// What is wrong, in the order of the file; errors unless the resource is `optional`. Notes on settings that have
    /// no effect, too.
    pub diagnostics: Vec<Diagnostic>,
}

/// Something good, and what there is to say about it.
type Noted<T> = (T, Vec<Diagnostic>);

/// Loads every enabled resource. Nothing is warmed up.
pub fn load(
    loaded: &Loaded,
    environment: &Environment,
    host: &'static abi::Host,
    verbose: bool,
) -> Booted {
    let search = SearchPath::of_process(&loaded.config.server.plugin_dirs, environment);
    let plugins = Loader::new(search, host);
    let mut booted = Booted {
        ready: Vec::new(),
        diagnostics: Vec::new(),
    };
    let folders = (0..).zip(&loaded.config.server.plugin_dirs);
    for (index, folder) in folders.filter(|(_, folder): &(usize, _)| !folder.is_dir()) {
        let at = format!("/server/plugin_dirs/{index}");
        let message = format!("there is no folder {}", folder.display());
        let diagnostic = Diagnostic::warning(at, message);
        booted.diagnostics.push(loaded.placed(diagnostic));
    }
    if let Err(error) = audit::check(&loaded.config.observe.audit) {
        let diagnostic = Diagnostic::error("/observe/audit/file", error);
        booted.diagnostics.push(loaded.placed(diagnostic));
    }
    let mut keys = Keys::new(loaded.config.resources.keys().map(String::as_str));
    for (key, resource) in loaded.config.enabled() {
        if !is_known(loaded, key) {
            continue;
        }
        match load_one(loaded, &plugins, key, resource, &mut keys, verbose) {
            Ok((ready, notes)) => {
                booted.diagnostics.extend(notes);
                booted.diagnostics.extend(passed_over(loaded, key, &ready));
                booted.ready.push(ready);
            }
            Err(diagnostics) => booted.diagnostics.extend(diagnostics),
        }
    }
    config::sort(&mut booted.diagnostics);
    booted
}

/// Whether the file says rightly which library the resource is to be loaded from, and that it is.
fn is_known(loaded: &Loaded, key: &str) -> bool {
    let resource = child("/resources", key);
    let of_it = ["enabled", "backend_class"].map(|setting| child(&resource, setting));
    let mut wanted = of_it
        .iter()
        .map(String::as_str)
        .chain(["/server/plugin_dirs"]);
    !wanted.any(|at| loaded.is_wrong(at))
}

fn load_one(
    loaded: &Loaded,
    plugins: &Loader,
    key: &str,
    resource: &Resource,
    keys: &mut Keys<'_>,
    verbose: bool,
) -> Result<Noted<Ready>, Vec<Diagnostic>> {
    let at = child("/resources", key);
    let (class_at, config_at) = (child(&at, "backend_class"), child(&at, "config"));
    let report = |at: &str, message: String| {
        let new = if resource.optional {
            Diagnostic::warning
        } else {
            Diagnostic::error
        };
        new(at.to_owned(), message).at(loaded.document.locate(at))
    };
    let refuse = |error: &LoadError| {
        let told = error.report(verbose);
        let (headline, details) = told.split_once('\n').unwrap_or((&told, ""));
        // Of several problems, each has its own hint among the details.
        let hint = match &*error.problems() {
            [only] => only.hint.clone(),
            _ => None,
        };
        vec![Diagnostic {
            hint,
            details: Some(details.trim_end().to_owned()),
            ..report(&class_at, headline.to_owned())
        }]
    };
    let plugin = plugins
        .load(
            &resource.backend_class,
            loaded.document.directory(),
            resource.sha256.as_deref(),
        )
        .map_err(|error| refuse(&error))?;
    let name = plugin.description.name.clone();
    keys.check(&resource.backend_class, key, &name)
        .map_err(|error| refuse(&error))?;
    let (config, notes) = check_config(loaded, &config_at, &plugin)?;
    if loaded.is_wrong(&config_at) {
        return Err(notes);
    }
    let directory = loaded.document.directory().to_string_lossy();
    let json = Value::Object(config.clone()).to_string();
    let handle = plugin
        .table
        .create(&plugin.class, json.as_bytes(), &directory)
        .map_err(|answer| {
            let mut found = notes.clone();
            found.push(report(&config_at, format!("`{key}`: {}", answer.message())));
            found
        })?;
    let parts = Parts {
        name: name.as_str().into(),
        kind: plugin.description.kind,
        description: resource
            .description
            .clone()
            .unwrap_or_else(|| plugin.description.description.clone()),
        config: config.clone(),
        limits: limits(loaded, resource),
        plugin: plugin.clone(),
        handle,
    };
    let ready = Ready {
        name,
        plugin,
        config,
        parts,
    };
    Ok((ready, notes))
}

/// Files that come before the plugin's in the search path and cannot be loaded: somebody meant them to be.
fn passed_over(loaded: &Loaded, key: &str, ready: &Ready) -> Vec<Diagnostic> {
    let at = child(&child("/resources", key), "backend_class");
    let told = ready.plugin.trace.passed_over().into_iter();
    told.map(|file| {
        let message = format!("`{key}`: {file}");
        Diagnostic::warning(at.as_str(), message).at(loaded.document.locate(&at))
    })
    .collect()
}

/// The settings of the resource as its plugin takes them, and notes on them.
fn check_config(
    loaded: &Loaded,
    pointer: &str,
    plugin: &LoadedPlugin,
) -> Result<Noted<Map<String, Value>>, Vec<Diagnostic>> {
    let Checked { value, diagnostics } =
        check_against(&plugin.description.config, &loaded.document, pointer);
    let failed = |found: &Diagnostic| found.severity == Severity::Error;
    match value {
        Value::Object(config) if !diagnostics.iter().any(failed) => Ok((config, diagnostics)),
        _ => Err(diagnostics),
    }
}

fn limits(loaded: &Loaded, resource: &Resource) -> Limits {
    let limits = &loaded.config.server.limits;
    Limits {
        warmup: limits.warmup_timeout,
        initialize: limits.initialize_timeout,
        cleanup: limits.cleanup_timeout,
        shutdown: limits.shutdown_timeout,
        tool: resource.timeout,
        session_ttl: resource.session_ttl,
        max_sessions: resource.max_sessions,
    }
}

/// Makes the server of what was loaded. Needs a tokio runtime around it.
///
/// # Errors
///
/// When two tools have one name, or the audit log cannot be opened.
pub fn assemble(loaded: Loaded, ready: Vec<Ready>, feed: Arc<Feed>) -> Result<Sandbox, String> {
    let observers = Arc::new(Observers::start(&loaded.config.observe, feed)?);
    let tasks = TaskTracker::new();
    let called_off = CancellationToken::new();
    let backend = |ready: Ready| {
        Arc::new(Backend::new(
            ready.parts,
            called_off.child_token(),
            tasks.clone(),
            Arc::clone(&observers),
        ))
    };
    let backends = ready.into_iter().map(backend).collect();
    let catalog = Catalog::new(backends).map_err(|error| error.to_string())?;
    let server = &loaded.config.server;
    let bounds = Bounds {
        total: server.limits.max_sessions,
        per_worker: server.limits.max_sessions_per_worker,
        grace: server.grace_period,
    };
    let parts = sandbox::Parts {
        sessions: Sessions::start(bounds, tasks.clone(), Arc::clone(&observers)),
        config: loaded.config,
        catalog,
        observers,
        called_off,
        tasks,
    };
    Ok(Sandbox::new(parts))
}
