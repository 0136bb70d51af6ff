//! Which session a page belongs to: pages are announced for the whole browser, with the context they are in.
#![expect(clippy::struct_field_names, reason = "the names are the protocol's")]

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use chromiumoxide_cdp::cdp::{
    browser_protocol::target::{CloseTargetParams, TargetId},
    js_protocol::runtime::RunIfWaitingForDebuggerParams,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::pipe::{Listener, Pipe};

/// Hears of the pages of one browser context. Called on the pipe's reading task: it must not wait.
pub(crate) trait Context: Send + Sync {
    /// A page is there, and waits for its permission to go on.
    fn opened(&self, page: Opened);

    /// A page is gone.
    fn closed(&self, session: &str);
}

/// A page that has just been made.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its name in the browser.
    pub(crate) target: String,
    /// The session of the protocol that is about it.
    pub(crate) session: String,
    /// The page that opened it.
    pub(crate) opener: Option<String>,
}

/// The contexts of a browser, and what was attached for them.
#[derive(Default)]
pub(crate) struct Hub {
    pipe: OnceLock<WeakPipe>,
    contexts: Mutex<HashMap<String, Weak<dyn Context>>>,
    sessions: Mutex<HashMap<String, Weak<dyn Context>>>,
}

/// The pipe holds the hub, so the hub must not hold the pipe.
type WeakPipe = super::pipe::WeakPipe;

impl Hub {
    /// The pipe to answer to.
    pub(super) fn attach(&self, pipe: &Pipe) {
        let _ = self.pipe.set(pipe.downgrade());
    }

    /// From now on, `context` hears of the pages of the browser context with this id.
    pub(crate) fn add(&self, id: &str, context: Weak<dyn Context>) {
        lock(&self.contexts).insert(id.to_owned(), context);
    }

    /// Nobody hears of this browser context any more.
    pub(crate) fn remove(&self, id: &str) {
        lock(&self.contexts).remove(id);
        lock(&self.sessions).retain(|_, context| context.strong_count() > 0);
    }

    fn attached(&self, event: Attached) {
        let Attached {
            session_id,
            target_info,
        } = event;
        let context = target_info
            .browser_context_id
            .as_deref()
            .and_then(|id| lock(&self.contexts).get(id).cloned());
        match context.as_ref().and_then(Weak::upgrade) {
            Some(owner) => {
                if let Some(context) = context {
                    lock(&self.sessions).insert(session_id.clone(), context);
                }
                owner.opened(Opened {
                    target: target_info.target_id,
                    session: session_id,
                    opener: target_info.opener_id,
                });
            }
            None => self.unwanted(&session_id, target_info),
        }
    }

    /// A page of a session that is gone, or the page that the browser itself begins with.
    fn unwanted(&self, session: &str, target: Target) {
        let Some(pipe) = self.pipe.get().and_then(WeakPipe::upgrade) else {
            return;
        };
        pipe.tell(session, &RunIfWaitingForDebuggerParams::default());
        if target.opener_id.is_some() {
            pipe.tell("", &CloseTargetParams::new(TargetId::new(target.target_id)));
        }
    }

    fn detached(&self, event: &Detached) {
        let context = lock(&self.sessions).remove(&event.session_id);
        if let Some(context) = context.as_ref().and_then(Weak::upgrade) {
            context.closed(&event.session_id);
        }
    }
}

impl Listener for Hub {
    fn event(&self, method: &str, params: &RawValue) {
        let read = match method {
            "Target.attachedToTarget" => {
                serde_json::from_str(params.get()).map(|event| self.attached(event))
            }
            "Target.detachedFromTarget" => {
                serde_json::from_str(params.get()).map(|event| self.detached(&event))
            }
            _ => Ok(()),
        };
        if let Err(error) = read {
            tracing::warn!(method, %error, "an event of the browser cannot be read");
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attached {
    session_id: String,
    target_info: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    target_id: String,
    browser_context_id: Option<String>,
    opener_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detached {
    session_id: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
