//! Desktops kept ready, whoever provides them.
//!
//! A desktop of the pool is given out once, after a probe, and never comes back: what a worker did to it would be the
//! next one's. The pool fills itself in the background.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandbox_plugin_api::prelude::*;
use tokio::task::JoinHandle;

use crate::desktop::{Desktop, Failure, Provider, Shape};

/// The first pause after a desktop did not start; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A desktop that takes longer to answer a probe is of no use.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Desktops of one shape, ready.
#[derive(Debug)]
pub(crate) struct Pool {
    provider: Arc<dyn Provider>,
    shape: Shape,
    size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Box<dyn Desktop>>,
    filling: Option<JoinHandle<()>>,
    closed: bool,
}

/// How a pool is.
#[derive(Debug, Serialize)]
pub(crate) struct Stand {
    ready: usize,
    size: usize,
    filling: bool,
}

impl State {
    fn is_filling(&self) -> bool {
        let filling = self.filling.as_ref();
        filling.is_some_and(|task| !task.is_finished())
    }
}

impl Pool {
    pub(crate) fn new(provider: Arc<dyn Provider>, shape: Shape, size: usize) -> Arc<Self> {
        Arc::new(Self {
            provider,
            shape,
            size,
            state: Mutex::default(),
        })
    }

    /// A desktop: a ready one if there is one of this shape that works, else a new one.
    pub(crate) async fn take(self: &Arc<Self>, shape: &Shape) -> Result<Box<dyn Desktop>, Failure> {
        if *shape != self.shape {
            return self.provider.start(shape).await;
        }
        while let Some(desktop) = self.pop() {
            let probed = tokio::time::timeout(PROBE_LIMIT, desktop.probe()).await;
            if matches!(probed, Ok(Ok(()))) {
                self.fill();
                return Ok(desktop);
            }
            tracing::warn!("a desktop of the pool did not answer and is put away");
            put_away(desktop).await;
        }
        let started = self.provider.start(shape).await;
        // Not before: the worker that waits is the one to start first.
        self.fill();
        started
    }

    /// How many desktops are ready, of how many, and whether more are being started.
    pub(crate) fn stand(&self) -> Stand {
        let state = self.state();
        Stand {
            ready: state.ready.len(),
            size: self.size,
            filling: state.is_filling(),
        }
    }

    /// Begins to fill the pool in the background, unless it is being filled.
    pub(crate) fn fill(self: &Arc<Self>) {
        let mut state = self.state();
        if state.is_filling() || state.closed || state.ready.len() >= self.size {
            return;
        }
        state.filling = Some(tokio::spawn(Arc::clone(self).keep_filling()));
    }

    /// Stops filling and closes every desktop that was not given out.
    pub(crate) async fn close(&self) {
        let (ready, filling) = {
            let mut state = self.state();
            state.closed = true;
            (std::mem::take(&mut state.ready), state.filling.take())
        };
        if let Some(filling) = filling {
            filling.abort();
            // What it was starting ends with it.
            drop(filling.await);
        }
        for desktop in ready {
            put_away(desktop).await;
        }
    }

    async fn keep_filling(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        while self.wants_more() {
            match self.provider.start(&self.shape).await {
                Ok(desktop) => {
                    pause = FIRST_PAUSE;
                    if let Some(late) = self.push(desktop) {
                        put_away(late).await;
                    }
                }
                Err(failure) => {
                    tracing::warn!(?failure, "a desktop for the pool did not start");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn wants_more(&self) -> bool {
        let state = self.state();
        !state.closed && state.ready.len() < self.size
    }

    /// Adds a desktop, or gives it back when the pool has closed meanwhile.
    fn push(&self, desktop: Box<dyn Desktop>) -> Option<Box<dyn Desktop>> {
        let mut state = self.state();
        if state.closed {
            return Some(desktop);
        }
        state.ready.push_back(desktop);
        None
    }

    fn pop(&self) -> Option<Box<dyn Desktop>> {
        self.state().ready.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn put_away(desktop: Box<dyn Desktop>) {
    if let Err(failure) = desktop.close().await {
        tracing::warn!(?failure, "a desktop of the pool did not close");
    }
}
