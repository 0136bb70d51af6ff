//! What pages do besides showing themselves: dialogs, windows, downloads.

use base64::Engine as _;
use serde_json::json;

use super::{Visit, backend, life::eventually};

#[test]
fn dialogs_are_answered_and_told() {
    let visit = Visit::new();
    visit.open("/dialogs");
    let clicked = visit.call("click", json!({ "selector": "#alert" }));
    assert_eq!(
        clicked["dialogs"],
        json!([{ "type": "alert", "message": "Careful", "answer": "accept" }])
    );
    assert_eq!(visit.eval("out.textContent"), "alerted");
    let clicked = visit.call("click", json!({ "selector": "#confirm" }));
    assert_eq!(clicked["dialogs"][0]["message"], "Sure?");
    assert_eq!(visit.eval("out.textContent"), "true");
    visit.call("click", json!({ "selector": "#prompt" }));
    assert_eq!(visit.eval("out.textContent"), "Ada");
    let clicked = visit.call("click", json!({ "selector": "#endless" }));
    assert_eq!(
        (
            clicked["dialogs"].as_array().unwrap().len(),
            &clicked["more_dialogs"]
        ),
        (32, &json!(18))
    );
    visit.call("click", json!({ "selector": "#stay" }));
    let left = visit.open("/second");
    assert_eq!(
        (&left["title"], &left["dialogs"][0]["type"]),
        (&json!("Second"), &json!("beforeunload"))
    );
    assert!(
        visit.open("/second").get("dialogs").is_none(),
        "what was told is told once"
    );
    visit.close();
}

#[test]
fn a_session_may_dismiss_dialogs() {
    let visit = Visit::with(json!({ "dialogs": "dismiss" }));
    visit.open("/dialogs");
    let clicked = visit.call("click", json!({ "selector": "#confirm" }));
    assert_eq!(clicked["dialogs"][0]["answer"], "dismiss");
    assert_eq!(visit.eval("out.textContent"), "false");
    visit.close();
}

#[test]
fn windows_that_pages_open_are_tabs() {
    let visit = Visit::new();
    visit.open("/popup");
    let clicked = visit.call("click", json!({ "selector": "#open" }));
    assert_eq!(clicked["opened_tabs"], json!([2]), "{clicked}");
    visit.call("click", json!({ "selector": "#blank" }));
    let tabs = visit.call("tabs", json!({ "action": "switch", "tab": 2 }));
    let tabs = tabs["tabs"].as_array().unwrap();
    assert_eq!(tabs.len(), 3, "{tabs:?}");
    assert!(
        tabs[1]["active"] == true && tabs[0]["active"] == false,
        "{tabs:?}"
    );
    visit.call("wait_for_selector", json!({ "selector": "h1" }));
    assert_eq!(visit.eval("document.title"), "Second");
    visit.call("tabs", json!({ "action": "close" }));
    visit.call("tabs", json!({ "action": "switch", "tab": 1 }));
    assert_eq!(visit.eval("document.title"), "Popup");
    let failure = visit.refused("tabs", json!({ "action": "switch", "tab": 9 }));
    assert!(
        failure.code == 1002 && failure.message.contains("there are 1, 3"),
        "{failure:?}"
    );
    visit.call("tabs", json!({ "action": "close", "tab": 1 }));
    visit.call("tabs", json!({ "action": "close", "tab": 3 }));
    let tabs = visit.call("tabs", json!({}));
    assert_eq!(
        tabs["tabs"][0]["url"], "about:blank",
        "there is always a tab to work in"
    );
    visit.close();
}

#[test]
fn there_are_no_more_tabs_than_may_be() {
    let kit = backend(json!({ "max_tabs": 3, "max_pages": 4 }));
    let visit = Visit::of(&kit, json!({}));
    visit.open("/popup");
    visit.call("click", json!({ "selector": "#many" }));
    let tabs = visit.call("tabs", json!({}));
    assert_eq!(tabs["tabs"].as_array().unwrap().len(), 3, "{tabs}");
    assert_eq!(visit.refused("tabs", json!({ "action": "new" })).code, 1007);
    let second = kit.session("second", json!({})).unwrap();
    let failure = kit.session("third", json!({})).err().unwrap();
    assert!(
        failure.code == 1007 && failure.message.contains("max_pages"),
        "{failure:?}"
    );
    visit.close();
    // The call that closed it lets go of it after it has answered.
    eventually("room for another page", || {
        kit.probe().unwrap()["pages"]["open"] == 1
    });
    let third = kit.session("third", json!({})).unwrap();
    for session in [second, third] {
        session.close().unwrap();
    }
    kit.shutdown().unwrap();
}

#[test]
fn a_click_that_closes_the_tab_took() {
    let visit = Visit::new();
    visit.open("/popup");
    visit.call("click", json!({ "selector": "#open" }));
    visit.call("tabs", json!({ "action": "switch", "tab": 2 }));
    visit.open("/popup");
    let clicked = visit.call("click", json!({ "selector": "#close" }));
    assert_eq!(clicked["url"], visit.site.url("/popup"));
    eventually("one tab", || {
        visit.call("tabs", json!({}))["tabs"]
            .as_array()
            .unwrap()
            .len()
            == 1
    });
    assert_eq!(visit.eval("document.title"), "Popup");
    visit.close();
}

#[test]
fn downloads_are_told_listed_and_read() {
    let visit = Visit::new();
    visit.open("/files");
    let landed = visit.open("/report.csv");
    assert_eq!(
        (&landed["download"]["name"], &landed["title"]),
        (&json!("report.csv"), &json!("Files")),
        "{landed}"
    );
    visit.call("click", json!({ "selector": "#big" }));
    let list = visit.downloads(2);
    let list = list.as_array().unwrap();
    assert!(
        list.iter().all(|download| download["state"] == "completed"),
        "{list:?}"
    );
    assert_eq!(list[1]["size"], 4 << 20);
    let piece = visit.call("read_download", json!({ "id": "d1" }));
    assert_eq!(
        (&piece["text"], &piece["truncated"]),
        (&json!("name,town\nAda,Zürich\n"), &json!(false))
    );
    // A part that would end within the ü ends before it.
    let part = visit.call("read_download", json!({ "id": "d1", "max_bytes": 16 }));
    assert_eq!(
        (&part["text"], &part["offset"], &part["truncated"]),
        (&json!("name,town\nAda,Z"), &json!(15), &json!(true))
    );
    let rest = visit.call("read_download", json!({ "id": "d1", "offset": 15 }));
    assert_eq!(rest["text"], "ürich\n");
    let bytes = visit.call("read_download", json!({ "id": "d2", "max_bytes": 4 }));
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(bytes["base64"].as_str().unwrap())
        .unwrap();
    assert_eq!(bytes, [0xff; 4]);
    let failure = visit.refused("read_download", json!({ "id": "../../etc/passwd" }));
    assert!(
        failure.code == 1002 && failure.message.contains("d1, d2"),
        "{failure:?}"
    );
    visit.close();
}

#[test]
fn a_download_that_is_too_large_is_broken_off() {
    let kit = backend(json!({ "max_download_bytes": 100_000 }));
    let visit = Visit::of(&kit, json!({}));
    visit.open("/files");
    visit.call("click", json!({ "selector": "#big" }));
    let list = visit.downloads(1);
    assert_eq!(list[0]["state"], "cancelled", "{list}");
    assert_eq!(
        visit.refused("read_download", json!({ "id": "d1" })).code,
        2001
    );
    visit.close();
    kit.shutdown().unwrap();
}
