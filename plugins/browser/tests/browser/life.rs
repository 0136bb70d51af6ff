//! The browser's life and death: nothing hangs, nothing stays.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    time::{Duration, Instant},
};

use sandbox_plugin_api::testkit::{self, TestKit};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Visit, backend};

const CHROMIUM: &str = "/usr/lib/chromium/chromium-headless-shell";

/// Far longer than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(45);

/// A program of a name of its own, by which its processes are found.
pub(crate) struct Program {
    _folder: TempDir,
    pub(crate) path: PathBuf,
}

impl Program {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The browser's user must find it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("chromium-headless-shell");
        symlink(CHROMIUM, &path).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn config(&self, mut more: Value) -> Value {
        more["executable"] = json!(self.path);
        more
    }

    /// The browser's first process, of the newest if there are several. Its helpers are in its group.
    pub(crate) fn process(&self) -> Option<u32> {
        processes()
            .filter(|process| stat(*process).is_some_and(|(_, group)| group == *process))
            .filter(|process| self.is_of(*process))
            .max()
    }

    fn is_of(&self, process: u32) -> bool {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).starts_with(self.path.to_str().unwrap())
    }

    /// All processes of the browser whose first this is.
    pub(crate) fn family(first: u32) -> Vec<u32> {
        processes()
            .filter(|process| {
                stat(*process).is_some_and(|(state, group)| group == first && state != "Z")
            })
            .collect()
    }

    /// The profile of the browser whose first process this is.
    pub(crate) fn profile(first: u32) -> PathBuf {
        fs::read_link(format!("/proc/{first}/cwd")).unwrap()
    }
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// State and process group.
fn stat(process: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some((fields[0].to_owned(), fields[2].parse().ok()?))
}

pub(crate) fn eventually(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn kill(process: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn the_probe_counts_browsers_and_pages() {
    let program = Program::new();
    let kit = backend(program.config(json!({ "max_pages": 7 })));
    let found = |browsers: u8, open: u8| json!({ "browsers": browsers, "pages": { "open": open, "limit": 7 } });
    eventually("the first browser is there, without pages", || {
        kit.probe().unwrap() == found(1, 0)
    });
    let visit = Visit::of(&kit, json!({}));
    visit.open("/second");
    visit.call("tabs", json!({ "action": "new" }));
    eventually("two pages", || kit.probe().unwrap() == found(1, 2));
    kill(program.process().unwrap());
    // The pages are their session's until that ends.
    eventually("no browser", || kit.probe().unwrap() == found(0, 2));
    drop(visit.session.close());
    // The call that closes it lets go of it after it has answered.
    eventually("no pages", || kit.probe().unwrap() == found(0, 0));
    kit.shutdown().unwrap();
}

#[test]
fn a_browser_that_dies_ends_its_sessions_and_no_others() {
    let program = Program::new();
    let kit = backend(program.config(json!({})));
    let visit = Visit::of(&kit, json!({}));
    let other = Visit::new();
    other.open("/second");
    visit.open("/second");
    let first = program.process().unwrap();
    let (profile, family) = (Program::profile(first), Program::family(first));
    assert!(family.len() > 3, "{family:?}");
    let forever = json!({ "script": "new Promise(() => {})" });
    let pending = visit.session.begin("browser:evaluate", &forever, None);
    kill(first);
    let failure = testkit::success(&testkit::wait(pending)).unwrap_err();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (1003, "the browser died, create the session again")
    );
    for (tool, params) in [
        ("goto", json!({ "url": "about:blank" })),
        ("screenshot", json!({})),
        ("tabs", json!({})),
        ("save_state", json!({})),
        ("downloads", json!({})),
        ("snapshot", json!({})),
    ] {
        assert_eq!(visit.refused(tool, params).code, 1003, "{tool}");
    }
    let fresh = Visit::of(&kit, json!({}));
    assert_eq!(fresh.open("/second")["title"], "Second");
    assert_eq!(other.eval("document.title"), "Second");
    eventually("the dead browser's helpers are gone", || {
        Program::family(first).is_empty()
    });
    eventually("its profile is gone", || !profile.exists());
    visit.close();
    fresh.close();
    other.close();
    kit.shutdown().unwrap();
}

#[test]
fn a_crashed_page_is_one_error_of_its_own_session() {
    let program = Program::new();
    let kit = backend(program.config(json!({})));
    let (visit, other) = (Visit::of(&kit, json!({})), Visit::of(&kit, json!({})));
    other.open("/second");
    for during_a_call in [true, false] {
        visit.open("/second");
        // By its size its process is known.
        visit.eval("window.bulk = new Uint8Array(200_000_000).fill(1); 0");
        let size = |process: &u32| {
            let pages = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
            pages
                .split(' ')
                .nth(1)
                .and_then(|pages| pages.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let renderer = Program::family(program.process().unwrap())
            .into_iter()
            .max_by_key(size)
            .unwrap();
        let failure = if during_a_call {
            let forever = json!({ "script": "new Promise(() => {})" });
            let pending = visit.session.begin("browser:evaluate", &forever, None);
            kill(renderer);
            testkit::success(&testkit::wait(pending)).unwrap_err()
        } else {
            kill(renderer);
            eventually("the process ends", || {
                stat(renderer).is_none_or(|(state, _)| state == "Z")
            });
            visit.refused("get_text", json!({}))
        };
        assert_eq!(failure.code, 2001);
        assert!(
            failure.message.starts_with("the page crashed"),
            "{failure:?}"
        );
        assert_eq!(visit.eval("location.href"), "about:blank");
        assert_eq!(
            visit.call("tabs", json!({}))["tabs"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(visit.open("/second")["title"], "Second");
    }
    assert_eq!(other.eval("document.title"), "Second");
    visit.close();
    other.close();
    kit.shutdown().unwrap();
}

#[test]
fn nothing_is_left_after_the_shutdown() {
    let program = Program::new();
    let kit = backend(program.config(json!({})));
    let visit = Visit::of(&kit, json!({}));
    visit.open("/files");
    visit.call("click", json!({ "selector": "#csv" }));
    visit.downloads(1);
    let first = program.process().unwrap();
    let profile = Program::profile(first);
    let downloads = || {
        fs::read_dir(&profile)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with("downloads-")
            })
    };
    assert!(downloads());
    visit.close();
    assert!(!downloads(), "a session's files go with it");
    kit.shutdown().unwrap();
    eventually("the killed helpers are gone", || {
        Program::family(first).is_empty()
    });
    assert!(!profile.exists());
}

#[test]
fn a_busy_page_does_not_keep_its_session() {
    let kit = backend(json!({ "timeout": 500, "action_timeout": 500 }));
    let visit = Visit::of(&kit, json!({}));
    let busy = json!({ "url": visit.site.url("/busy"), "timeout": 60_000 });
    visit.call("goto", busy);
    visit.call(
        "evaluate",
        json!({ "script": "setTimeout(() => busy.click()); 0", "timeout": 60_000 }),
    );
    assert_eq!(
        visit.refused("click", json!({ "selector": "#busy" })).code,
        2002
    );
    assert_eq!(visit.refused("screenshot", json!({})).code, 2002);
    let tabs = visit.call("tabs", json!({ "action": "new" }));
    assert_eq!(tabs["tabs"].as_array().unwrap().len(), 2);
    visit.close();
    kit.shutdown().unwrap();
}

#[test]
fn a_worn_browser_is_replaced_and_ends_with_its_last_session() {
    let program = Program::new();
    let kit = backend(program.config(json!({ "recycle_after": 1 })));
    let old = Visit::of(&kit, json!({}));
    old.open("/second");
    let first = program.process().unwrap();
    let new = Visit::of(&kit, json!({}));
    new.open("/second");
    assert_eq!(old.eval("document.title"), "Second");
    assert!(!Program::family(first).is_empty());
    old.close();
    eventually("the worn browser ends", || {
        Program::family(first).is_empty()
    });
    assert_eq!(new.eval("document.title"), "Second");
    new.close();
    kit.shutdown().unwrap();
}

#[test]
fn a_browser_is_worn_by_the_memory_it_has() {
    for (mib, worn) in [(1, true), (1_000_000, false)] {
        let program = Program::new();
        let kit = backend(program.config(json!({ "recycle_after": { "mib": mib } })));
        let old = Visit::of(&kit, json!({}));
        let first = program.process().unwrap();
        old.close();
        let new = Visit::of(&kit, json!({}));
        if worn {
            eventually("the worn browser ends", || {
                Program::family(first).is_empty()
            });
        }
        new.open("/second");
        assert_eq!(program.process() != Some(first), worn, "{mib} MiB");
        new.close();
        kit.shutdown().unwrap();
    }
}

#[test]
fn the_browser_has_its_own_user_sandbox_and_environment() {
    let program = Program::new();
    let kit = backend(program.config(json!({ "sandbox": "best_effort" })));
    let first = program.process().unwrap();
    let line = fs::read_to_string(format!("/proc/{first}/cmdline")).unwrap();
    let status = fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    if rustix::process::geteuid().is_root() {
        assert!(status.contains("Uid:\t65534\t65534"), "{status}");
        let environment = fs::read_to_string(format!("/proc/{first}/environ")).unwrap();
        assert!(!environment.contains("CARGO"), "{environment}");
    }
    assert!(!line.contains("remote-debugging-port"), "{line}");
    kit.shutdown().unwrap();
}

#[test]
fn a_missing_chromium_is_named_with_its_package() {
    let kit =
        TestKit::<browser::Browser>::new(json!({ "executable": "/nonexistent/chromium" })).unwrap();
    let failure = kit.warmup().unwrap_err();
    assert_eq!(failure.code, 2004);
    assert!(failure.message.contains("executable"), "{failure:?}");
    let kit = TestKit::<browser::Browser>::new(json!({ "executable": "/usr/bin/true" })).unwrap();
    let failure = kit.warmup().unwrap_err();
    assert!(
        failure.code == 2004 && failure.message.contains("does not start"),
        "{failure:?}"
    );
}

#[test]
fn configurations_and_sessions_that_cannot_work_are_refused() {
    for (config, word) in [
        (json!({ "timeout": 0 }), "timeout"),
        (json!({ "allowed_hosts": ["http://x"] }), "allowed_hosts"),
        (json!({ "colour": "red" }), "colour"),
    ] {
        let failure = TestKit::<browser::Browser>::new(config.clone())
            .err()
            .unwrap();
        assert!(failure.message.contains(word), "{config}: {failure:?}");
    }
    for (config, pointer) in [
        (json!({ "viewport": [10_000, 10] }), "/viewport"),
        (json!({ "headless": false }), "/headless"),
        (json!({ "locale": "x" }), "/locale"),
        (
            json!({ "storage_state": { "cookies": [{ "name": "a", "value": "b", "domain": "x", "sameSite": "Often" }] } }),
            "/storage_state/cookies",
        ),
        (
            json!({ "storage_state": { "origins": [{ "origin": "file:///" }] } }),
            "/storage_state/origins",
        ),
    ] {
        let failure = super::shared()
            .session("worker", config.clone())
            .err()
            .unwrap();
        assert_eq!(
            (failure.code, &failure.data["pointer"]),
            (1002, &json!(pointer)),
            "{config}: {failure:?}"
        );
    }
}
