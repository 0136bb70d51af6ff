//! The backend: the life of desktops. Its tools stand below, a file for each subject: they read parameters, bound them by
//! the configuration, and let the session's hands act.

mod flow;
mod keyboard;
mod mouse;
mod programs;
mod screen;
mod states;

use std::sync::Arc;
use std::time::Duration;

use sandbox_plugin_api::prelude::*;

use crate::config::{Config, Kind, SessionConfig};
use crate::desktop::{Failure, Provider};
use crate::display::Display;
use crate::pool::Pool;
use crate::qemu::Machines;
use crate::recording;
use crate::session::Session;
use crate::setup;

/// A desktop per session.
#[derive(Debug)]
pub struct Vm {
    config: Config,
    provider: Arc<dyn Provider>,
    pool: Arc<Pool>,
}

#[backend(
    name = "vm",
    description = "A desktop of your own: see its screen, use its mouse and keyboard, start programs on it.",
    tools = [screen, mouse, keyboard, flow, programs, states]
)]
impl Vm {
    fn new(config: Config, env: &BackendEnv) -> Result<Self> {
        config.check().map_err(Error::config)?;
        let provider: Arc<dyn Provider> = match config.provider {
            Kind::Display => Arc::new(Display::new(&config)),
            Kind::Qemu => Arc::new(Machines::new(&config, env)),
        };
        let pool = Pool::new(Arc::clone(&provider), config.shape(), config.pool_size);
        Ok(Self {
            config,
            provider,
            pool,
        })
    }

    async fn warmup(&self) -> Result<()> {
        if self.config.recording_path.is_some() {
            recording::check()?;
        }
        self.provider.prepare(&self.config.shape()).await?;
        self.pool.fill();
        Ok(())
    }

    async fn probe(&self) -> Result<Value> {
        Ok(json!({ "pool": self.pool.stand() }))
    }

    async fn shutdown(&self) -> Result<()> {
        self.pool.close().await;
        self.provider.shutdown().await?;
        Ok(())
    }

    async fn initialize(&self, config: SessionConfig, info: &SessionInfo) -> Result<Session> {
        let shape = config.shape(&self.config)?;
        let desktop = self.pool.take(&shape).await?;
        let id = info.session_id();
        let session = Session::new(desktop, config.custom_name.as_deref(), id);
        let wanted = config.recording.unwrap_or(self.config.recording);
        if let Some(folder) = self.config.recording_path.as_deref().filter(|_| wanted) {
            session
                .record(folder, id, self.config.recording_fps)
                .await?;
        }
        let prepared = setup::carry_out(&config.setup, &*session.desktop, &self.config).await;
        if let Err(failure) = prepared {
            session.close().await?;
            return Err(failure.into());
        }
        Ok(session)
    }

    async fn cleanup(&self, session: &Session) -> Result<()> {
        session.close().await?;
        Ok(())
    }
}

impl Vm {
    /// A number of seconds that a caller asked for.
    fn seconds(&self, pointer: &str, asked: f64) -> Result<Duration, Failure> {
        let most = self.config.max_seconds;
        if !(0.0..=most).contains(&asked) {
            let message = format!("expected 0 to {most} seconds, found {asked}");
            return Err(Failure::param(pointer, message));
        }
        Ok(Duration::from_secs_f64(asked))
    }
}
