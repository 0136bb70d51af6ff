//! One page: what its events tell, and calls to it that end when the page, the browser or the time does.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use chromiumoxide_cdp::cdp::browser_protocol::page::HandleJavaScriptDialogParams;
use chromiumoxide_types::Command;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{context::Inner, notes::Dialog, storage};
use crate::{
    chromium::{CallError, Listener, Pipe},
    config::DialogAnswer,
    failure::{Fault, Outcome},
};

/// A page that sends itself elsewhere does so this often before somebody asks.
const PAST: usize = 8;

/// A page.
pub(crate) struct Tab {
    /// Its number in the session, by which tools name it.
    pub(crate) number: u32,
    /// Its name in the browser; its main frame has the same.
    pub(crate) target: String,
    pub(super) session: String,
    pub(super) pipe: Pipe,
    status: watch::Sender<Status>,
    refs: Mutex<Refs>,
    /// Whether somebody was told that it crashed.
    crash_told: AtomicBool,
    owner: Weak<Inner>,
}

/// What is known of a page's document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// Which document it is.
    loader: String,
    /// The documents before it, the newest first.
    past: VecDeque<String>,
    /// How many documents, and places within one, there were.
    pub(crate) commits: u64,
    /// How often another document was asked for.
    pub(crate) requests: u64,
    /// How often loading has ended.
    pub(crate) stops: u64,
    pub(crate) dom: bool,
    pub(crate) load: bool,
    pub(crate) idle: bool,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Crashed,
    Closed,
}

/// The names that a snapshot gave to elements.
#[derive(Debug, Default)]
struct Refs {
    by_node: HashMap<i64, u32>,
    nodes: HashMap<u32, i64>,
    last: u32,
}

impl Tab {
    pub(super) fn new(
        number: u32,
        target: String,
        session: String,
        pipe: Pipe,
        owner: Weak<Inner>,
    ) -> Self {
        Self {
            number,
            target,
            session,
            pipe,
            status: watch::Sender::default(),
            refs: Mutex::default(),
            crash_told: AtomicBool::new(false),
            owner,
        }
    }

    /// Calls, and waits for the answer until the deadline.
    pub(super) async fn call<C: Command>(
        &self,
        command: &C,
        deadline: Instant,
    ) -> Outcome<C::Response> {
        self.call_as(command, deadline).await
    }

    /// The same, with an answer type of our own.
    pub(super) async fn call_as<C: Command, R: DeserializeOwned>(
        &self,
        command: &C,
        deadline: Instant,
    ) -> Outcome<R> {
        let call = self.pipe.call_as(&self.session, command);
        tokio::select! {
            biased;
            end = self.ended() => Err(end),
            answer = timeout_at(deadline, call) => match answer {
                Ok(Err(CallError::Refused { message })) if message.contains("Session with given id not found") => {
                    Err(self.end().unwrap_or(Fault::TabClosed))
                }
                Ok(answer) => Ok(answer?),
                Err(_) => Err(Fault::timed_out("the page did not answer in time: a script may keep it busy")),
            },
        }
    }

    /// Calls without waiting.
    pub(super) fn tell<C: Command>(&self, command: &C) {
        self.pipe.tell(&self.session, command);
    }

    /// What is known of the document now.
    pub(super) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until the document is as wanted.
    pub(super) async fn until(
        &self,
        deadline: Instant,
        wanted: impl FnMut(&Status) -> bool + Send,
    ) -> Outcome<()> {
        let mut status = self.status.subscribe();
        tokio::select! {
            biased;
            end = self.ended() => Err(end),
            found = timeout_at(deadline, status.wait_for(wanted)) => match found {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(Fault::TabClosed),
                Err(_) => Err(Fault::timed_out("the page did not load in time")),
            },
        }
    }

    /// Waits for the page's end.
    async fn ended(&self) -> Fault {
        let mut status = self.status.subscribe();
        tokio::select! {
            () = self.pipe.gone().cancelled() => Fault::Died,
            _ = status.wait_for(|status| status.end.is_some()) => self.end().unwrap_or(Fault::TabClosed),
        }
    }

    fn end(&self) -> Option<Fault> {
        let end = self.status.borrow().end?;
        Some(match end {
            End::Crashed => Fault::Crashed,
            End::Closed => Fault::TabClosed,
        })
    }

    /// Whether its process is gone.
    pub(super) fn has_crashed(&self) -> bool {
        self.status.borrow().end == Some(End::Crashed)
    }

    /// Whether it is still to be said that the page crashed; true once.
    pub(super) fn tell_crash(&self) -> bool {
        !self.crash_told.swap(true, Ordering::Relaxed)
    }

    /// A navigation came to nothing: waits a moment for the download that it may have been.
    pub(super) async fn download_begins(&self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.stirs().await;
        }
    }

    /// It was closed.
    pub(super) fn close(&self) {
        self.pipe.unlisten(&self.session);
        self.status
            .send_modify(|status| status.end = status.end.or(Some(End::Closed)));
    }

    /// The name of an element in snapshots; the same one as long as the document lives.
    pub(super) fn name(&self, node: i64) -> u32 {
        let mut refs = lock(&self.refs);
        if let Some(name) = refs.by_node.get(&node) {
            return *name;
        }
        refs.last += 1;
        let name = refs.last;
        refs.by_node.insert(node, name);
        refs.nodes.insert(name, node);
        name
    }

    /// The element of that name.
    pub(super) fn named(&self, name: u32) -> Option<i64> {
        lock(&self.refs).nodes.get(&name).copied()
    }

    fn navigated(&self, loader: String) {
        {
            // Names go on counting, so that an old one never means another element.
            let mut refs = lock(&self.refs);
            refs.by_node.clear();
            refs.nodes.clear();
        }
        self.status.send_modify(|status| {
            status.commits += 1;
            if status.loader != loader {
                let past = std::mem::replace(&mut status.loader, loader);
                status.past.truncate(PAST - 1);
                status.past.push_front(past);
                (status.dom, status.load, status.idle) = (false, false, false);
            }
        });
    }

    fn lifecycle(&self, event: &Lifecycle) {
        if event.frame_id != self.target {
            return;
        }
        self.status.send_if_modified(|status| {
            // Nothing announces the document that a page begins with.
            if status.loader.is_empty() {
                status.loader.clone_from(&event.loader_id);
            }
            if status.loader != event.loader_id {
                return false;
            }
            match event.name.as_str() {
                "DOMContentLoaded" => status.dom = true,
                "load" => status.load = true,
                "networkIdle" => status.idle = true,
                _ => return false,
            }
            true
        });
    }

    fn dialog(&self, event: DialogOpening) {
        let Some(owner) = self.owner.upgrade() else {
            return;
        };
        // Leaving a page is what the caller has just asked for.
        let forced = matches!(event.kind.as_str(), "alert" | "beforeunload");
        let accept = forced || owner.dialogs == DialogAnswer::Accept;
        self.tell(&HandleJavaScriptDialogParams {
            accept,
            prompt_text: (accept && event.kind == "prompt")
                .then(|| event.default_prompt.clone().unwrap_or_default()),
        });
        owner.notes().dialog(Dialog {
            kind: event.kind,
            message: event.message,
            answer: if accept {
                DialogAnswer::Accept
            } else {
                DialogAnswer::Dismiss
            },
        });
    }

    fn read(&self, method: &str, params: &str) -> serde_json::Result<()> {
        match method {
            "Page.frameNavigated" => {
                let Navigated { frame } = serde_json::from_str(params)?;
                if let Some(owner) = self.owner.upgrade() {
                    owner.saw(&frame.security_origin);
                }
                if frame.id == self.target {
                    self.navigated(frame.loader_id);
                }
            }
            "Page.navigatedWithinDocument" => {
                let frame: OfFrame = serde_json::from_str(params)?;
                if frame.frame_id == self.target {
                    self.status.send_modify(|status| status.commits += 1);
                }
            }
            "Page.lifecycleEvent" => self.lifecycle(&serde_json::from_str(params)?),
            "Page.frameRequestedNavigation"
            | "Page.frameStartedLoading"
            | "Page.frameStartedNavigating" => {
                let frame: OfFrame = serde_json::from_str(params)?;
                if frame.frame_id == self.target {
                    self.status.send_modify(|status| status.requests += 1);
                }
            }
            "Page.frameStoppedLoading" => {
                let frame: OfFrame = serde_json::from_str(params)?;
                if frame.frame_id == self.target {
                    self.status.send_modify(|status| status.stops += 1);
                }
            }
            "Page.javascriptDialogOpening" => self.dialog(serde_json::from_str(params)?),
            // Only pages of our own making have their requests held.
            "Fetch.requestPaused" => {
                let request: Paused = serde_json::from_str(params)?;
                self.tell(&storage::empty_document(&request.request_id));
            }
            "Inspector.targetCrashed" => {
                self.status
                    .send_modify(|status| status.end = status.end.or(Some(End::Crashed)));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Listener for Tab {
    fn event(&self, method: &str, params: &RawValue) {
        if let Err(error) = self.read(method, params.get()) {
            tracing::warn!(method, %error, "an event of a page cannot be read");
        }
    }
}

impl Status {
    /// Whether this document is here, or was.
    pub(super) fn has_seen(&self, loader: &str) -> bool {
        self.loader == loader || self.past.iter().any(|past| past == loader)
    }

    /// Whether the page is as far as that.
    pub(super) const fn reached(&self, wait: super::WaitUntil) -> bool {
        match wait {
            super::WaitUntil::DomContentLoaded => self.dom,
            super::WaitUntil::Load => self.load,
            super::WaitUntil::NetworkIdle => self.load && self.idle,
        }
    }
}

#[derive(Deserialize)]
struct Navigated {
    frame: Frame,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    id: String,
    loader_id: String,
    #[serde(default)]
    security_origin: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfFrame {
    frame_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paused {
    request_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    frame_id: String,
    loader_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DialogOpening {
    message: String,
    #[serde(rename = "type")]
    kind: String,
    default_prompt: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
