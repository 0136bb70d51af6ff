//! Starting the browser's process: which program, with which arguments, as which user, with or without its sandbox.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::config::Config;

/// Where Debian puts the programs. Not `/usr/bin/chromium-headless-shell`: that is a script that stays the browser's
/// parent, and a kill of it leaves the browser behind.
const HEADLESS_SHELL: &str = "/usr/lib/chromium/chromium-headless-shell";
const CHROMIUM: &str = "/usr/lib/chromium/chromium";

/// The browser reads the protocol from descriptor 3 and writes it to 4. A shell hands its own input and output on as
/// these and becomes the browser, so that no code has to run between fork and exec here.
const HAND_OVER: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#;

/// What every start has.
const ARGUMENTS: &[&str] = &[
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-service-autorun",
    "--no-pings",
    "--hide-scrollbars",
    "--mute-audio",
    "--use-mock-keychain",
    "--password-store=basic",
    "--force-color-profile=srgb",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-back-forward-cache",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--disable-quic",
    "--disable-search-engine-choice-screen",
    "--disable-site-isolation-trials",
    "--disable-sync",
    "--metrics-recording-only",
    // A session is the unit of trust, and its frames in one process are one tree to read and to click in.
    "--disable-features=IsolateOrigins,site-per-process,IsolateSandboxedIframes,Translate,OptimizationHints,MediaRouter,\
     HttpsUpgrades,HttpsFirstBalancedMode,DialMediaRouteProvider,AutofillServerCommunication,CertificateTransparencyComponentUpdater",
    // Everything goes through the session's own proxy. What has no session goes nowhere: nothing listens on port 1.
    "--proxy-server=http://127.0.0.1:1",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    // WebRTC would send packets past a proxy.
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
];

/// Variables of the server's that the browser gets. Not more: the server's secrets are not its business.
const ENVIRONMENT: &[&str] = &[
    "SANDBOX_INSTANCE",
    "SANDBOX_RUNTIME_DIR",
    "DISPLAY",
    "XAUTHORITY",
    "TZ",
];

/// A process that has just been started.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
}

/// The program to run.
///
/// # Errors
///
/// What is missing, and how to get it.
pub(super) fn program(config: &Config) -> Result<PathBuf, String> {
    if !config.headless && env::var_os("DISPLAY").is_none() {
        return Err("headless is false, and the server's environment has no DISPLAY".to_owned());
    }
    if let Some(executable) = &config.executable {
        return if executable.is_file() {
            Ok(executable.clone())
        } else {
            Err(format!(
                "executable: there is no file {}",
                executable.display()
            ))
        };
    }
    let (path, package) = if config.headless {
        (HEADLESS_SHELL, "chromium-headless-shell")
    } else {
        (CHROMIUM, "chromium")
    };
    if Path::new(path).is_file() {
        return Ok(PathBuf::from(path));
    }
    Err(format!(
        "Chromium is not installed: apt-get install {package}, or name another program as `executable`"
    ))
}

/// The user to run it as: another one only if the server is root.
pub(super) fn user(config: &Config) -> Option<u32> {
    let root = rustix::process::geteuid().is_root();
    (root && config.run_as != 0).then_some(config.run_as)
}

/// Starts the browser.
pub(super) fn start(
    config: &Config,
    program: &Path,
    profile: &Path,
    sandbox: bool,
) -> std::io::Result<Process> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", HAND_OVER, "sh"])
        .arg(program)
        .args(ARGUMENTS);
    command.arg(format!("--user-data-dir={}", profile.display()));
    if !sandbox {
        command.arg("--no-sandbox");
    }
    if config.headless && !program.ends_with("chromium-headless-shell") {
        command.arg("--headless=new");
    }
    if !program.ends_with("chromium-headless-shell") {
        command.arg("--no-startup-window");
    }
    command.env_clear();
    for name in ENVIRONMENT {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("PATH", "/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .envs(
            [
                "HOME",
                "TMPDIR",
                "XDG_CONFIG_HOME",
                "XDG_CACHE_HOME",
                "XDG_RUNTIME_DIR",
            ]
            .map(|name| (name, profile)),
        )
        .current_dir(profile)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Killing the group kills what the browser started.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(user) = user(config) {
        command.uid(user).gid(user);
    }
    let mut child = command.spawn()?;
    let missing = || std::io::Error::other("a pipe to the browser is missing");
    let input = child.stdin.take().ok_or_else(missing)?;
    let output = child.stdout.take().ok_or_else(missing)?;
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tracing::debug!(line, "the browser says");
            }
        });
    }
    Ok(Process {
        child,
        input,
        output,
    })
}
