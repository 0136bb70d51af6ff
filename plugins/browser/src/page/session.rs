//! A worker's pages: a browser context of its own behind a proxy of its own, its tabs, and what happens around them.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chromiumoxide_cdp::cdp::{
    browser_protocol::{
        browser::{BrowserContextId, SetDownloadBehaviorBehavior, SetDownloadBehaviorParams},
        page,
        target::{
            AttachToBrowserTargetParams, CloseTargetParams, CreateBrowserContextParams,
            CreateTargetParams, DetachFromTargetParams, DisposeBrowserContextParams,
            GetTargetInfoParams, GetTargetsParams, SessionId, TargetId,
        },
    },
    js_protocol::runtime::ReleaseObjectGroupParams,
};
use sandbox_plugin_api::prelude::*;
use tokio::time::{Instant, timeout};

use super::{
    content::HELD,
    context::{Inner, Made},
    downloads::{self, Download, Ears, Piece},
    notes::Notes,
    storage,
    tab::Tab,
};
use crate::{
    chromium::{self, CallError, Chromium},
    config::{Config, SessionConfig, StorageState},
    failure::{Fault, Outcome},
    gate::{Dialer, Gate},
};

/// A browser that has not answered so simple a thing after this time does not answer at all.
const AT_ONCE: Duration = Duration::from_secs(30);

/// A worker's part of the browser.
pub struct Session {
    pub(super) browser: Arc<Chromium>,
    pub(super) inner: Arc<Inner>,
    pub(super) gate: Gate,
    /// How many tools are at work.
    calls: AtomicUsize,
}

/// A tool at work. When the last one ends, the browser may forget what they held.
pub(crate) struct AtWork<'a>(&'a Session);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            for tab in &self.0.inner.tabs().list {
                tab.tell(&ReleaseObjectGroupParams::new(HELD));
            }
        }
    }
}

/// A tab, as tools show it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TabInfo {
    /// Its number.
    tab: u32,
    url: String,
    title: String,
    /// Whether the tools work in it.
    active: bool,
}

impl Session {
    /// Makes a context with one empty page.
    pub(crate) async fn open(
        browser: Arc<Chromium>,
        config: &Config,
        wishes: SessionConfig,
        dialer: Dialer,
    ) -> Outcome<Self> {
        let gate = Gate::open(dialer, Arc::clone(&browser.peer)).await;
        let gate = gate.map_err(|error| Fault::Io("open a proxy for the session", error))?;
        let number = browser.sessions.fetch_add(1, Ordering::Relaxed);
        let folder = chromium::below(
            &browser.profile,
            &format!("downloads-{number}"),
            browser.user,
        );
        let folder = folder.map_err(|error| Fault::Io("make a folder for downloads", error))?;
        let ears = at_once(browser.pipe.call("", &AttachToBrowserTargetParams {})).await?;
        // Last, so that nothing can fail between it and the session that disposes of it.
        let params = CreateBrowserContextParams {
            proxy_server: Some(gate.url()),
            proxy_bypass_list: Some("<-loopback>".to_owned()),
            ..Default::default()
        };
        let context = at_once(browser.pipe.call("", &params))
            .await?
            .browser_context_id
            .inner()
            .clone();
        let made = Made {
            context,
            ears: ears.session_id.inner().clone(),
            folder,
        };
        let state = wishes.storage_state.clone();
        let inner = Inner::new(&browser, config, wishes, made);
        let session = Self {
            browser,
            inner,
            gate,
            calls: AtomicUsize::new(0),
        };
        session.begin(state).await?;
        Ok(session)
    }

    async fn begin(&self, state: Option<StorageState>) -> Outcome<()> {
        let inner = &self.inner;
        let weak: Weak<Inner> = Arc::downgrade(inner);
        self.browser.hub.add(&inner.context, weak);
        inner
            .pipe
            .listen(&inner.ears, Arc::new(Ears(Arc::downgrade(inner))));
        let folder = inner.downloads().folder().display().to_string();
        let downloads = SetDownloadBehaviorParams {
            behavior: SetDownloadBehaviorBehavior::AllowAndName,
            browser_context_id: Some(self.context()),
            download_path: Some(folder),
            events_enabled: Some(true),
        };
        at_once(inner.pipe.call(&inner.ears, &downloads)).await?;
        if let Some(state) = state {
            storage::restore(self, &state, Instant::now() + AT_ONCE).await?;
        }
        self.open_tab().await.map(|_| ())
    }

    pub(super) fn context(&self) -> BrowserContextId {
        BrowserContextId::new(self.inner.context.clone())
    }

    /// Ends it: its pages, cookies, connections and files.
    pub(crate) async fn close(&self) -> Outcome<()> {
        let inner = &self.inner;
        let folder: PathBuf = inner.downloads().folder().to_owned();
        let gone = at_once(
            inner
                .pipe
                .call("", &DisposeBrowserContextParams::new(self.context())),
        )
        .await;
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        match gone {
            // Then nothing is left of it either.
            Ok(_) | Err(Fault::Died) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// The tab that tools work in. A page that crashed between two calls is told once, and replaced.
    pub(crate) async fn active(&self) -> Outcome<Arc<Tab>> {
        if !self.browser.is_alive() {
            return Err(Fault::Died);
        }
        let found = self.inner.tabs().active();
        let Some(tab) = found else {
            return self.open_tab().await;
        };
        if !tab.has_crashed() {
            return Ok(tab);
        }
        let fresh = self.replace(&tab).await?;
        if tab.tell_crash() {
            Err(Fault::Crashed)
        } else {
            Ok(fresh)
        }
    }

    /// After a fault: what has to be put right before the next call.
    pub(crate) async fn recover(&self, fault: &Fault) {
        if !matches!(fault, Fault::Crashed) {
            return;
        }
        let crashed = self.inner.tabs().active().filter(|tab| tab.has_crashed());
        if let Some(tab) = crashed {
            tab.tell_crash();
            if let Err(error) = self.replace(&tab).await {
                tracing::warn!(%error, "a crashed page could not be replaced");
            }
        }
    }

    async fn replace(&self, tab: &Tab) -> Outcome<Arc<Tab>> {
        self.inner.forget(&tab.session);
        self.inner.pipe.tell(
            "",
            &CloseTargetParams::new(TargetId::new(tab.target.clone())),
        );
        self.open_tab().await
    }

    /// A new, empty tab, which becomes the active one.
    pub(crate) async fn open_tab(&self) -> Outcome<Arc<Tab>> {
        self.inner.room()?;
        let tab = self.make().await?;
        self.inner.tabs().active = tab.number;
        Ok(tab)
    }

    /// A page that no tool sees.
    pub(super) async fn hidden_tab(&self) -> Outcome<Arc<Tab>> {
        let tab = self.make().await?;
        self.inner.tabs().hide(&tab);
        Ok(tab)
    }

    async fn make(&self) -> Outcome<Arc<Tab>> {
        let params = CreateTargetParams {
            browser_context_id: Some(self.context()),
            ..CreateTargetParams::new("about:blank")
        };
        let target = at_once(self.inner.pipe.call("", &params))
            .await?
            .target_id
            .inner()
            .clone();
        // The browser tells of a page before it says that it made it.
        let tab = self.inner.tabs().by_target(&target);
        let tab = tab.ok_or_else(|| Fault::failed("the browser made a page and did not say so"))?;
        let deadline = Instant::now() + AT_ONCE;
        tab.until(deadline, |status| status.load).await?;
        Ok(tab)
    }

    /// Closes a page.
    pub(super) async fn close_tab(&self, tab: &Tab) -> Outcome<()> {
        at_once(self.inner.pipe.call(
            "",
            &CloseTargetParams::new(TargetId::new(tab.target.clone())),
        ))
        .await?;
        self.inner.forget(&tab.session);
        Ok(())
    }

    /// A tool begins.
    pub(crate) fn at_work(&self) -> AtWork<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        AtWork(self)
    }

    /// Whether there is a browser to ask.
    pub(crate) fn alive(&self) -> Outcome<()> {
        if self.browser.is_alive() {
            Ok(())
        } else {
            Err(Fault::Died)
        }
    }

    /// Address and title of the active page. Asked of the browser and not of the page, which a script may keep busy.
    pub(crate) async fn place(&self, deadline: Instant) -> Outcome<(String, String)> {
        let described = || async {
            let tab = self.active().await?;
            let params = GetTargetInfoParams {
                target_id: Some(TargetId::new(tab.target.clone())),
            };
            let info = tab.call(&params, deadline).await?.target_info;
            Ok((info.url, info.title))
        };
        match described().await {
            // It closed itself while it was asked: another is active now.
            Err(Fault::TabClosed) => described().await,
            other => other,
        }
    }

    /// The address of the active page.
    pub(crate) async fn url(&self, deadline: Instant) -> Outcome<String> {
        Ok(self.place(deadline).await?.0)
    }

    /// All tabs.
    pub(crate) async fn tabs(&self) -> Outcome<Vec<TabInfo>> {
        let targets = at_once(self.inner.pipe.call("", &GetTargetsParams::default()))
            .await?
            .target_infos;
        let tabs = self.inner.tabs();
        let show = |tab: &Arc<Tab>| {
            let target = targets
                .iter()
                .find(|target| *target.target_id.inner() == tab.target)?;
            Some(TabInfo {
                tab: tab.number,
                url: target.url.clone(),
                title: target.title.clone(),
                active: tab.number == tabs.active,
            })
        };
        Ok(tabs.list.iter().filter_map(show).collect())
    }

    /// Makes this tab the one that tools work in.
    pub(crate) async fn switch(&self, number: u32) -> Outcome<()> {
        let tab = self.inner.tabs().numbered(number)?;
        tab.call(&page::BringToFrontParams {}, Instant::now() + AT_ONCE)
            .await?;
        self.inner.tabs().active = number;
        Ok(())
    }

    /// Closes this tab, or the active one.
    pub(crate) async fn shut(&self, number: Option<u32>) -> Outcome<()> {
        let tab = match number {
            Some(number) => self.inner.tabs().numbered(number)?,
            None => self.active().await?,
        };
        self.close_tab(&tab).await?;
        // There is always a tab to work in.
        self.active().await.map(|_| ())
    }

    /// What happened since the last answer.
    pub(crate) fn notes(&self) -> Notes {
        let mut notes = std::mem::take(&mut *self.inner.notes());
        notes.downloads = self.inner.downloads().news();
        notes.blocked = self
            .gate
            .take_troubles()
            .iter()
            .map(|trouble| trouble.error.to_string())
            .collect();
        notes
    }

    pub(crate) fn downloads(&self) -> Vec<Download> {
        self.inner.downloads().list()
    }

    /// The newest download from this address; waits a moment for it.
    pub(super) async fn download_from(&self, url: &str) -> Option<Download> {
        let found = async {
            loop {
                let changed = self.inner.changed.notified();
                let list = self.inner.downloads().list();
                if let Some(download) = list
                    .into_iter()
                    .rev()
                    .find(|download| download.is_from(url))
                {
                    return download;
                }
                changed.await;
            }
        };
        timeout(Duration::from_secs(2), found).await.ok()
    }

    /// Waits until no download is under way.
    pub(crate) async fn downloads_done(&self, deadline: Instant) -> bool {
        let done = async {
            loop {
                let changed = self.inner.changed.notified();
                let list = self.inner.downloads().list();
                if list
                    .iter()
                    .all(|download| download.state != downloads::State::InProgress)
                {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout_at(deadline, done).await.is_ok()
    }

    /// The origins that the session's pages were of.
    pub(super) fn origins(&self) -> BTreeSet<String> {
        self.inner.origins()
    }

    /// There is something stored for this origin.
    pub(super) fn saw(&self, origin: &str) {
        self.inner.saw(origin);
    }

    /// A part of a downloaded file.
    pub(crate) async fn read_download(&self, id: &str, offset: u64, most: usize) -> Outcome<Piece> {
        let (download, file) = self.inner.downloads().file(id)?;
        let reading =
            tokio::task::spawn_blocking(move || downloads::read(&download, &file, offset, most));
        let read = reading
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)));
        read.map_err(|error| Fault::Io("read the download", error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A session that failed to begin is never closed; one that was closed does not mind.
        let context = DisposeBrowserContextParams::new(self.context());
        self.inner.pipe.tell("", &context);
        self.inner.pipe.unlisten(&self.inner.ears);
        let ears = DetachFromTargetParams {
            session_id: Some(SessionId::new(self.inner.ears.clone())),
        };
        self.inner.pipe.tell("", &ears);
        self.browser.hub.remove(&self.inner.context);
        self.inner.end();
    }
}

/// A call to the browser itself, which answers at once or never.
pub(super) async fn at_once<T>(call: impl Future<Output = Result<T, CallError>>) -> Outcome<T> {
    match timeout(AT_ONCE, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Fault::timed_out("the browser does not answer")),
    }
}
