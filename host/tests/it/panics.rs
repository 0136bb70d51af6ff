//! Panics that nobody waits for are told of all the same, and spoil what they may have spoilt.

use std::{sync::Arc, time::Duration};

use sandbox::{
    observe::numbers::get,
    sessions::{Session, WorkerKey},
};
use serde_json::json;

use crate::engine::{Engine, again, nothing, until};

const PANICS: &str = "panics";

fn find(engine: &Engine) -> Option<Arc<Session>> {
    let key = WorkerKey::new(None, "w");
    engine.sandbox.sessions.find(&key, PANICS)
}

/// How many panics were told of.
fn told(engine: &Engine) -> u64 {
    let backend = engine.sandbox.catalog.backend(PANICS).unwrap();
    get(&backend.numbers.panics)
}

async fn poisoned(engine: &Engine) {
    until("the session to be spoilt", || {
        find(engine).filter(|session| session.is_poisoned())
    })
    .await;
    let refused = engine.call("w", "panics:fine", nothing()).await;
    assert_eq!(refused.unwrap_err().0, 1003);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_call_is_cancelled_is_a_panic() {
    let (engine, message) = again("a call whose time is up", async |limit| {
        let engine = Engine::of(PANICS, nothing());
        engine.open("w", PANICS, nothing()).await.unwrap();
        let params = json!({ "began": engine.file("began") });
        let late = engine
            .call_for("w", "panics:cancelled", params, Some(limit))
            .await;
        let (code, message) = late.unwrap_err();
        // Cancelled before it began, it has nothing that panics.
        if code == 2002 {
            return None;
        }
        assert_eq!(code, 2001, "{message}");
        Some((engine, message))
    })
    .await;
    assert!(message.contains("its session is lost"), "{message}");
    poisoned(&engine).await;
    assert_eq!(told(&engine), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_after_the_caller_is_gone_spoils_the_session() {
    let engine = Arc::new(Engine::of(PANICS, nothing()));
    let (began, file) = (engine.file("began"), engine.file("now"));
    let params = [
        ("panics:cancelled", json!({ "began": began })),
        ("panics:at_last", json!({ "began": began, "file": file })),
    ];
    for (before, (tool, params)) in params.into_iter().enumerate() {
        engine.open("w", PANICS, nothing()).await.unwrap();
        let going = Arc::clone(&engine);
        let call = tokio::spawn(async move { going.call("w", tool, params).await });
        until("the call", || began.exists().then_some(())).await;
        std::fs::remove_file(&began).unwrap();
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        std::fs::write(&file, "").unwrap();
        poisoned(&engine).await;
        std::fs::remove_file(&file).unwrap();
        assert_eq!(told(&engine), before as u64 + 1, "{tool}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_after_the_time_is_up_spoils_the_session() {
    let engine = Engine::of(PANICS, nothing());
    engine.open("w", PANICS, nothing()).await.unwrap();
    let (began, file) = (engine.file("began"), engine.file("now"));
    let params = json!({ "began": began, "file": file });
    again("a call that began before its time was up", async |limit| {
        let params = params.clone();
        let late = engine.call_for("w", "panics:at_last", params, Some(limit));
        assert_eq!(late.await.unwrap_err().0, 2002);
        began.exists().then_some(())
    })
    .await;
    engine.call("w", "panics:fine", nothing()).await.unwrap();
    std::fs::write(&file, "").unwrap();
    poisoned(&engine).await;
    assert_eq!(told(&engine), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_probe_is_told_and_spoils_nothing() {
    let engine = Engine::of(PANICS, json!({ "at": ["probe"] }));
    engine.open("w", PANICS, json!({ "at": [] })).await.unwrap();
    let backend = engine.sandbox.catalog.backend(PANICS).unwrap();
    for times in 1..=2 {
        let answer = backend.probe(Duration::from_mins(1)).await.unwrap();
        let failure = answer.unwrap_err();
        assert_eq!(failure.code.0, 2001, "{failure}");
        assert!(!failure.message.contains("as told"), "{failure}");
        assert_eq!(told(&engine), times);
    }
    engine.call("w", "panics:fine", nothing()).await.unwrap();
    assert!(backend.is_warm());
}
