//! Opening pages and reading them: addresses, history, text, scripts, pictures, storage.

use serde_json::{Value, json};

use super::{Visit, backend};

#[test]
fn pages_are_opened_and_gone_back_to() {
    let visit = Visit::new();
    let landed = visit.open("/");
    assert_eq!(
        (&landed["title"], &landed["status"]),
        (&json!("Start"), &json!(200))
    );
    assert_eq!(landed["url"], visit.site.url("/"));
    visit.call("click", json!({ "selector": "a" }));
    assert_eq!(visit.call("back", json!({}))["title"], "Start");
    assert_eq!(visit.call("forward", json!({}))["title"], "Second");
    assert_eq!(visit.call("reload", json!({}))["title"], "Second");
    assert_eq!(visit.refused("forward", json!({})).code, 2001);
    let missing = visit.open("/missing");
    assert_eq!(
        (&missing["status"], &missing["title"]),
        (&json!(404), &json!("Missing"))
    );
    let redirected = visit.open("/redirect?/second");
    assert_eq!(
        (&redirected["url"], &redirected["status"]),
        (&json!(visit.site.url("/second")), &json!(200))
    );
    let within = visit.open("/second#place");
    assert_eq!(within["url"], visit.site.url("/second#place"));
    visit.close();
}

#[test]
fn addresses_that_lead_nowhere_are_errors() {
    let visit = Visit::new();
    for url in [
        "file:///etc/passwd",
        "chrome://version",
        "javascript:alert(1)",
        "view-source:http://127.0.0.1/",
        "example.com",
        "ftp://x/",
    ] {
        let failure = visit.refused("goto", json!({ "url": url }));
        assert_eq!(
            (failure.code, &failure.data["pointer"]),
            (1002, &json!("/url")),
            "{url}: {failure:?}"
        );
    }
    // The port of a connection: nobody listens on it, and nobody else is given it.
    let connection = std::net::TcpStream::connect(visit.site.address).unwrap();
    let closed = connection.local_addr().unwrap();
    let failure = visit.refused("goto", json!({ "url": format!("http://{closed}/") }));
    assert!(
        failure.code == 2001 && failure.message.contains("connection refused"),
        "{failure:?}"
    );
    let failure = visit.refused("goto", json!({ "url": format!("https://{closed}/") }));
    assert!(
        failure.code == 2001 && failure.message.contains("connection refused"),
        "{failure:?}"
    );
    assert_eq!(
        visit
            .refused("goto", json!({ "url": visit.site.url("/loop") }))
            .code,
        2001
    );
    assert_eq!(
        visit
            .refused("goto", json!({ "url": visit.site.url("/empty") }))
            .code,
        2001
    );
    assert_eq!(visit.open("/second")["title"], "Second");
    visit.close();
}

#[test]
fn a_slow_page_costs_its_time_and_no_more() {
    let visit = Visit::new();
    let slow = json!({ "url": visit.site.url("/slow"), "timeout": 300 });
    let failure = visit.refused("goto", slow);
    assert_eq!(failure.code, 2002);
    for timeout in [0, 1_000_000] {
        let failure = visit.refused("goto", json!({ "url": "about:blank", "timeout": timeout }));
        assert_eq!(
            (failure.code, &failure.data["pointer"]),
            (1002, &json!("/timeout"))
        );
    }
    visit.site.open_gate();
    assert_eq!(visit.open("/slow")["title"], "Slow");
    visit.close();
}

#[test]
fn network_idle_waits_for_what_the_page_fetches() {
    let visit = Visit::new();
    visit.call(
        "goto",
        json!({ "url": visit.site.url("/fetches"), "wait_until": "networkidle" }),
    );
    assert_eq!(visit.eval("out.textContent"), "fetched");
    visit.close();
}

#[test]
fn text_is_cut_between_characters() {
    let kit = backend(json!({ "max_text_bytes": 1000 }));
    let visit = Visit::of(&kit, json!({}));
    let cut = |tool: &str, params: Value, key: &str, least: u64| {
        let answer = visit.call(tool, params);
        let text = answer[key].as_str().unwrap();
        assert!((990..=1000).contains(&text.len()), "{tool}: {}", text.len());
        assert!(!text.contains('\u{fffd}'));
        assert_eq!(answer["truncated"], true);
        let length = answer["length"].as_u64().unwrap();
        assert!(length >= least, "{tool}: {length}");
    };
    visit.open("/five");
    cut("get_text", json!({}), "text", 4_000_000);
    cut("get_content", json!({}), "text", 4_000_000);
    cut(
        "get_content",
        json!({ "format": "html" }),
        "html",
        4_000_000,
    );
    // Of more than 20,000 elements a snapshot knows no more than the beginning.
    visit.open("/many");
    cut("snapshot", json!({}), "snapshot", 1000);
    visit.close();
    kit.shutdown().unwrap();
}

#[test]
fn content_has_three_forms() {
    let visit = Visit::new();
    visit.open("/");
    let text = visit.call("get_text", json!({}));
    assert!(
        text["text"]
            .as_str()
            .unwrap()
            .starts_with("Welcome\n\nRead the second page."),
        "{text}"
    );
    assert_eq!(text["truncated"], false);
    let markdown = visit.call("extract", json!({}));
    let markdown = markdown["text"].as_str().unwrap();
    assert!(
        markdown.starts_with("# Welcome\n\nRead [the second page](/second)."),
        "{markdown}"
    );
    assert!(!markdown.contains("setTimeout"), "{markdown}");
    let html = visit.call("get_content", json!({ "format": "html", "selector": "h1" }));
    assert_eq!(html["html"], "<h1>Welcome</h1>");
    visit.close();
}

#[test]
fn scripts_give_json() {
    let visit = Visit::new();
    visit.open("/second");
    for (script, result) in [
        ("document.title", json!("Second")),
        (
            "[1, 'two', {three: null}]",
            json!([1, "two", { "three": null }]),
        ),
        ("return document.links.length", json!(1)),
        ("const a = 2; return a * 21", json!(42)),
        ("() => location.pathname", json!("/second")),
        ("async () => { return 7 };", json!(7)),
        (
            "await new Promise(done => setTimeout(() => done('later'), 10))",
            json!("later"),
        ),
        ("undefined", Value::Null),
        ("0 / 0", json!("NaN")),
        ("({a: 1})", json!({ "a": 1 })),
    ] {
        assert_eq!(visit.eval(script), result, "{script}");
    }
    let failure = visit.refused("evaluate", json!({ "script": "nothing.here" }));
    assert!(
        failure.code == 2001
            && failure
                .message
                .contains("ReferenceError: nothing is not defined"),
        "{failure:?}"
    );
    let failure = visit.refused("evaluate", json!({ "script": "'x'.repeat(2000000)" }));
    assert!(
        failure.code == 2001 && failure.message.contains("1048576"),
        "{failure:?}"
    );
    for endless in ["for (;;) {}", "new Promise(() => {})"] {
        let failure = visit.refused("evaluate", json!({ "script": endless, "timeout": 300 }));
        assert_eq!(failure.code, 2002, "{endless}: {failure:?}");
    }
    assert_eq!(visit.eval("1 + 1"), 2, "the page lives on");
    visit.close();
}

#[test]
fn pictures_have_the_size_that_they_say() {
    let visit = Visit::with(json!({ "viewport": { "width": 640, "height": 480 } }));
    visit.open("/tall");
    let size = |params: Value| {
        let answer = visit
            .session
            .call_whole("browser:screenshot", params)
            .unwrap();
        let (key, kind, bytes) = &answer.blobs[0];
        assert_eq!(key, "image");
        if let Ok(folder) = std::env::var("BROWSER_TEST_PICTURES") {
            let number = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_millis();
            std::fs::write(
                format!("{folder}/{number}.{}", kind.rsplit('/').next().unwrap()),
                bytes,
            )
            .unwrap();
        }
        (
            answer.data["size"].clone(),
            answer.data["truncated"].clone(),
            kind.clone(),
        )
    };
    assert_eq!(
        size(json!({})),
        (json!([640, 480]), json!(false), "image/png".to_owned())
    );
    assert_eq!(
        size(json!({ "format": "jpeg" })),
        (json!([640, 480]), json!(false), "image/jpeg".to_owned())
    );
    let (whole, ..) = size(json!({ "full_page": true }));
    assert!(
        whole[0] == 640 && whole[1].as_u64().unwrap() > 3000,
        "{whole}"
    );
    let (button, ..) = size(json!({ "selector": "#end" }));
    assert!(
        button[0].as_u64().unwrap() < 200 && button[1].as_u64().unwrap() < 60,
        "{button}"
    );
    visit.open("/huge");
    let (huge, truncated, _) = size(json!({ "full_page": true }));
    assert_eq!((huge, truncated), (json!([640, 16_384]), json!(true)));
    visit.open("/cjk");
    size(json!({}));
    visit.open("/form");
    size(json!({}));
    visit.close();
}

#[test]
fn waiting_ends_when_the_element_is_as_wanted() {
    let visit = Visit::new();
    visit.open("/covered?lifts");
    for (selector, state) in [
        ("#under", "visible"),
        ("#hidden", "attached"),
        ("#hidden", "hidden"),
        ("#veil", "detached"),
        ("#veil", "hidden"),
    ] {
        let params = json!({ "selector": selector, "state": state, "timeout": 20_000 });
        assert_eq!(visit.call("wait_for_selector", params)["found"], true);
    }
    let failure = visit.refused(
        "wait_for_selector",
        json!({ "selector": "#never", "timeout": 200 }),
    );
    assert!(
        failure.code == 2002 && failure.message.contains("#never was not visible"),
        "{failure:?}"
    );
    visit.close();
}

#[test]
fn sessions_look_as_they_were_asked_to() {
    let visit =
        Visit::with(json!({ "viewport": [800, 600], "user_agent": "Agent/1", "locale": "de-DE" }));
    visit.open("/headers");
    assert_eq!(visit.eval("[innerWidth, innerHeight]"), json!([800, 600]));
    assert_eq!(
        visit.eval("[navigator.userAgent, navigator.language]"),
        json!(["Agent/1", "de-DE"])
    );
    assert_eq!(visit.eval("(1234.5).toLocaleString()"), "1.234,5");
    let headers = visit.eval("document.body.innerText");
    let headers = headers.as_str().unwrap();
    assert!(
        headers.contains("user-agent: Agent/1") && headers.contains("accept-language: de-DE"),
        "{headers}"
    );
    assert!(!headers.to_lowercase().contains("proxy"), "{headers}");
    visit.close();
}

#[test]
fn state_goes_from_one_session_to_another() {
    let first = Visit::new();
    first.open("/login");
    first.open("/store");
    let mut state = first.call("save_state", json!({}));
    let site = first.site.clone();
    assert_eq!(state["cookies"][0]["name"], "who");
    assert_eq!(state["cookies"][0]["httpOnly"], true);
    assert_eq!(
        state["origins"][0]["localStorage"],
        json!([{ "name": "colour", "value": "blue" }])
    );
    assert_eq!(
        first.call("tabs", json!({}))["tabs"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "the hidden page is gone"
    );
    let stranger = Visit::new();
    stranger.call("goto", json!({ "url": site.url("/second") }));
    assert_eq!(
        stranger.eval("[localStorage.length, document.cookie]"),
        json!([0, ""]),
        "contexts are apart"
    );
    let state = state.as_object_mut().map(std::mem::take).unwrap();
    let asked = site.lines().len();
    let second = Visit::with(json!({ "storage_state": state }));
    assert_eq!(
        site.lines().len(),
        asked,
        "nothing is asked of the site to restore its storage"
    );
    second.call("goto", json!({ "url": site.url("/second") }));
    assert_eq!(second.eval("localStorage.colour"), "blue");
    let cookie = site.asked().last().unwrap().headers.get("cookie").cloned();
    assert_eq!(cookie.as_deref(), Some("who=ada"));
    for visit in [first, stranger, second] {
        visit.close();
    }
}
