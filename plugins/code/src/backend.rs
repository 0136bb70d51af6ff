//! The backend: the life of sessions. Its tools stand below, a file for each subject: they read parameters, bound them by
//! the configuration, and hand them to the session.

mod files;
mod programs;

use std::sync::{Arc, Mutex, PoisonError};

use sandbox_isolation::Machine;
use sandbox_plugin_api::prelude::*;

use crate::config::{Config, SessionConfig};
use crate::language::Interpreters;
use crate::session::{Ground, Session, blocking};

/// Programs over a workspace per session.
#[derive(Debug)]
pub struct Code {
    config: Arc<Config>,
    /// What the machine can give; known after the warm-up.
    ground: Mutex<Option<Arc<Ground>>>,
}

#[backend(
    name = "code",
    description = "Run programs in Python, JavaScript or Bash, isolated, over files that last as long as the session.",
    tools = [programs, files]
)]
impl Code {
    fn new(config: Config) -> Result<Self> {
        let config = config.settled().map_err(Error::config)?;
        config.check().map_err(Error::config)?;
        Ok(Self {
            config: Arc::new(config),
            ground: Mutex::default(),
        })
    }

    async fn warmup(&self) -> Result<()> {
        let config = Arc::clone(&self.config);
        let found = blocking(move || Interpreters::find(&config.python, config.node.as_deref()));
        let interpreters = found.await?.map_err(Error::unavailable)?;
        let policy = self.config.policy();
        let mut machine = Machine::probe(&policy)
            .await
            .map_err(|missing| Error::unavailable(missing.to_string()))?;
        let mut shown = self.config.mounts.clone();
        shown.extend(interpreters.mounts());
        machine
            .probe_workspaces(&policy, self.config.space(), &shown)
            .await
            .map_err(|missing| Error::unavailable(missing.to_string()))?;
        let ground = Ground {
            machine,
            interpreters,
        };
        *self.ground.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ground));
        Ok(())
    }

    async fn shutdown(&self) -> Result<()> {
        // The folder of this server on disk goes with the last session.
        self.ground
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Ok(())
    }

    async fn initialize(&self, config: SessionConfig) -> Result<Session> {
        let ground = self
            .ground
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let ground =
            ground.ok_or_else(|| Error::unavailable("the code backend is not warmed up"))?;
        Session::new(ground, &self.config, config).await
    }

    async fn cleanup(&self, session: &Session) -> Result<()> {
        session.close().await
    }
}

impl Code {
    fn check_size(&self, pointer: &str, bytes: usize) -> Result<()> {
        let limit = self.config.max_input_bytes;
        if bytes as u64 > limit.0 {
            let message = format!("a call takes {limit} bytes of input, and these are {bytes}");
            return Err(Error::param(pointer, message));
        }
        Ok(())
    }
}
