//! Pictures, places, and what becomes of a desktop that dies.

use serde_json::json;

use super::seen::Seen;
use super::{backend, displays_with, eventually, in_session, kill, processes_with};

#[test]
fn a_picture_has_the_size_that_was_asked_for_and_shows_the_pointer() {
    let kit = backend(json!({}));
    let asked = json!({ "screen_size": [1000, 700] });
    let session = kit.session("worker", asked).unwrap();
    session
        .call("vm:move", json!({ "x": 900, "y": 600 }))
        .unwrap();
    let before = Seen::of(&session);
    assert_eq!((before.width, before.height), (1000, 700));
    session
        .call("vm:move", json!({ "x": 200, "y": 300 }))
        .unwrap();
    let after = Seen::of(&session);
    assert!(
        after.changed_near(&before, 205, 305, 12) > 20,
        "no pointer where it went"
    );
    assert!(
        after.changed_near(&before, 905, 605, 12) > 20,
        "a pointer where it was"
    );
    assert_eq!(after.changed_near(&before, 500, 100, 50), 0);
    session.close().unwrap();
}

#[test]
fn places_off_the_screen_are_refused() {
    in_session(|session| {
        for (x, y, pointer) in [(800, 0, "/x"), (-1, 0, "/x"), (0, 600, "/y")] {
            let refused = session
                .call("vm:click", json!({ "x": x, "y": y }))
                .unwrap_err();
            assert_eq!(
                (refused.code, &refused.data["pointer"]),
                (1002, &json!(pointer))
            );
        }
        let edge = session
            .call("vm:move", json!({ "x": 799, "y": 599 }))
            .unwrap();
        assert_eq!(edge["position"], json!([799, 599]));
    });
}

#[test]
fn a_display_that_is_killed_ends_its_own_session_only() {
    let kit = backend(json!({ "screen_size": [801, 601] }));
    let one = kit.session("one", json!({})).unwrap();
    let victims = displays_with("801x601x24");
    let other = kit
        .session("other", json!({ "screen_size": [802, 602] }))
        .unwrap();
    assert_eq!(victims.len(), 1);
    kill(&victims);
    let click = json!({ "x": 1, "y": 1 });
    let died = eventually("the session notices", || {
        one.call("vm:click", click.clone()).err()
    });
    assert_eq!(died.code, 1003);
    assert_eq!(
        died.message,
        "the desktop died (its display ended); create the session again"
    );
    other.call("vm:click", click).unwrap();
    one.close().unwrap();
    other.close().unwrap();
    assert!(processes_with("801x601x24").is_empty() && processes_with("802x602x24").is_empty());
}
