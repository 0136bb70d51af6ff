//! Desktops kept ready.

use serde_json::json;

use super::{backend, displays_with, eventually, kill, processes_with};

#[test]
fn the_pool_fills_itself_and_gives_each_desktop_once() {
    let kit = backend(json!({ "pool_size": 2, "screen_size": [811, 611] }));
    let running = || displays_with("811x611x24");
    let ready = eventually("two are ready", || {
        Some(running()).filter(|all| all.len() == 2)
    });
    let full = json!({ "pool": { "ready": 2, "size": 2, "filling": false } });
    eventually("the probe tells of two", || {
        Some(kit.probe().unwrap()).filter(|found| *found == full)
    });
    let one = kit.session("one", json!({})).unwrap();
    let more = eventually("a third starts", || {
        Some(running()).filter(|all| all.len() == 3)
    });
    assert!(
        ready.iter().all(|display| more.contains(display)),
        "one of the ready ones was given out"
    );
    one.close().unwrap();
    let left = eventually("the used one goes", || {
        Some(running()).filter(|all| all.len() == 2)
    });
    assert!(
        !ready.iter().all(|display| left.contains(display)),
        "a used desktop came back"
    );
    // Of another shape: not from the pool.
    let other = kit
        .session("other", json!({ "screen_size": [812, 612] }))
        .unwrap();
    assert_eq!(displays_with("812x612x24").len(), 1);
    other.close().unwrap();
    kit.shutdown().unwrap();
    eventually("nothing is left", || {
        processes_with("811x611x24").is_empty().then_some(())
    });
}

#[test]
fn a_desktop_that_died_in_the_pool_is_not_given_out() {
    let kit = backend(json!({ "pool_size": 1, "screen_size": [813, 613] }));
    let running = || displays_with("813x613x24");
    let ready = eventually("one is ready", || {
        Some(running()).filter(|all| all.len() == 1)
    });
    kill(&ready);
    let session = kit.session("worker", json!({})).unwrap();
    session.call("vm:click", json!({ "x": 1, "y": 1 })).unwrap();
    session.close().unwrap();
    kit.shutdown().unwrap();
    // One that was being started is killed, and not waited for.
    eventually("nothing is left", || {
        processes_with("813x613x24").is_empty().then_some(())
    });
}
