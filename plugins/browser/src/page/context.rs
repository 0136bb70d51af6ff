//! What the browser's events reach of a session: its tabs, its downloads, and the notes for the next answer. Called on the
//! task that reads the browser's messages, so nothing here waits; `session` is what tools do with it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chromiumoxide_cdp::cdp::{
    browser_protocol::{
        browser::{BrowserContextId, CancelDownloadParams},
        dom, emulation, inspector, page,
        target::{CloseTargetParams, TargetId},
    },
    js_protocol::runtime::RunIfWaitingForDebuggerParams,
};
use tokio::{sync::Notify, time::timeout};

use super::{downloads::Downloads, notes::Notes, storage, tab::Tab};
use crate::{
    chromium::{Chromium, Context, Opened, Pipe},
    config::{Config, DialogAnswer, SessionConfig},
    failure::{Fault, Outcome},
};

/// What events reach.
pub(super) struct Inner {
    /// For the pages, which answer dialogs as the session says.
    me: Weak<Inner>,
    pub(super) pipe: Pipe,
    /// The browser context's name.
    pub(super) context: String,
    /// The session of the protocol in which downloads are told.
    pub(super) ears: String,
    look: Look,
    pub(super) dialogs: DialogAnswer,
    tabs: Mutex<Tabs>,
    notes: Mutex<Notes>,
    downloads: Mutex<Downloads>,
    /// The origins that pages were of, for what they may have stored.
    origins: Mutex<BTreeSet<String>>,
    pub(super) max_download_bytes: u64,
    limits: Limits,
    pub(super) changed: Notify,
}

struct Limits {
    tabs: usize,
    pages: usize,
    /// The pages of all sessions.
    all: Arc<AtomicUsize>,
}

/// How the session's pages look to their servers.
struct Look {
    size: [u32; 2],
    user_agent: Option<String>,
    locale: Option<String>,
}

/// The session's pages.
#[derive(Default)]
pub(super) struct Tabs {
    pub(super) list: Vec<Arc<Tab>>,
    pub(super) active: u32,
    last: u32,
    /// Pages of our own making that no tool sees.
    pub(super) hidden: Vec<Arc<Tab>>,
}

/// What the browser has made for a session.
pub(super) struct Made {
    /// The context's name.
    pub(super) context: String,
    /// The session of the protocol in which downloads are told.
    pub(super) ears: String,
    /// Where downloads go.
    pub(super) folder: std::path::PathBuf,
}

impl Inner {
    pub(super) fn new(
        browser: &Chromium,
        config: &Config,
        wishes: SessionConfig,
        made: Made,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            pipe: browser.pipe.clone(),
            context: made.context,
            ears: made.ears,
            look: Look {
                size: wishes.viewport.unwrap_or(config.default_viewport).size(),
                user_agent: wishes.user_agent.or_else(|| config.user_agent.clone()),
                locale: wishes.locale,
            },
            dialogs: wishes.dialogs.unwrap_or_default(),
            tabs: Mutex::default(),
            notes: Mutex::default(),
            downloads: Mutex::new(Downloads::new(made.folder)),
            origins: Mutex::default(),
            max_download_bytes: config.max_download_bytes,
            limits: Limits {
                tabs: config.max_tabs,
                pages: config.max_pages,
                all: Arc::clone(&browser.pages),
            },
            changed: Notify::new(),
        })
    }

    pub(super) fn tabs(&self) -> MutexGuard<'_, Tabs> {
        lock(&self.tabs)
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.notes)
    }

    pub(super) fn downloads(&self) -> MutexGuard<'_, Downloads> {
        lock(&self.downloads)
    }

    /// The origins that pages were of.
    pub(super) fn origins(&self) -> BTreeSet<String> {
        lock(&self.origins).clone()
    }

    /// The session is over: its pages are gone.
    pub(super) fn end(&self) {
        let tabs = std::mem::take(&mut *self.tabs());
        for tab in tabs.list.iter().chain(&tabs.hidden) {
            tab.close();
            self.limits.all.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A page was of this origin.
    pub(super) fn saw(&self, origin: &str) {
        let mut origins = lock(&self.origins);
        if origin.starts_with("http")
            && origins.len() < storage::MAX_ORIGINS
            && !origins.contains(origin)
        {
            origins.insert(origin.to_owned());
        }
    }

    /// Something about downloads has changed.
    pub(super) fn stirred(&self) {
        self.changed.notify_waiters();
    }

    /// Waits a moment for a download to begin or to go on.
    pub(super) async fn stirs(&self) {
        let _ = timeout(Duration::from_millis(150), self.changed.notified()).await;
    }

    pub(super) fn break_off(&self, guid: &str) {
        let params = CancelDownloadParams {
            guid: guid.to_owned(),
            browser_context_id: Some(BrowserContextId::new(self.context.clone())),
        };
        self.pipe.tell("", &params);
    }

    /// Whether there may be one more tab.
    pub(super) fn room(&self) -> Outcome<()> {
        let (tabs, most) = (self.tabs().list.len(), self.limits.tabs);
        if tabs >= most {
            return Err(Fault::TooMany(format!(
                "the session has {tabs} tabs, as many as it may: close one"
            )));
        }
        let (pages, most) = (self.limits.all.load(Ordering::Relaxed), self.limits.pages);
        if pages >= most {
            return Err(Fault::TooMany(format!(
                "the browser has {pages} pages, as many as it may (max_pages): try again when a session has ended"
            )));
        }
        Ok(())
    }

    pub(super) fn forget(&self, session: &str) {
        let mut tabs = self.tabs();
        if let Some(tab) = tabs.remove(session) {
            tab.close();
            self.limits.all.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What every page is told before it may begin.
    fn set_up(&self, tab: &Tab) {
        tab.tell(&page::EnableParams::default());
        tab.tell(&page::SetLifecycleEventsEnabledParams::new(true));
        tab.tell(&inspector::EnableParams {});
        tab.tell(&dom::EnableParams::default());
        let [width, height] = self.look.size;
        tab.tell(&emulation::SetDeviceMetricsOverrideParams::new(
            i64::from(width),
            i64::from(height),
            1.0,
            false,
        ));
        tab.tell(&emulation::SetFocusEmulationEnabledParams::new(true));
        if self.look.user_agent.is_some() || self.look.locale.is_some() {
            // An empty name leaves the browser's own.
            let name = self.look.user_agent.clone().unwrap_or_default();
            tab.tell(&emulation::SetUserAgentOverrideParams {
                accept_language: self.look.locale.clone(),
                ..emulation::SetUserAgentOverrideParams::new(name)
            });
        }
        if let Some(locale) = &self.look.locale {
            tab.tell(&emulation::SetLocaleOverrideParams {
                locale: Some(locale.replace('-', "_")),
            });
        }
        tab.tell(&RunIfWaitingForDebuggerParams::default());
    }
}

impl Context for Inner {
    fn opened(&self, page: Opened) {
        let popup = page.opener.is_some();
        if popup && self.room().is_err() {
            self.notes().refused_tab();
            // The page that opened it waits for it.
            self.pipe
                .tell(&page.session, &RunIfWaitingForDebuggerParams::default());
            self.pipe
                .tell("", &CloseTargetParams::new(TargetId::new(page.target)));
            return;
        }
        let tab = {
            let mut tabs = self.tabs();
            tabs.last += 1;
            let tab = Arc::new(Tab::new(
                tabs.last,
                page.target,
                page.session,
                self.pipe.clone(),
                self.me.clone(),
            ));
            tabs.list.push(Arc::clone(&tab));
            tab
        };
        self.limits.all.fetch_add(1, Ordering::Relaxed);
        self.pipe.listen(&tab.session, Arc::clone(&tab) as _);
        self.set_up(&tab);
        if popup {
            self.notes().opened(tab.number);
        }
    }

    fn closed(&self, session: &str) {
        self.forget(session);
    }
}

impl Tabs {
    /// The tab to work in: the chosen one, or else the newest.
    pub(super) fn active(&mut self) -> Option<Arc<Tab>> {
        let chosen = self
            .list
            .iter()
            .find(|tab| tab.number == self.active)
            .or_else(|| self.list.last())
            .cloned()?;
        self.active = chosen.number;
        Some(chosen)
    }

    pub(super) fn by_target(&self, target: &str) -> Option<Arc<Tab>> {
        self.list
            .iter()
            .chain(&self.hidden)
            .find(|tab| tab.target == target)
            .cloned()
    }

    pub(super) fn numbered(&self, number: u32) -> Outcome<Arc<Tab>> {
        let found = self.list.iter().find(|tab| tab.number == number).cloned();
        found.ok_or_else(|| {
            let known: Vec<String> = self.list.iter().map(|tab| tab.number.to_string()).collect();
            Fault::param(
                "/tab",
                format!("there is no tab {number}; there are {}", known.join(", ")),
            )
        })
    }

    pub(super) fn hide(&mut self, tab: &Arc<Tab>) {
        self.list.retain(|listed| !Arc::ptr_eq(listed, tab));
        self.hidden.push(Arc::clone(tab));
    }

    fn remove(&mut self, session: &str) -> Option<Arc<Tab>> {
        for list in [&mut self.list, &mut self.hidden] {
            if let Some(place) = list.iter().position(|tab| tab.session == session) {
                return Some(list.remove(place));
            }
        }
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
