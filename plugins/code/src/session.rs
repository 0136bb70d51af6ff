//! A session: a workspace, limits, and one program at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sandbox_isolation::{Machine, Policy, USER, Workspace};
use sandbox_plugin_api::Error;
use tokio::sync::MutexGuard;
use tokio::time::timeout_at;

use crate::Language;
use crate::config::{Config, SessionConfig};
use crate::failure;
use crate::files::{Place, import};
use crate::language::{Interpreter, Interpreters};

/// What the warm-up found out, and all sessions share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) machine: Machine,
    pub(crate) interpreters: Interpreters,
}

/// A worker's workspace and how programs run in it.
#[derive(Debug)]
pub struct Session {
    pub(crate) ground: Arc<Ground>,
    pub(crate) policy: Policy,
    pub(crate) default_language: Language,
    workspace: Mutex<Option<Arc<Workspace>>>,
    /// Held by the program whose turn it is: what one wrote and how much memory it used could not be told otherwise.
    turn: tokio::sync::Mutex<()>,
}

impl Session {
    /// Makes the workspace.
    ///
    /// # Errors
    /// What of the session's configuration cannot be used, or that the machine refuses.
    pub(crate) async fn new(
        ground: Arc<Ground>,
        config: &Config,
        session: SessionConfig,
    ) -> Result<Self, Error> {
        let policy = session.policy(config)?;
        let mut shown = config.mounts.clone();
        shown.extend(ground.interpreters.mounts());
        let workspace = ground
            .machine
            .workspace(config.space(), &shown)
            .await
            .map_err(|error| failure::io("making the session's workspace", &error))?;
        let workspace = Arc::new(workspace);
        if let Some(source) = session.source_dir {
            let (target, roots) = (Arc::clone(&workspace), config.source_roots.clone());
            let largest = config.file_size.0;
            blocking(move || import(&target, &source, &roots, largest)).await??;
        }
        Ok(Self {
            ground,
            policy,
            default_language: session.default_language.unwrap_or(config.default_language),
            workspace: Mutex::new(Some(workspace)),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The workspace.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn workspace(&self) -> Result<Arc<Workspace>, Error> {
        self.workspace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .filter(|workspace| workspace.is_alive())
            .cloned()
            .ok_or_else(gone)
    }

    /// Reads a path that the caller wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn place(
        &self,
        workspace: &Workspace,
        pointer: &str,
        path: &str,
    ) -> Result<Place, Error> {
        let root = workspace.seen_by_programs(&self.ground.machine);
        Place::parse(path, &root).map_err(|fault| fault.at(pointer))
    }

    /// The interpreter of a language.
    ///
    /// # Errors
    /// When it is not installed.
    pub(crate) fn interpreter(&self, language: Language) -> Result<&Interpreter, Error> {
        self.ground.interpreters.of(language).ok_or_else(|| {
            Error::unavailable(format!(
                "this server runs no {}: its operator can apt-get install nodejs and start it again",
                language.name()
            ))
        })
    }

    /// Waits until no other program of this session runs.
    ///
    /// # Errors
    /// When the call's time is over before.
    pub(crate) async fn turn(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>, Error> {
        timeout_at(deadline.into(), self.turn.lock())
            .await
            .map_err(|_| {
                Error::timeout(
                    "another program of this session is still running; the call's time was over before its turn came",
                )
            })
    }

    /// The environment of the session's programs.
    pub(crate) fn environment(
        &self,
        workspace: &Workspace,
        config: &Config,
    ) -> Vec<(String, String)> {
        let machine = &self.ground.machine;
        let root = workspace.seen_by_programs(machine);
        let mut path = String::from("/usr/local/bin:/usr/bin:/bin");
        for language in [Language::Javascript, Language::Python] {
            let interpreter = self.ground.interpreters.of(language);
            if let Some(dir) = interpreter.and_then(|interpreter| interpreter.path.parent())
                && dir != Path::new("/usr/bin")
            {
                path = format!("{}:{path}", dir.display());
            }
        }
        let home = workspace.home_seen_by_programs(machine);
        let mut env: Vec<(String, String)> = [
            ("PATH", path.as_str()),
            ("HOME", &home),
            ("USER", USER),
            ("LOGNAME", USER),
            ("LANG", "C.UTF-8"),
            ("TMPDIR", "/tmp"),
            // The program's text lies elsewhere; what it imports lies here.
            ("PYTHONPATH", &root),
            // What was printed before a time limit must not be lost in a buffer.
            ("PYTHONUNBUFFERED", "1"),
            // Nobody wants to read about caches among the files that a program wrote.
            ("PYTHONDONTWRITEBYTECODE", "1"),
            // There is no screen.
            ("MPLBACKEND", "Agg"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for (name, value) in &config.env {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        env
    }

    /// Removes the workspace.
    ///
    /// # Errors
    /// When the operating system cannot tell whether its keeper is gone.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let workspace = self
            .workspace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match workspace.and_then(Arc::into_inner) {
            Some(workspace) => workspace
                .close()
                .await
                .map_err(|error| failure::io("removing the session's workspace", &error)),
            // A call that is still at work has it, and removes it when it is done.
            None => Ok(()),
        }
    }
}

/// The session can be used no more.
pub(crate) fn gone() -> Error {
    Error::session("the session's workspace is gone; create the session again")
}

/// Runs what waits for the disk where it keeps nobody else waiting.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| failure::io("working on the session's files", &error))
}
