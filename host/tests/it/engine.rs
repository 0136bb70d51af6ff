//! A server without its fronts, with real fixture plugins, for tests of lifecycle and sessions.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox::{
    boot,
    config::{Config, Environment},
    dispatch::{Call, dispatch},
    failure::Failure,
    logging::PluginLog,
    observe::Front,
    sandbox::{Caller, Sandbox},
    sessions::{Opened, Wanted, WorkerKey},
};
use sandbox_plugin_api::host::table;
use serde_json::{Map, Value, json, value::RawValue};

use crate::fixtures;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and a directory for what its fixtures write.
pub(crate) struct Engine {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) directory: tempfile::TempDir,
}

impl Engine {
    /// A server with one fixture as its only resource.
    pub(crate) fn of(fixture: &str, config: Value) -> Self {
        Self::with(json!({}), json!({ fixture: { "config": config } }))
    }

    /// A server with these `server` settings and resources; `backend_class` is filled in where it is absent.
    pub(crate) fn with(server: Value, resources: Value) -> Self {
        let engine = Self::starting(json!({ "server": server, "resources": resources }));
        engine.sandbox.open();
        engine
    }

    /// A server with this configuration that is not open for calls yet.
    pub(crate) fn starting(mut config: Value) -> Self {
        config["server"]["plugin_dirs"] = json!([fixtures::folder()]);
        for (name, resource) in config["resources"].as_object_mut().unwrap() {
            let resource = resource.as_object_mut().unwrap();
            resource
                .entry("backend_class")
                .or_insert_with(|| json!(name));
        }
        let config = config.to_string();
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().to_owned();
        let environment = Environment::empty();
        let loaded = Config::read("test.json", base, config.into_bytes(), &environment).unwrap();
        let booted = boot::load(
            &loaded,
            &environment,
            table(Box::new(PluginLog::default()), 2),
            false,
        );
        assert!(booted.diagnostics.is_empty(), "{:?}", booted.diagnostics);
        let sandbox = boot::assemble(loaded, booted.ready, Default::default()).unwrap();
        Self {
            sandbox: Arc::new(sandbox),
            directory,
        }
    }

    /// Calls a tool; the answer's data, or code and message.
    pub(crate) async fn call(
        &self,
        worker: &str,
        action: &str,
        params: Value,
    ) -> Result<Value, (i32, String)> {
        self.call_for(worker, action, params, None).await
    }

    /// Calls a tool with a time limit.
    pub(crate) async fn call_for(
        &self,
        worker: &str,
        action: &str,
        params: Value,
        timeout: Option<Duration>,
    ) -> Result<Value, (i32, String)> {
        let params = RawValue::from_string(params.to_string()).unwrap();
        let caller = Caller::default();
        let call = Call {
            caller: &caller,
            worker,
            action,
            params: Some(&params),
            timeout,
            trace: "trace",
            front: Front::Http,
            parent: Default::default(),
            events: None,
            started: Instant::now(),
        };
        match dispatch(&self.sandbox, &call).await.result {
            Ok(answer) if answer.is_success() => Ok(serde_json::from_slice(answer.data()).unwrap()),
            Ok(answer) => Err((answer.code(), answer.message().into_owned())),
            Err(failure) => Err((failure.code.0, failure.message)),
        }
    }

    /// Makes a session; `true` when it was made, `false` when it was there.
    pub(crate) async fn open(
        &self,
        worker: &str,
        resource: &str,
        config: Value,
    ) -> Result<(String, bool), Failure> {
        self.open_with(worker, resource, config, None).await
    }

    /// Makes a session with a time to live.
    pub(crate) async fn open_with(
        &self,
        worker: &str,
        resource: &str,
        config: Value,
        ttl: Option<Duration>,
    ) -> Result<(String, bool), Failure> {
        let Value::Object(config) = config else {
            panic!("a configuration is an object")
        };
        let wanted = Wanted {
            config,
            ttl,
            auto_extend: true,
            ..Wanted::default()
        };
        let backend = self.sandbox.catalog.backend(resource)?;
        let key = WorkerKey::new(None, worker);
        match self.sandbox.sessions.open(&key, backend, &wanted).await? {
            Opened::Created(session) => Ok((session.id.to_string(), true)),
            Opened::Existed(session) => Ok((session.id.to_string(), false)),
        }
    }

    /// Ends a session.
    pub(crate) async fn destroy(&self, worker: &str, resource: &str) -> Result<(), Failure> {
        let key = WorkerKey::new(None, worker);
        self.sandbox
            .sessions
            .destroy(&key, resource)
            .await
            .map(|_| ())
    }

    /// Waits until a fixture has written this line into its journal.
    pub(crate) async fn written(&self, line: &str) {
        let journal = self.file("journal");
        until(line, || {
            lines(&journal).iter().any(|one| one == line).then_some(())
        })
        .await;
    }

    /// A file in the server's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// The lines of a journal.
pub(crate) fn lines(journal: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Looks until `look` finds something; the processor is left to others in between.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Tries until an attempt finds something, each time with twice the limit: for what has to begin before its time is up,
/// which a busy machine may prevent.
pub(crate) async fn again<T>(what: &str, mut attempt: impl AsyncFnMut(Duration) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut limit = Duration::from_millis(100);
    loop {
        if let Some(found) = attempt(limit).await {
            return found;
        }
        assert!(Instant::now() < deadline, "tried in vain for {what}");
        limit = (2 * limit).min(PATIENCE);
    }
}

/// An object without keys.
pub(crate) fn nothing() -> Value {
    Value::Object(Map::new())
}
