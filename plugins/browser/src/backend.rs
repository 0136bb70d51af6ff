//! The backend: the browser's life, the tools, and the limits of what callers may ask.
#![expect(clippy::too_many_arguments, reason = "each is a parameter of its tool")]

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use sandbox_plugin_api::prelude::*;
use tokio::time::Instant;

use crate::{
    answers::{
        Chosen, Clicked, DownloadList, Evaluated, Found, Noted, PageText, Pictured, Pressed,
        Snapped, TabList, Typed,
    },
    chromium::{Chromium, LaunchError, Life},
    config::{Config, SessionConfig, StorageState},
    failure::{Fault, Outcome},
    gate::Dialer,
    page::{
        self, Direction, Form, Format, Landed, Piece, Session, Typing, WaitFor, WaitUntil, Wanted,
    },
};

/// The part of a call's time that is kept for its answer, so that it reaches the caller before the host gives up.
const HANDOVER: f64 = 0.05;
/// A longer one helps nobody.
const LONGEST_HANDOVER: Duration = Duration::from_secs(1);
/// The longest pause between two characters, in milliseconds: people who type more slowly give up.
const MAX_DELAY: u64 = 1000;

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
    description = "A real browser: open pages, read them, click, type and see them, in a session with cookies of its own."
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

    /// Open an address in the active tab and wait until it has loaded. Begin here; then look with browser:snapshot. An
    /// address that is a file is downloaded.
    #[tool(
        alias = "navigate",
        title = "Open an address",
        example = r#"{"url": "about:blank"}"#
    )]
    async fn goto(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The whole address: `https://example.com/`
        url: String,
        /// How far the page must be: `load`, `domcontentloaded` (sooner), `networkidle` (later, for pages that fetch
        /// what they show).
        #[serde(default)]
        wait_until: WaitUntil,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Landed>> {
        let end = self.end(ctx, timeout)?;
        done(session, page::goto(session, &url, wait_until, end)).await
    }

    /// Take a picture of the window, of the whole page, or of one element. For finding things to click, browser:snapshot
    /// is better and smaller.
    #[tool(
        read_only,
        title = "Take a screenshot",
        example = "{}",
        example = r#"{"full_page": true, "format": "jpeg"}"#
    )]
    async fn screenshot(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The whole page and not only what the window shows.
        #[serde(default)]
        full_page: bool,
        /// Only the first element that this CSS selector finds.
        selector: Option<String>,
        /// Only the element that a snapshot named so: e12
        r#ref: Option<String>,
        /// `png` is exact, `jpeg` smaller.
        #[serde(default)]
        format: Format,
    ) -> Result<Reply> {
        let element = optional(selector, r#ref)?;
        let end = if element.is_some() {
            self.soon(ctx)
        } else {
            self.end(ctx, None)?
        };
        let most = self.config.max_screenshot_height;
        let mut picture = Vec::new();
        let noted = done(session, async {
            let tab = session.active().await?;
            let shot = page::shoot(&tab, full_page, element.as_ref(), format, most, end).await?;
            picture = shot.bytes;
            Ok(Pictured {
                size: shot.size,
                truncated: shot.truncated,
            })
        })
        .await?;
        let media_type = if format == Format::Png {
            "image/png"
        } else {
            "image/jpeg"
        };
        Ok(Reply::new(noted)?.with_binary("image", media_type, picture))
    }

    /// Click an element, by its ref in browser:snapshot (best), by CSS selector, or a place of the window by x and y. Waits
    /// until the element is visible, enabled and not covered. A page that the click leads to is waited for.
    #[tool(title = "Click", example = r#"{"x": 10, "y": 10}"#)]
    async fn click(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        selector: Option<String>,
        /// An element of the last snapshot: e12
        r#ref: Option<String>,
        /// Pixels from the window's left side, as in a screenshot.
        x: Option<f64>,
        /// Pixels from the window's top.
        y: Option<f64>,
    ) -> Result<Noted<Clicked>> {
        let (soon, end) = (self.soon(ctx), self.end(ctx, None)?);
        let place = match (x, y) {
            (Some(x), Some(y)) => Some((x, y)),
            (None, None) => None,
            (Some(_), None) => return Err(Error::param("/y", "is missing beside x")),
            (None, Some(_)) => return Err(Error::param("/x", "is missing beside y")),
        };
        let clicked = match (place, &selector, &r#ref) {
            (Some((x, y)), None, None) => json!([x, y]),
            (Some(_), ..) => {
                return Err(Error::param(
                    "/x",
                    "expected x and y, a selector or a ref; found several",
                ));
            }
            (None, Some(selector), _) => json!(selector),
            (None, None, reference) => json!(reference),
        };
        let element = if place.is_some() {
            None
        } else {
            Some(Wanted::new(selector, r#ref)?)
        };
        done(session, async {
            let tab = session.active().await?;
            match (&element, place) {
                (Some(element), _) => page::click(&tab, element, soon, end).await?,
                (None, Some(place)) => page::click_at(&tab, place, end).await?,
                (None, None) => {}
            }
            Ok(Clicked {
                clicked,
                url: session.url(end).await?,
            })
        })
        .await
    }

    /// Type text into an input, by its ref in browser:snapshot or by CSS selector; it is added to what is there, unless
    /// `clear`. Any script and emoji work. `submit` presses Enter afterwards.
    #[tool(
        title = "Type text",
        example = r#"{"selector": "input", "text": "héron", "clear": true}"#
    )]
    async fn r#type(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        selector: Option<String>,
        /// An element of the last snapshot: e12
        r#ref: Option<String>,
        /// The text.
        text: String,
        /// Milliseconds between two characters, for pages that watch every key. 0 gives the whole text at once.
        #[serde(default)]
        delay: u64,
        /// Remove what is there first.
        #[serde(default)]
        clear: bool,
        /// Press Enter afterwards.
        #[serde(default)]
        submit: bool,
    ) -> Result<Noted<Typed>> {
        at_most("/text", text.len(), self.config.max_type_bytes, "bytes")?;
        if delay > MAX_DELAY {
            return Err(Error::param(
                "/delay",
                format!("expected at most {MAX_DELAY} milliseconds, found {delay}"),
            ));
        }
        let (soon, end) = (self.soon(ctx), self.end(ctx, None)?);
        let element = Wanted::new(selector, r#ref)?;
        let typing = Typing {
            text,
            delay: Duration::from_millis(delay),
            clear,
            submit,
        };
        done(session, async {
            let tab = session.active().await?;
            let value = page::type_text(&tab, &element, &typing, soon, end).await?;
            let value = page::Cut::new(value, self.config.max_text_bytes).text;
            Ok(Typed {
                typed: typing.text.clone(),
                value,
                url: session.url(end).await?,
            })
        })
        .await
    }

    /// Press a key or several at once in what has the focus: Enter, Escape, `ArrowDown`, `Control+A`, `Shift+Tab`.
    #[tool(title = "Press a key", example = r#"{"key": "Escape"}"#)]
    async fn press(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The key, with those that are held before it: `Control+Shift+ArrowRight`
        key: String,
    ) -> Result<Noted<Pressed>> {
        let end = self.end(ctx, None)?;
        done(session, async {
            let tab = session.active().await?;
            page::press(&tab, &key, end).await?;
            Ok(Pressed {
                url: session.url(end).await?,
                key,
            })
        })
        .await
    }

    /// Scroll the page by dx and dy pixels, or to an element. With an element and dx or dy, the element's own content.
    #[tool(title = "Scroll", example = r#"{"dy": 500}"#)]
    async fn scroll(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// Pixels to the right; negative is left.
        #[serde(default)]
        dx: f64,
        /// Pixels down; negative is up.
        #[serde(default)]
        dy: f64,
        /// A CSS selector; the first element that it finds.
        selector: Option<String>,
        /// An element of the last snapshot: e12
        r#ref: Option<String>,
    ) -> Result<Noted<page::Scrolled>> {
        let (element, soon) = (optional(selector, r#ref)?, self.soon(ctx));
        done(session, async {
            let tab = session.active().await?;
            page::scroll(&tab, element.as_ref(), (dx, dy), soon).await
        })
        .await
    }

    /// Choose in a drop-down list (`select`), by the option's value or label.
    #[tool(
        title = "Choose an option",
        example = r#"{"selector": "select", "value": "m"}"#
    )]
    async fn select_option(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        selector: Option<String>,
        /// An element of the last snapshot: e12
        r#ref: Option<String>,
        /// The option, or a list of them where several can be chosen.
        value: OneOrMany,
    ) -> Result<Noted<Chosen>> {
        let (soon, end) = (self.soon(ctx), self.end(ctx, None)?);
        let element = Wanted::new(selector, r#ref)?;
        let values = value.into_list();
        done(session, async {
            let tab = session.active().await?;
            let selected = page::select_option(&tab, &element, &values, soon, end).await?;
            Ok(Chosen { selected })
        })
        .await
    }

    /// Run JavaScript in the page and get its result as JSON: an expression, statements with `return`, or a function.
    /// Promises are waited for.
    #[tool(
        title = "Run JavaScript",
        example = r#"{"script": "document.title"}"#,
        example = r#"{"script": "return 1 + 1"}"#
    )]
    async fn evaluate(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The script.
        script: String,
        /// Milliseconds after which it is stopped.
        timeout: Option<u64>,
    ) -> Result<Noted<Evaluated>> {
        let end = self.end(ctx, timeout)?;
        done(session, async {
            let tab = session.active().await?;
            let result = page::evaluate(&tab, &script, self.config.max_result_bytes, end).await?;
            Ok(Evaluated { result })
        })
        .await
    }

    /// Read the text of the page, or of one element, as a person sees it.
    #[tool(read_only, title = "Read the text", example = "{}")]
    async fn get_text(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        #[serde(default = "body")]
        selector: String,
        /// `text`, `markdown` or `html`.
        #[serde(default)]
        format: Form,
    ) -> Result<Noted<PageText>> {
        self.read(session, ctx, selector, format).await
    }

    /// Read the page, or one element, as Markdown (for reading), text or HTML (for its structure).
    #[tool(
        alias = "extract",
        read_only,
        title = "Read the content",
        example = "{}",
        example = r#"{"format": "html"}"#
    )]
    async fn get_content(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        #[serde(default = "body")]
        selector: String,
        /// `markdown`, `text` or `html`.
        #[default(Form::Markdown)]
        format: Form,
    ) -> Result<Noted<PageText>> {
        self.read(session, ctx, selector, format).await
    }

    /// Look at the page: every heading, text, link, button and input, one a line, with a ref (e12) that click, type and
    /// the others take. This is the way to find out what can be done in a page. Take a new one after the page changed.
    #[tool(read_only, title = "Look at the page", example = "{}")]
    async fn snapshot(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// Leave out what only holds other elements together.
        #[default(true)]
        interesting_only: bool,
    ) -> Result<Noted<Snapped>> {
        let end = self.end(ctx, None)?;
        done(session, async {
            let tab = session.active().await?;
            let mut cut =
                page::snapshot(&tab, interesting_only, self.config.max_text_bytes, end).await?;
            let (url, title) = session.place(end).await?;
            Ok(Snapped {
                snapshot: std::mem::take(&mut cut.text),
                url,
                title,
                cut,
            })
        })
        .await
    }

    /// Wait until an element is there, or gone.
    #[tool(
        read_only,
        title = "Wait for an element",
        example = r#"{"selector": "body", "state": "attached"}"#
    )]
    async fn wait_for_selector(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector.
        selector: String,
        /// `visible`, `attached` (in the document), `hidden` or `detached`.
        #[serde(default)]
        state: WaitFor,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Found>> {
        let end = self.end(ctx, timeout)?;
        done(session, async {
            let tab = session.active().await?;
            page::wait_for(&tab, &selector, state, end).await?;
            Ok(Found { found: true })
        })
        .await
    }

    /// Go back to the page before.
    #[tool(title = "Go back", example = "{}")]
    async fn back(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// How far the page must be.
        #[serde(default)]
        wait_until: WaitUntil,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Landed>> {
        let end = self.end(ctx, timeout)?;
        done(
            session,
            page::travel(session, Direction::Back, wait_until, end),
        )
        .await
    }

    /// Go forward again.
    #[tool(title = "Go forward", example = "{}")]
    async fn forward(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// How far the page must be.
        #[serde(default)]
        wait_until: WaitUntil,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Landed>> {
        let end = self.end(ctx, timeout)?;
        done(
            session,
            page::travel(session, Direction::Forward, wait_until, end),
        )
        .await
    }

    /// Load the page again.
    #[tool(title = "Load again", example = "{}")]
    async fn reload(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// How far the page must be.
        #[serde(default)]
        wait_until: WaitUntil,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Landed>> {
        let end = self.end(ctx, timeout)?;
        done(session, page::reload(session, wait_until, end)).await
    }

    /// List the session's tabs, open an empty one, work in another, or close one. Pages that open windows get tabs too:
    /// answers say so in `opened_tabs`.
    #[tool(
        title = "Tabs",
        example = "{}",
        example = r#"{"action": "new"}"#,
        example = r#"{"action": "switch", "tab": 1}"#
    )]
    async fn tabs(
        &self,
        session: &Session,
        /// `list`, `new`, `switch` or `close`.
        #[serde(default)]
        action: TabAction,
        /// The tab's number; needed for switch, and for close if it is not the active one.
        tab: Option<u32>,
    ) -> Result<Noted<TabList>> {
        done(session, async {
            session.alive()?;
            match (action, tab) {
                (TabAction::List, _) => {}
                (TabAction::New, _) => session.open_tab().await.map(|_| ())?,
                (TabAction::Switch, Some(tab)) => session.switch(tab).await?,
                (TabAction::Switch, None) => {
                    return Err(Fault::param("/tab", "which tab? action list shows them"));
                }
                (TabAction::Close, tab) => session.shut(tab).await?,
            }
            Ok(TabList {
                tabs: session.tabs().await?,
            })
        })
        .await
    }

    /// Get the session's cookies and local storage, to give to another session as `storage_state` in its configuration.
    #[tool(read_only, title = "Save cookies and storage", example = "{}")]
    async fn save_state(
        &self,
        session: &Session,
        ctx: &CallContext,
    ) -> Result<Noted<StorageState>> {
        let end = self.end(ctx, None)?;
        done(session, async {
            session.alive()?;
            page::save(session, end).await
        })
        .await
    }

    /// List what the session's pages have downloaded. New downloads are also told in the answers of other tools.
    #[tool(read_only, title = "List downloads", example = "{}")]
    async fn downloads(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// Wait until none is under way, at most so many milliseconds.
        wait: Option<u64>,
    ) -> Result<Noted<DownloadList>> {
        let end = wait.map(|wait| self.end(ctx, Some(wait))).transpose()?;
        done(session, async {
            session.alive()?;
            if let Some(end) = end
                && !session.downloads_done(end).await
            {
                return Err(Fault::timed_out("a download is still under way: ask again"));
            }
            Ok(DownloadList {
                list: session.downloads(),
            })
        })
        .await
    }

    /// Read a downloaded file: text as `text`, anything else as `base64`.
    #[tool(read_only, title = "Read a download", example = r#"{"id": "d1"}"#)]
    async fn read_download(
        &self,
        session: &Session,
        /// Which one, as browser:downloads names it: d1
        id: String,
        /// The first byte.
        #[serde(default)]
        offset: u64,
        /// How many bytes at most.
        max_bytes: Option<usize>,
    ) -> Result<Noted<Piece>> {
        let most = max_bytes.unwrap_or(self.config.max_read_bytes);
        at_most("/max_bytes", most, self.config.max_read_bytes, "bytes")?;
        done(session, session.read_download(&id, offset, most.max(1))).await
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

    async fn read(
        &self,
        session: &Session,
        ctx: &CallContext,
        selector: String,
        form: Form,
    ) -> Result<Noted<PageText>> {
        let end = self.soon(ctx);
        let element = Wanted::new(Some(selector), None)?;
        done(session, async {
            let tab = session.active().await?;
            let mut cut = page::text(&tab, &element, form, self.config.max_text_bytes, end).await?;
            let text = Some(std::mem::take(&mut cut.text));
            let (text, html) = if form == Form::Html {
                (None, text)
            } else {
                (text, None)
            };
            Ok(PageText { text, html, cut })
        })
        .await
    }

    /// When a call must be done: after what it asked for, and before the host gives up.
    fn end(&self, ctx: &CallContext, asked: Option<u64>) -> Result<Instant> {
        let (milliseconds, most) = (
            asked.unwrap_or(self.config.timeout),
            self.config.max_timeout,
        );
        if !(1..=most).contains(&milliseconds) {
            let message = format!("expected 1 to {most} milliseconds, found {milliseconds}");
            return Err(Error::param("/timeout", message));
        }
        Ok(bounded(ctx, Duration::from_millis(milliseconds)))
    }

    /// When an element must have become usable.
    fn soon(&self, ctx: &CallContext) -> Instant {
        bounded(ctx, Duration::from_millis(self.config.action_timeout))
    }
}

fn bounded(ctx: &CallContext, time: Duration) -> Instant {
    let left = ctx
        .time_left()
        .map(|left| left.saturating_sub(left.mul_f64(HANDOVER).min(LONGEST_HANDOVER)));
    Instant::now() + left.map_or(time, |left| left.min(time))
}

/// Does it, puts right what a fault left, and adds what happened around it.
async fn done<T: Serialize>(
    session: &Session,
    deed: impl Future<Output = Outcome<T>>,
) -> Result<Noted<T>> {
    let _at_work = session.at_work();
    match deed.await {
        Ok(answer) => Ok(Noted {
            answer,
            notes: session.notes(),
        }),
        Err(fault) => {
            session.recover(&fault).await;
            // A wrong parameter says where it is wrong; what happened waits for the next answer.
            let tell = !matches!(fault, Fault::Param { .. } | Fault::Died);
            let notes = tell
                .then(|| session.notes())
                .filter(|notes| !notes.is_empty());
            let error = Error::from(fault);
            Err(match notes {
                Some(notes) => error.with_data(notes),
                None => error,
            })
        }
    }
}

fn explain(error: &LaunchError) -> Error {
    if let LaunchError::Io(cause) = error {
        tracing::error!(%cause, "the browser cannot be started");
    }
    Error::unavailable(error.to_string())
}

fn optional(selector: Option<String>, reference: Option<String>) -> Result<Option<Wanted>> {
    if selector.is_none() && reference.is_none() {
        return Ok(None);
    }
    Ok(Some(Wanted::new(selector, reference)?))
}

fn at_most(pointer: &str, found: usize, limit: usize, what: &str) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::param(
        pointer,
        format!("expected at most {limit} {what}, found {found}"),
    ))
}

fn body() -> String {
    "body".to_owned()
}

/// What to do with tabs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TabAction {
    /// Show them.
    #[default]
    List,
    /// Open an empty one and work in it.
    New,
    /// Work in another.
    Switch,
    /// Close one.
    Close,
}

/// One value, or a list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}
