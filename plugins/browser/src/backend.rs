//! The backend: the browser's life. Its tools stand below, a file for each subject; `call` is what they share.

mod call;
mod downloads;
mod input;
mod navigation;
mod reading;
mod tabs;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use sandbox_plugin_api::prelude::*;

use crate::{
    chromium::{Chromium, LaunchError, Life},
    config::{Config, SessionConfig},
    failure::Fault,
    gate::Dialer,
    page::Session,
};

/// One browser for all sessions.
pub struct Browser {
    config: Config,
    dialer: Dialer,
    /// The browser that new sessions get; whoever starts one holds the lock.
    current: tokio::sync::Mutex<Option<Arc<Chromium>>>,
    /// All that may still run: a browser that is no longer current lives as long as its sessions.
    running: Mutex<Vec<Life>>,
    pages: Arc<AtomicUsize>,
}

#[backend(
    name = "browser",
    description = "A real browser: open pages, read them, click, type and see them, in a session with cookies of its own.",
    tools = [navigation, input, reading, tabs, downloads]
)]
impl Browser {
    fn new(mut config: Config, env: &BackendEnv) -> Result<Self> {
        config.check()?;
        config.executable = config.executable.map(|path| env.resolve(path));
        Ok(Self {
            dialer: config.dialer()?,
            config,
            current: tokio::sync::Mutex::default(),
            running: Mutex::default(),
            pages: Arc::default(),
        })
    }

    async fn warmup(&self) -> Result<()> {
        self.browser().await.map(|_| ())
    }

    async fn probe(&self) -> Result<Value> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|life| !life.is_over());
        Ok(json!({
            "browsers": running.len(),
            "pages": { "open": self.pages.load(Relaxed), "limit": self.config.max_pages },
        }))
    }

    async fn shutdown(&self) -> Result<()> {
        self.current.lock().await.take();
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for life in running {
            life.end().await;
        }
        Ok(())
    }

    async fn initialize(&self, config: SessionConfig) -> Result<Session> {
        config.check(&self.config)?;
        let open = async |config| {
            let browser = self.browser().await?;
            Ok::<_, Error>(Session::open(browser, &self.config, config, self.dialer.clone()).await)
        };
        match open(config.clone()).await? {
            // It died just now, of something else: the next one is as good.
            Err(Fault::Died) => Ok(open(config).await??),
            other => Ok(other?),
        }
    }

    async fn cleanup(&self, session: &Session) -> Result<()> {
        Ok(session.close().await?)
    }
}

impl Browser {
    /// A browser for a new session: the one that runs, or a fresh one.
    async fn browser(&self) -> Result<Arc<Chromium>> {
        let mut current = self.current.lock().await;
        if let Some(browser) = current.as_ref().filter(|browser| browser.is_alive())
            && !browser.is_worn(&self.config).await
        {
            return Ok(Arc::clone(browser));
        }
        let browser = Chromium::launch(&self.config, &self.pages)
            .await
            .map_err(|error| explain(&error))?;
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.retain(|life| !life.is_over());
            running.push(browser.life.clone());
        }
        *current = Some(Arc::clone(&browser));
        Ok(browser)
    }
}

fn explain(error: &LaunchError) -> Error {
    if let LaunchError::Io(cause) = error {
        tracing::error!(%cause, "the browser cannot be started");
    }
    Error::unavailable(error.to_string())
}
