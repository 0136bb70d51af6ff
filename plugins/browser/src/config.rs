//! What `resources.browser.config` and a session's configuration may hold, and their limits.

use std::path::PathBuf;

use sandbox_plugin_api::prelude::*;

use crate::gate::{Dialer, Rules, Upstream};

/// The configuration of the backend.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-former" = crate::former::former()))]
pub struct Config {
    /// The browser's program. Without it, Debian's: `chromium-headless-shell`, or `chromium` when `headless` is false.
    pub executable: Option<PathBuf>,
    /// Run without a display. `false` needs the package `chromium` and `DISPLAY` in the server's environment.
    pub headless: bool,
    /// The size of pages when the session does not say: `[width, height]` or `{"width": …, "height": …}`.
    pub default_viewport: Viewport,
    /// The largest viewport that a session may ask for.
    pub max_viewport: Viewport,
    /// What the browser calls itself when the session does not say; its own name when left out.
    pub user_agent: Option<String>,
    /// Milliseconds that a page has to load when the call does not say.
    pub timeout: u64,
    /// The most milliseconds that a call may ask for.
    pub max_timeout: u64,
    /// Milliseconds that an element has to appear and become usable when it is clicked, typed into and so on.
    pub action_timeout: u64,
    /// The most pages of all sessions together.
    pub max_pages: usize,
    /// The most tabs of one session.
    pub max_tabs: usize,
    /// The proxy that leads outside: `http://user:password@host:port`. It must let CONNECT pass.
    pub proxy: Option<String>,
    /// What pages may reach: names, `*.example.com`, addresses, networks, some with `:port`; `*` is every public host.
    /// Private and loopback addresses are reached only when their address, their network or `localhost` stands here.
    pub allowed_hosts: Vec<String>,
    /// What pages may not reach, in the same forms; it counts before `allowed_hosts`.
    pub blocked_hosts: Vec<String>,
    /// When a fresh browser takes over: after so many sessions, or when it uses so much memory. The old one goes when
    /// its last session does.
    pub recycle_after: Option<Recycle>,
    /// Chromium's own sandbox. `on`: with it or not at all; `best_effort`: without it where the machine cannot; `off`.
    pub sandbox: SandboxMode,
    /// The user id that the browser runs as when the server is root; 0 is root, and then there is no sandbox.
    pub run_as: u32,
    /// The longest text (page text, Markdown, HTML, snapshot) in an answer, in bytes.
    pub max_text_bytes: usize,
    /// The largest result of `browser:evaluate`, in bytes of JSON.
    pub max_result_bytes: usize,
    /// The longest text that one `browser:type` takes, in bytes.
    pub max_type_bytes: usize,
    /// The tallest picture of a whole page, in pixels; at most 16384.
    pub max_screenshot_height: u32,
    /// The most bytes that a session may download.
    pub max_download_bytes: u64,
    /// The most bytes of a download that one answer holds.
    pub max_read_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            executable: None,
            headless: true,
            default_viewport: Viewport::Pair([1280, 720]),
            max_viewport: Viewport::Pair([3840, 2160]),
            user_agent: None,
            timeout: 30_000,
            max_timeout: 300_000,
            action_timeout: 5_000,
            max_pages: 200,
            max_tabs: 16,
            proxy: None,
            allowed_hosts: vec!["*".to_owned()],
            blocked_hosts: Vec::new(),
            recycle_after: None,
            sandbox: SandboxMode::BestEffort,
            // The user `nobody` of every Linux.
            run_as: 65_534,
            max_text_bytes: 262_144,
            max_result_bytes: 1_048_576,
            max_type_bytes: 65_536,
            max_screenshot_height: 16_384,
            max_download_bytes: 104_857_600,
            max_read_bytes: 1_048_576,
        }
    }
}

/// The size of a page's window, in pixels.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Viewport {
    /// `[width, height]`
    Pair([u32; 2]),
    /// `{"width": …, "height": …}`
    Named {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
    },
}

impl Viewport {
    /// Width and height.
    pub(crate) const fn size(self) -> [u32; 2] {
        match self {
            Self::Pair(size) => size,
            Self::Named { width, height } => [width, height],
        }
    }

    fn fits(self, most: Self) -> bool {
        let ([width, height], [most_width, most_height]) = (self.size(), most.size());
        (1..=most_width).contains(&width) && (1..=most_height).contains(&height)
    }
}

/// Whether Chromium's own sandbox is on.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SandboxMode {
    /// It must work.
    On,
    /// It is used where it works.
    BestEffort,
    /// It is not used.
    Off,
}

/// When a fresh browser takes over.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Recycle {
    /// After so many sessions.
    Contexts(u64),
    /// After what comes first.
    Either {
        /// After so many sessions.
        contexts: Option<u64>,
        /// When the browser's processes use so many MiB.
        mib: Option<u64>,
    },
}

impl Recycle {
    pub(crate) const fn contexts(self) -> Option<u64> {
        match self {
            Self::Contexts(contexts) => Some(contexts),
            Self::Either { contexts, .. } => contexts,
        }
    }

    pub(crate) const fn mib(self) -> Option<u64> {
        match self {
            Self::Contexts(_) => None,
            Self::Either { mib, .. } => mib,
        }
    }
}

/// What a session may be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Whether the browser has no display. All sessions share one browser, so only what the server runs is possible.
    pub headless: Option<bool>,
    /// The size of the session's pages: `[width, height]` or `{"width": …, "height": …}`.
    pub viewport: Option<Viewport>,
    /// What the browser calls itself.
    pub user_agent: Option<String>,
    /// The language that pages see: `en-GB`, `de`, `zh-CN`.
    pub locale: Option<String>,
    /// Cookies and local storage to begin with, as `browser:save_state` gives them.
    pub storage_state: Option<StorageState>,
    /// What dialogs of pages are answered: `accept` (the default) or `dismiss`. `alert` knows only one answer.
    pub dialogs: Option<DialogAnswer>,
}

/// How dialogs are answered.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum DialogAnswer {
    /// OK, with a prompt's own suggestion.
    #[default]
    Accept,
    /// Cancel.
    Dismiss,
}

/// Cookies and local storage, in the form that Playwright has.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct StorageState {
    /// The cookies of all sites.
    #[serde(default)]
    pub cookies: Vec<Cookie>,
    /// The local storage of each origin.
    #[serde(default)]
    pub origins: Vec<Origin>,
}

/// A cookie.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The host it belongs to; with a leading dot, all below it too.
    pub domain: String,
    /// The path below which it is sent.
    #[serde(default = "root")]
    pub path: String,
    /// When it ends, in seconds since 1970; -1 with the session.
    #[serde(default = "never")]
    pub expires: f64,
    /// Whether scripts cannot see it.
    #[serde(default)]
    pub http_only: bool,
    /// Whether it is sent only encrypted.
    #[serde(default)]
    pub secure: bool,
    /// `Strict`, `Lax` or `None`.
    #[serde(default)]
    pub same_site: Option<String>,
}

fn root() -> String {
    "/".to_owned()
}

const fn never() -> f64 {
    -1.0
}

/// The local storage of an origin.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// `https://example.com`
    pub origin: String,
    /// What is stored.
    #[serde(default)]
    pub local_storage: Vec<Entry>,
}

/// Something stored.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Entry {
    /// Its key.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Config {
    /// Everything that is wrong with it, in one error.
    pub(crate) fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut expect = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        if let Err(error) = self.rules() {
            expect(false, error);
        }
        expect(
            self.proxy.is_none() || self.upstream().is_some(),
            "proxy: expected http://host:port, or http://user:password@host:port".to_owned(),
        );
        let largest = Viewport::Pair([16_384, 16_384]);
        expect(
            self.max_viewport.fits(largest),
            "max_viewport: expected 1 to 16384 pixels each way".to_owned(),
        );
        expect(
            self.default_viewport.fits(self.max_viewport),
            "default_viewport: expected at least 1 pixel and at most max_viewport".to_owned(),
        );
        expect(
            self.user_agent.as_deref().is_none_or(is_user_agent),
            format!("user_agent: {USER_AGENT}"),
        );
        let times = [
            ("timeout", self.timeout),
            ("action_timeout", self.action_timeout),
        ];
        for (key, value) in times {
            let most = self.max_timeout;
            expect(
                (1..=most).contains(&value),
                format!("{key}: expected 1 to {most} milliseconds (max_timeout), found {value}"),
            );
        }
        for (key, value) in [
            ("max_pages", self.max_pages),
            ("max_tabs", self.max_tabs),
            ("max_text_bytes", self.max_text_bytes),
            ("max_result_bytes", self.max_result_bytes),
            ("max_type_bytes", self.max_type_bytes),
            ("max_read_bytes", self.max_read_bytes),
        ] {
            expect(value > 0, format!("{key}: expected at least 1, found 0"));
        }
        expect(
            (1..=16_384).contains(&self.max_screenshot_height),
            format!(
                "max_screenshot_height: expected 1 to 16384, found {}",
                self.max_screenshot_height
            ),
        );
        if let Some(recycle) = self.recycle_after {
            let limits = [recycle.contexts(), recycle.mib()];
            expect(
                limits.iter().any(Option::is_some) && !limits.contains(&Some(0)),
                "recycle_after: expected a number of sessions, or {\"contexts\": …, \"mib\": …}, above 0".to_owned(),
            );
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::config(faults.join("; ")))
    }

    fn rules(&self) -> Result<Rules, String> {
        for (key, hosts) in [
            ("allowed_hosts", &self.allowed_hosts),
            ("blocked_hosts", &self.blocked_hosts),
        ] {
            Rules::new(hosts, &[]).map_err(|error| format!("{key}: {error}"))?;
        }
        Rules::new(&self.allowed_hosts, &self.blocked_hosts).map_err(|error| error.to_string())
    }

    fn upstream(&self) -> Option<Upstream> {
        Upstream::parse(self.proxy.as_deref()?)
    }

    /// What makes the pages' connections.
    pub(crate) fn dialer(&self) -> Result<Dialer> {
        Ok(Dialer::new(
            self.rules().map_err(Error::config)?,
            self.upstream(),
        ))
    }
}

/// What [`is_user_agent`] lets through.
const USER_AGENT: &str = "expected 1 to 1024 bytes of printable text";

/// It goes into a header of every request.
fn is_user_agent(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1024 && !text.contains(char::is_control)
}

impl SessionConfig {
    /// Whether the session can be had.
    pub(crate) fn check(&self, config: &Config) -> Result<()> {
        let headless = self.headless.unwrap_or(config.headless);
        if headless != config.headless {
            let has = if config.headless { "without" } else { "with" };
            return Err(Error::param(
                "/headless",
                format!("the server runs one browser for all, {has} a display"),
            ));
        }
        if let Some(viewport) = self.viewport
            && !viewport.fits(config.max_viewport)
        {
            let ([width, height], [most_width, most_height]) =
                (viewport.size(), config.max_viewport.size());
            return Err(Error::param(
                "/viewport",
                format!(
                    "expected 1×1 to {most_width}×{most_height} pixels, found {width}×{height}"
                ),
            ));
        }
        if !self.user_agent.as_deref().is_none_or(is_user_agent) {
            return Err(Error::param("/user_agent", USER_AGENT));
        }
        let is_locale = |text: &String| {
            let mut parts = text.split(['-', '_']);
            let language = parts.next().is_some_and(|part| matches!(part.len(), 2 | 3));
            language
                && text.len() <= 35
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        match &self.locale {
            Some(text) if !is_locale(text) => Err(Error::param(
                "/locale",
                format!("expected a language such as en-GB, found {text:?}"),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: Value) -> String {
        let config: Config = serde_json::from_value(config).unwrap();
        config
            .check()
            .map_or_else(|error| error.message().to_owned(), |()| String::new())
    }

    #[test]
    fn all_faults_come_at_once() {
        assert_eq!(check(json!({})), "");
        let message = check(json!({
            "timeout": 0, "max_tabs": 0, "user_agent": "", "proxy": "socks5://x", "allowed_hosts": ["http://x"], "recycle_after": {},
            "default_viewport": [5000, 10], "max_screenshot_height": 20_000,
        }));
        for key in [
            "timeout: ",
            "user_agent: ",
            "max_tabs: ",
            "proxy: ",
            "allowed_hosts: ",
            "recycle_after: ",
            "default_viewport: ",
            "max_screenshot_height: ",
        ] {
            assert!(message.contains(key), "{key} is missing in: {message}");
        }
    }

    #[test]
    fn sessions_have_limits() {
        let refused = |config: Value| {
            let session: SessionConfig = serde_json::from_value(config).unwrap();
            session
                .check(&Config::default())
                .unwrap_err()
                .message()
                .to_owned()
        };
        assert!(refused(json!({"viewport": [4000, 10]})).contains("3840×2160"));
        assert!(refused(json!({"viewport": {"width": 0, "height": 10}})).contains("/viewport"));
        assert!(refused(json!({"headless": false})).contains("without a display"));
        assert!(refused(json!({"locale": "english please"})).contains("en-GB"));
        assert!(refused(json!({"user_agent": "a\r\nb"})).contains("/user_agent"));
    }
}
