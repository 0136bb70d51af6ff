//! Clicking, typing, keys, choosing, scrolling: that they take, and that they say so when they do not.

use serde_json::json;

use super::Visit;

#[test]
fn a_form_is_filled_by_refs_and_sent() {
    let visit = Visit::new();
    assert_eq!(visit.open("/form")["title"], "Form");
    let typed = visit.call(
        "type",
        json!({ "ref": visit.reference("textbox \"Name\""), "text": "Ada 世界 é €" }),
    );
    assert_eq!(typed["value"], "Ada 世界 é €");
    visit.call(
        "type",
        json!({ "ref": visit.reference("\"Password\""), "text": "pw" }),
    );
    visit.call(
        "type",
        json!({ "selector": "[name=born]", "text": "1815-12-10" }),
    );
    visit.call(
        "type",
        json!({ "ref": visit.reference("\"About\""), "text": ", world" }),
    );
    let chosen = visit.call(
        "select_option",
        json!({ "ref": visit.reference("combobox \"Size\""), "value": "Medium" }),
    );
    assert_eq!(chosen["selected"], json!(["m"]));
    let chosen = visit.call(
        "select_option",
        json!({ "selector": "[name=tags]", "value": ["red", "blue"] }),
    );
    assert_eq!(chosen["selected"], json!(["red", "blue"]));
    visit.call(
        "click",
        json!({ "ref": visit.reference("checkbox \"I agree\"") }),
    );
    assert!(
        visit.snapshot().contains("checkbox \"I agree\" [checked]"),
        "{}",
        visit.snapshot()
    );
    let clicked = visit.call(
        "click",
        json!({ "ref": visit.reference("button \"Send\"") }),
    );
    assert_eq!(clicked["url"], visit.site.url("/submit"));
    let sent = visit.call("get_text", json!({ "selector": "#sent" }));
    let sent = sent["text"].as_str().unwrap();
    for part in [
        "name=Ada+%E4%B8%96",
        "password=pw",
        "born=1815-12-10",
        "about=Hello%2C+world",
        "size=m",
        "tags=red&tags=blue",
        "agree=on",
    ] {
        assert!(sent.contains(part), "{part} is missing in {sent}");
    }
    visit.close();
}

#[test]
fn typing_clears_waits_between_keys_and_submits() {
    let visit = Visit::new();
    visit.open("/form");
    let about = json!({ "selector": "textarea", "text": "new", "clear": true });
    assert_eq!(visit.call("type", about)["value"], "new");
    let slowly = json!({ "selector": "textarea", "text": "A b!é", "clear": true, "delay": 1 });
    assert_eq!(visit.call("type", slowly)["value"], "A b!é");
    assert_eq!(visit.eval("keys.textContent"), "Delete A   b ! ");
    assert_eq!(
        visit.call(
            "type",
            json!({ "selector": "textarea", "text": "", "clear": true })
        )["value"],
        ""
    );
    assert_eq!(
        visit.call("type", json!({ "selector": "#rich", "text": " end" }))["value"],
        "start end"
    );
    let sent = visit.call(
        "type",
        json!({ "selector": "[name=name]", "text": "Bo", "submit": true }),
    );
    assert_eq!(sent["url"], visit.site.url("/submit"));
    visit.close();
}

#[test]
fn what_takes_no_text_says_so() {
    let visit = Visit::new();
    visit.open("/form");
    for (selector, word) in [
        ("[name=fixed]", "read-only"),
        ("h1", "takes no text"),
        ("[name=agree]", "checkbox"),
    ] {
        let failure = visit.refused("type", json!({ "selector": selector, "text": "x" }));
        assert_eq!(failure.code, 2001);
        assert!(failure.message.contains(word), "{failure:?}");
    }
    let failure = visit.refused(
        "type",
        json!({ "selector": "[name=born]", "text": "yesterday" }),
    );
    assert_eq!(
        (failure.code, &failure.data["pointer"]),
        (1002, &json!("/text"))
    );
    visit.close();
}

#[test]
fn choices_that_cannot_be_made_are_refused() {
    let visit = Visit::new();
    visit.open("/form");
    let failure = visit.refused(
        "select_option",
        json!({ "selector": "[name=size]", "value": "xl" }),
    );
    assert_eq!(failure.code, 1002);
    assert!(failure.message.contains("s, m, l"), "{failure:?}");
    let failure = visit.refused(
        "select_option",
        json!({ "selector": "[name=size]", "value": "l" }),
    );
    assert!(
        failure.code == 2001 && failure.message.contains("disabled"),
        "{failure:?}"
    );
    assert_eq!(
        visit.eval("document.querySelector('[name=size]').value"),
        "s"
    );
    visit.close();
}

#[test]
fn keys_reach_what_has_the_focus() {
    let visit = Visit::new();
    visit.open("/form");
    visit.call(
        "type",
        json!({ "selector": "[name=name]", "text": "one two" }),
    );
    visit.call("press", json!({ "key": "Control+a" }));
    visit.call("press", json!({ "key": "x" }));
    assert_eq!(
        visit.eval("document.querySelector('[name=name]').value"),
        "x"
    );
    visit.call("press", json!({ "key": "Tab" }));
    assert_eq!(visit.eval("document.activeElement.name"), "password");
    let failure = visit.refused("press", json!({ "key": "Entr" }));
    assert_eq!(failure.code, 1002);
    assert!(
        failure.message.contains("did you mean Enter?"),
        "{failure:?}"
    );
    visit.close();
}

#[test]
fn a_click_that_cannot_take_is_an_error() {
    let kit = super::backend(json!({ "action_timeout": 3000 }));
    let visit = Visit::of(&kit, json!({}));
    // A look at the page that took all the time has seen nothing.
    let refused = |selector: &str| {
        let click = || visit.refused("click", json!({ "selector": selector }));
        (0..5)
            .map(|_| click())
            .find(|failure| failure.code != 2002)
            .unwrap()
    };
    visit.open("/covered");
    for (selector, word) in [
        ("#under", "<div#veil.overlay.dark> covers it"),
        ("#hidden", "not visible"),
        ("#nowhere", "no element"),
    ] {
        let failure = refused(selector);
        assert_eq!(failure.code, 2001);
        assert!(failure.message.contains(word), "{failure:?}");
    }
    visit.open("/form");
    let failure = refused("#off");
    assert!(failure.message.contains("disabled"), "{failure:?}");
    let failure = visit.refused("click", json!({ "selector": "p[" }));
    assert_eq!(
        (failure.code, &failure.data["pointer"]),
        (1002, &json!("/selector"))
    );
    for params in [
        json!({}),
        json!({ "x": 1 }),
        json!({ "x": 1, "y": 1, "ref": "e1" }),
        json!({ "x": 5000, "y": 1 }),
        json!({ "ref": "button" }),
    ] {
        assert_eq!(
            visit.refused("click", params.clone()).code,
            1002,
            "{params}"
        );
    }
    visit.close();
    kit.shutdown().unwrap();
}

#[test]
fn a_busy_page_that_a_click_leads_away_from_is_waited_for() {
    let visit = Visit::new();
    visit.open("/later");
    let clicked = visit.call("click", json!({ "selector": "#later" }));
    assert_eq!(clicked["url"], visit.site.url("/second"));
    visit.close();
}

#[test]
fn a_click_waits_until_it_can_take() {
    let visit = Visit::new();
    visit.open("/covered?lifts");
    visit.call("click", json!({ "selector": "#under" }));
    assert_eq!(visit.eval("document.title"), "reached");
    visit.close();
}

#[test]
fn clicks_scroll_and_find_places() {
    let visit = Visit::new();
    visit.open("/tall");
    visit.call("click", json!({ "selector": "#end" }));
    assert_eq!(visit.eval("document.title"), "clicked");
    visit.open("/tall");
    let bottom = visit.call("scroll", json!({ "dy": 100_000 }));
    assert!(
        bottom["position"][1].as_f64().unwrap() > 2000.0 && bottom["position"] == bottom["max"],
        "{bottom}"
    );
    let place = visit.eval(
        "(({ x, y }) => [x + 5, y + 5])(document.querySelector('#end').getBoundingClientRect())",
    );
    visit.call("click", json!({ "x": place[0], "y": place[1] }));
    assert_eq!(visit.eval("document.title"), "clicked");
    let top = visit.call("scroll", json!({ "dy": -100_000 }));
    assert_eq!(top["position"], json!([0.0, 0.0]));
    visit.call("scroll", json!({ "selector": "#end" }));
    assert!(visit.eval("scrollY").as_f64().unwrap() > 2000.0);
    visit.close();
}

#[test]
fn frames_are_read_and_clicked_by_refs() {
    let visit = Visit::new();
    visit.open("/frames");
    let snapshot = visit.snapshot();
    assert!(snapshot.contains("heading \"Inside\""), "{snapshot}");
    visit.call(
        "click",
        json!({ "ref": visit.reference("button \"Press me\"") }),
    );
    assert!(
        visit.snapshot().contains("button \"pressed\""),
        "{}",
        visit.snapshot()
    );
    visit.call(
        "type",
        json!({ "ref": visit.reference("textbox \"Name\""), "text": "in the frame" }),
    );
    assert!(visit.snapshot().contains("in the frame"));
    visit.close();
}

#[test]
fn refs_of_a_page_that_is_gone_are_refused() {
    let visit = Visit::new();
    visit.open("/form");
    let send = visit.reference("button \"Send\"");
    assert_eq!(
        send,
        visit.reference("button \"Send\""),
        "an element keeps its name"
    );
    visit.open("/second");
    let failure = visit.refused("click", json!({ "ref": send }));
    assert_eq!(
        (failure.code, &failure.data["pointer"]),
        (1002, &json!("/ref"))
    );
    assert!(
        failure.message.contains("take a new browser:snapshot"),
        "{failure:?}"
    );
    visit.close();
}
