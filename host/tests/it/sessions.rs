//! The rules of sessions and calls, each seen through a real plugin.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use sandbox::sessions::{Session, WorkerKey};
use sandbox_protocol::response::Readiness;
use serde_json::json;

use crate::engine::{Engine, again, lines, nothing, until};

const COUNTER: &str = "counter";

/// How often a journal says that something began.
fn count(engine: &Engine, word: &str) -> usize {
    let lines = lines(&engine.file("journal"));
    lines.iter().filter(|line| line.starts_with(word)).count()
}

fn find(engine: &Engine, worker: &str) -> Option<Arc<Session>> {
    engine
        .sandbox
        .sessions
        .find(&WorkerKey::new(None, worker), COUNTER)
}

/// Waits until a call is in the worker's session.
async fn inside(engine: &Engine, worker: &str) {
    until("the call", || {
        find(engine, worker).filter(|session| session.gate.inside() > 0)
    })
    .await;
}

fn counter() -> Engine {
    Engine::of(COUNTER, json!({ "journal": "journal" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_keeps_its_session_and_has_its_own() {
    let engine = counter();
    let (id, created) = engine
        .open("a", COUNTER, json!({ "start": 10 }))
        .await
        .unwrap();
    assert!(created && id.starts_with("counter_a_001_"), "{id}");
    engine.open("b", COUNTER, nothing()).await.unwrap();
    engine
        .call("a", "counter:add", json!({ "by": 5 }))
        .await
        .unwrap();
    assert_eq!(
        engine.call("a", "counter:get", nothing()).await.unwrap()["value"],
        15
    );
    assert_eq!(
        engine.call("b", "counter:get", nothing()).await.unwrap()["value"],
        0
    );
    let (again, created) = engine.open("a", COUNTER, nothing()).await.unwrap();
    assert!(!created && again == id);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_get_one_session() {
    let engine = counter();
    let asked = (0..50).map(|_| engine.open("w", COUNTER, json!({ "slow_ms": 30 })));
    let got: Vec<_> = join_all(asked)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(got.iter().filter(|(_, created)| *created).count(), 1);
    assert!(got.iter().all(|(id, _)| *id == got[0].0));
    assert_eq!(count(&engine, "initialize"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_a_session_never_share_one() {
    let engine = counter();
    let calls = (0..50).map(|_| engine.call("w", "counter:add", json!({ "ms": 5 })));
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap()["value"], 1);
    }
    until("all clean-ups", || {
        (count(&engine, "cleanup") == 50).then_some(())
    })
    .await;
    assert_eq!(count(&engine, "initialize"), 50);
    assert_eq!(engine.sandbox.sessions.workers(), 0);
    until("the count", || {
        (engine.sandbox.sessions.count() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_session_ends_when_its_caller_goes_away() {
    let engine = Arc::new(counter());
    let going = Arc::clone(&engine);
    let call = tokio::spawn(async move {
        going
            .call("w", "counter:add", json!({ "ms": 60_000 }))
            .await
    });
    until("the session", || {
        (count(&engine, "initialize") == 1).then_some(())
    })
    .await;
    call.abort();
    until("the clean-up", || {
        (count(&engine, "cleanup") == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_expires_in_time_and_not_under_a_call() {
    let engine = counter();
    let go = engine.file("go");
    let (session, busy, ttl) = again("a call before the expiry", async |ttl| {
        let opened = engine.open_with("busy", COUNTER, nothing(), Some(ttl));
        opened.await.unwrap();
        let call = engine.call("busy", "counter:add", json!({ "until": go }));
        let mut call = Box::pin(call);
        assert!(futures_util::poll!(&mut call).is_pending());
        let session = find(&engine, "busy")?;
        (session.gate.inside() > 0).then_some((session, call, ttl))
    })
    .await;
    let due = session.expires_ms();
    // Made later, it expires later.
    let opened = engine.open_with("idle", COUNTER, nothing(), Some(ttl));
    opened.await.unwrap();
    until("the expiry", || {
        (count(&engine, "cleanup counter_idle_") == 1).then_some(())
    })
    .await;
    assert!(!session.gate.is_closed() && session.expires_ms() == due);
    std::fs::write(go, "").unwrap();
    assert_eq!(busy.await.unwrap()["value"], 1);
    assert!(
        session.expires_ms() > due,
        "the call's end restarted the time"
    );
    until("the second expiry", || {
        let cleanup = format!("cleanup {}", session.id);
        (count(&engine, &cleanup) == 1).then_some(())
    })
    .await;
    until("nobody is left", || {
        (engine.sandbox.sessions.workers() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_used_while_its_expiry_waits_lives_on() {
    for refreshes in [false, true] {
        again("an expiry that waits", async |ttl| {
            // A runtime of its own, as its clock is no other's after that.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let attempt = move || runtime.block_on(use_the_last(refreshes, ttl));
            tokio::task::spawn_blocking(attempt).await.unwrap()
        })
        .await;
    }
}

/// On one thread, whose time and turns are the test's: sixty-four sessions keep all places of those that expire, and
/// the last has to wait for one. Nothing when a busy machine let the time go by in which sessions live.
async fn use_the_last(refreshes: bool, ttl: Duration) -> Option<()> {
    let engine = counter();
    let workers: Vec<_> = (0..65).map(|number| format!("w{number}")).collect();
    let opened = workers
        .iter()
        .map(|worker| engine.open_with(worker, COUNTER, nothing(), Some(ttl)));
    assert!(join_all(opened).await.iter().all(Result::is_ok));
    let sessions: Option<Vec<_>> = workers.iter().map(|worker| find(&engine, worker)).collect();
    let sessions = sessions?;
    tokio::time::pause();
    while sessions.iter().any(|session| session.next_look().is_some()) {
        // The whole thread: nothing of the server may run meanwhile.
        std::thread::sleep(Duration::from_millis(2));
    }
    // More than enough, as timers are rounded up.
    tokio::time::advance(2 * ttl).await;
    let left = || {
        workers
            .iter()
            .filter(|worker| find(&engine, worker).is_some())
    };
    while left().count() > 1 {
        tokio::task::yield_now().await;
    }
    let last = left().next().expect("the last waits for a place");
    let session = find(&engine, last)?;
    if refreshes {
        assert!(session.refresh());
    }
    let go = engine.file("go");
    let call = engine.call(last, "counter:add", json!({ "until": go }));
    let mut call = std::pin::pin!(call);
    if !refreshes {
        assert!(futures_util::poll!(&mut call).is_pending(), "it has begun");
    }
    tokio::time::resume();
    until("the others' end", || {
        (count(&engine, "cleanup") >= 64).then_some(())
    })
    .await;
    std::fs::write(go, "").unwrap();
    let (answer, found) = (call.await, find(&engine, last));
    // Unless its time is up once more.
    session.next_look()?;
    assert_eq!(answer.unwrap()["value"], 1);
    assert!(found.is_some());
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn destroying_lets_calls_end_and_cleans_up_once() {
    let engine = Engine::with(
        json!({ "grace_period": 60 }),
        json!({ "counter": { "config": { "journal": "journal" } } }),
    );
    engine.open("w", COUNTER, nothing()).await.unwrap();
    let go = engine.file("go");
    let running = engine.call("w", "counter:add", json!({ "until": go }));
    let destroying = async {
        inside(&engine, "w").await;
        let (first, second) = tokio::join!(engine.destroy("w", COUNTER), async {
            until("the closing", || find(&engine, "w").is_none().then_some(())).await;
            let refused = engine
                .call("w", "counter:get", nothing())
                .await
                .unwrap_err();
            assert_eq!(refused.0, 1003, "{refused:?}");
            let refused = engine.destroy("w", COUNTER).await;
            std::fs::write(go, "").unwrap();
            refused
        });
        first.unwrap();
        assert_eq!(second.unwrap_err().code.0, 1003);
    };
    let (running, ()) = tokio::join!(running, destroying);
    assert_eq!(running.unwrap()["value"], 1, "the call ended by itself");
    assert_eq!(count(&engine, "cleanup"), 1);
    assert_eq!(engine.destroy("w", COUNTER).await.unwrap_err().status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_initialize_leaves_nothing_and_is_tried_afresh() {
    let engine = counter();
    let failure = engine
        .open("w", COUNTER, json!({ "fail": true }))
        .await
        .unwrap_err();
    assert_eq!(failure.code.0, 2004, "{failure}");
    assert_eq!(
        (
            engine.sandbox.sessions.count(),
            engine.sandbox.sessions.workers()
        ),
        (0, 0)
    );
    assert!(engine.open("w", COUNTER, nothing()).await.unwrap().1);
    let failure = engine
        .open("v", COUNTER, json!({ "strat": 1 }))
        .await
        .unwrap_err();
    assert!(
        failure.message.contains("did you mean `start`"),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_cleanup_ends_the_session_all_the_same() {
    let engine = counter();
    engine
        .open("w", COUNTER, json!({ "fail_end": true }))
        .await
        .unwrap();
    engine.destroy("w", COUNTER).await.unwrap();
    assert!(engine.open("w", COUNTER, nothing()).await.unwrap().1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_costs_its_own_caller_a_timeout_and_is_cancelled() {
    again("an `initialize` that hangs", async |limit| {
        let engine = hangs("initialize_timeout", limit);
        let opened = engine.open("w", "hangs", json!({ "at": ["initialize"] }));
        let failure = opened.await.unwrap_err();
        assert_eq!((failure.code.0, failure.status), (2002, 504), "{failure}");
        cancelled(&engine, "initialize").await
    })
    .await;
    again("a `cleanup` that hangs", async |limit| {
        let engine = hangs("cleanup_timeout", limit);
        let opened = engine.open("w", "hangs", json!({ "at": ["cleanup"] }));
        opened.await.unwrap();
        engine.destroy("w", "hangs").await.unwrap();
        cancelled(&engine, "cleanup").await
    })
    .await;
    let engine = Engine::of("hangs", json!({ "journal": "journal" }));
    engine.open("w", "hangs", nothing()).await.unwrap();
    again("a tool that hangs", async |limit| {
        let call = engine.call_for("w", "hangs:forever", nothing(), Some(limit));
        assert_eq!(call.await.unwrap_err().0, 2002);
        cancelled(&engine, "a tool").await
    })
    .await;
    assert_eq!(
        engine.call("w", "hangs:fine", nothing()).await.unwrap()["hung"],
        false
    );
}

/// A server with this limit, of sessions that hang where they are told to.
fn hangs(limit: &str, time: Duration) -> Engine {
    Engine::with(
        json!({ "limits": { limit: time.as_secs_f64() } }),
        json!({ "hangs": { "config": { "journal": "journal" } } }),
    )
}

/// Waits until what hung is cancelled, not only abandoned; nothing when its time was up before it began.
async fn cancelled(engine: &Engine, place: &str) -> Option<()> {
    let began = count(engine, &format!("hanging in {place}"));
    let cancelled = format!("cancelled in {place}");
    until(&cancelled, || {
        (count(engine, &cancelled) == began).then_some(())
    })
    .await;
    (began > 0).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_cannot_be_stopped_keeps_neither_caller_nor_session() {
    let engine = Engine::with(
        json!({ "grace_period": 0.1 }),
        json!({ "hangs": { "config": {} } }),
    );
    engine.open("w", "hangs", nothing()).await.unwrap();
    let short = Some(Duration::from_millis(100));
    let answer = engine
        .call_for("w", "hangs:block", nothing(), short)
        .await
        .unwrap_err();
    assert_eq!(answer.0, 2002);
    engine.destroy("w", "hangs").await.unwrap();
    assert!(engine.open("w", "hangs", nothing()).await.unwrap().1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_tool_spoils_its_session_only() {
    let engine = Engine::of("panics", nothing());
    engine.open("w", "panics", nothing()).await.unwrap();
    engine.open("v", "panics", nothing()).await.unwrap();
    let (code, message) = engine.call("w", "panics:now", nothing()).await.unwrap_err();
    assert_eq!(code, 2001);
    assert!(
        !message.contains("as told"),
        "the panic's text stays on the server: {message}"
    );
    assert!(message.ends_with("its session is lost; create it again"));
    let (_, message) = engine.call("u", "panics:now", nothing()).await.unwrap_err();
    assert!(
        !message.contains("create it again"),
        "of a session for one call nobody has heard: {message}"
    );
    assert_eq!(
        engine
            .call("w", "panics:fine", nothing())
            .await
            .unwrap_err()
            .0,
        1003
    );
    engine.call("v", "panics:fine", nothing()).await.unwrap();
    let (_, created) = engine.open("w", "panics", nothing()).await.unwrap();
    assert!(created, "creating it again is the way out");
    engine.call("w", "panics:fine", nothing()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_of_the_lifecycle_are_failures_and_no_more() {
    for (place, code) in [("warmup", 2003), ("initialize", 1003)] {
        let engine = Engine::of("panics", json!({ "at": [place] }));
        let failure = engine.open("w", "panics", nothing()).await.unwrap_err();
        assert_eq!(failure.code.0, code, "{place}: {failure}");
    }
    for place in ["cleanup", "drop_session", "shutdown", "drop_backend"] {
        let engine = Engine::of("panics", json!({ "at": [place] }));
        engine.open("w", "panics", nothing()).await.unwrap();
        engine.destroy("w", "panics").await.unwrap();
        assert_eq!(
            engine.sandbox.stop(Duration::from_secs(1)).await,
            0,
            "{place}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn warming_up_happens_once_and_is_tried_again_after_a_failure() {
    let resources = json!({ "hangs": { "config": { "at": ["warmup"], "journal": "journal" } } });
    let begun = |engine: &Engine| count(engine, "hanging in warmup");
    let engine = again("a warm-up that hangs", async |limit| {
        let limits = json!({ "warmup_timeout": limit.as_secs_f64() });
        let engine = Engine::with(json!({ "limits": limits }), resources.clone());
        let calls = (0..10).map(|_| engine.call("w", "hangs:fine", nothing()));
        for answer in join_all(calls).await {
            assert_eq!(answer.unwrap_err().0, 2002, "it took too long");
        }
        (begun(&engine) > 0).then_some(engine)
    })
    .await;
    assert_eq!(begun(&engine), 1, "one warm-up for all that waited");
    again("another one", async |_| {
        let call = engine.call("w", "hangs:fine", nothing());
        assert_eq!(call.await.unwrap_err().0, 2002);
        (begun(&engine) > 1).then_some(())
    })
    .await;
    assert_eq!(begun(&engine), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_sessions_hold() {
    let engine = Engine::with(
        json!({ "limits": { "max_sessions": 3 } }),
        json!({ "counter": { "config": {}, "max_sessions": 2 } }),
    );
    engine.open("a", COUNTER, nothing()).await.unwrap();
    engine.open("b", COUNTER, nothing()).await.unwrap();
    let failure = engine.open("c", COUNTER, nothing()).await.unwrap_err();
    assert_eq!((failure.code.0, failure.status), (1007, 429), "{failure}");
    engine.destroy("a", COUNTER).await.unwrap();
    engine.open("c", COUNTER, nothing()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_lets_calls_end_ends_sessions_and_refuses_new_work() {
    let engine = counter();
    engine.open("w", COUNTER, nothing()).await.unwrap();
    let go = engine.file("go");
    let call = engine.call("w", "counter:add", json!({ "until": go }));
    let stop = async {
        inside(&engine, "w").await;
        engine.sandbox.stop(Duration::from_mins(1)).await
    };
    let let_end = async {
        until("the stop", || {
            (engine.sandbox.readiness() == Readiness::Draining).then_some(())
        })
        .await;
        std::fs::write(&go, "").unwrap();
    };
    let (call, ended, ()) = tokio::join!(call, stop, let_end);
    assert_eq!(call.unwrap()["value"], 1);
    assert_eq!((ended, count(&engine, "cleanup")), (1, 1));
    assert_eq!(
        engine
            .call("w", "counter:get", nothing())
            .await
            .unwrap_err()
            .0,
        5002
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_workers_lose_nothing() {
    let engine = Arc::new(counter());
    let workers = (0..1000).map(|number| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            let worker = format!("w{number}");
            engine.open(&worker, COUNTER, nothing()).await.unwrap();
            for _ in 0..20 {
                engine
                    .call(&worker, "counter:add", nothing())
                    .await
                    .unwrap();
            }
            let value = engine
                .call(&worker, "counter:get", nothing())
                .await
                .unwrap();
            assert_eq!(value["value"], 20);
            engine.destroy(&worker, COUNTER).await.unwrap();
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(
        (count(&engine, "initialize"), count(&engine, "cleanup")),
        (1000, 1000)
    );
    until("the count", || {
        (engine.sandbox.sessions.count() == 0).then_some(())
    })
    .await;
}
