//! From a configuration to a server: loads every plugin, checks every resource, reports all faults at once.
//!
//! `sandbox serve` and `sandbox check` both come this way, so what the one accepts the other does.

use std::{collections::BTreeMap, sync::Arc};

use sandbox_plugin_api::abi;
use serde_json::{Map, Value};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backend::{Backend, Limits, Parts},
    catalog::Catalog,
    config::{Diagnostic, Environment, Loaded, Resource, check_against},
    observe::{Feed, Observers},
    plugin::{LoadError, LoadedPlugin, Loader, SearchPath},
    sandbox::{self, Sandbox},
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
    /// What is wrong, in the order of the file; errors unless the resource is `optional`.
    pub diagnostics: Vec<Diagnostic>,
}

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
    let mut names = BTreeMap::<String, String>::new();
    for (key, resource) in loaded.config.enabled() {
        match load_one(loaded, &plugins, key, resource, &mut names, verbose) {
            Ok(ready) => booted.ready.push(ready),
            Err(diagnostics) => booted.diagnostics.extend(diagnostics),
        }
    }
    booted
}

fn load_one(
    loaded: &Loaded,
    plugins: &Loader,
    key: &str,
    resource: &Resource,
    names: &mut BTreeMap<String, String>,
    verbose: bool,
) -> Result<Ready, Vec<Diagnostic>> {
    let class_at = format!("/resources/{key}/backend_class");
    let report = |message: String| {
        let new = if resource.optional {
            Diagnostic::warning
        } else {
            Diagnostic::error
        };
        new(class_at.clone(), message).at(loaded.document.locate(&class_at))
    };
    let refuse = |error: &LoadError| vec![report(error.report(verbose).trim_end().to_owned())];
    let plugin = plugins
        .load(
            &resource.backend_class,
            loaded.document.directory(),
            resource.sha256.as_deref(),
        )
        .map_err(|error| refuse(&error))?;
    let name = plugin.description.name.clone();
    let taken_by = names.insert(name.clone(), key.to_owned());
    if taken_by.is_some() || name != key {
        let class = &resource.backend_class;
        return Err(refuse(&LoadError::other_key(
            class,
            key,
            &name,
            taken_by.as_deref(),
        )));
    }
    let config = check_config(loaded, key, &plugin)?;
    let directory = loaded.document.directory().to_string_lossy();
    let json = Value::Object(config.clone()).to_string();
    let handle = plugin
        .table
        .create(&plugin.class, json.as_bytes(), &directory)
        .map_err(|answer| vec![report(format!("`{key}`: {}", answer.message()))])?;
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
    Ok(Ready {
        name,
        plugin,
        config,
        parts,
    })
}

fn check_config(
    loaded: &Loaded,
    key: &str,
    plugin: &LoadedPlugin,
) -> Result<Map<String, Value>, Vec<Diagnostic>> {
    let pointer = format!("/resources/{key}/config");
    let checked = check_against(&plugin.description.config, &loaded.document, &pointer);
    match checked.value {
        Value::Object(config) if checked.diagnostics.is_empty() => Ok(config),
        _ => Err(checked.diagnostics),
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
