//! What a plugin in C may rely on, seen by one that writes down what happens to its sessions.

use serde_json::{Value, json};

use crate::{
    engine::{Engine, lines, nothing},
    fixtures::{c_library, root},
};

const CSESSION: &str = "csession";

/// A server with the plugin; `flags` are for its compiler.
fn engine_with(server: Value, config: Value, flags: &[&str]) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let include = format!("-I{}", root().join("plugin-api/include").display());
    let mut arguments = vec!["-std=c11", "-Wextra", "-pedantic", "-pthread", &*include];
    arguments.extend(flags);
    let library = c_library("c-session/session.c", folder.path(), CSESSION, &arguments);
    // What is loaded is a copy.
    Engine::with(
        server,
        json!({ CSESSION: { "backend_class": library, "config": config } }),
    )
}

fn engine() -> Engine {
    engine_with(json!({}), nothing(), &[])
}

fn journal(engine: &Engine) -> Vec<String> {
    lines(&engine.file("journal"))
}

fn assert_order(engine: &Engine, expected: &[&str]) {
    let lines = journal(engine);
    let places: Vec<_> = expected
        .iter()
        .map(|line| lines.iter().position(|written| written == line))
        .collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{expected:?} in {lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_taken_from_a_cleanup_that_goes_on() {
    let limits = json!({ "limits": { "cleanup_timeout": 0.1 } });
    let engine = engine_with(limits, nothing(), &[]);
    let stubborn = json!({ "stubborn": true });
    engine.open("w", CSESSION, stubborn).await.unwrap();
    engine.destroy("w", CSESSION).await.unwrap();
    // Nobody waits for the clean-up any more, and the worker may have another session.
    engine.open("w", CSESSION, nothing()).await.unwrap();
    assert!(!journal(&engine).contains(&"release 1".to_owned()));
    engine
        .call("w", "csession:let_go", nothing())
        .await
        .unwrap();
    engine.written("release 1").await;
    assert_order(
        &engine,
        &["cleanup begins 1", "cleanup ends 1", "release 1"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_on_is_cleaned_up_under_and_keeps_its_session() {
    let engine = engine_with(json!({ "grace_period": 0.1 }), nothing(), &[]);
    engine.open("w", CSESSION, nothing()).await.unwrap();
    let call = engine.call("w", "csession:stay", nothing());
    let rest = async {
        engine.written("stay begins 1").await;
        engine.destroy("w", CSESSION).await.unwrap();
        engine
            .call("v", "csession:let_go", nothing())
            .await
            .unwrap();
    };
    let (ended, ()) = tokio::join!(call, rest);
    assert_eq!(ended.unwrap_err().0, 1003);
    engine.written("release 1").await;
    assert_order(&engine, &["cleanup ends 1", "stay ends 1", "release 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_not_passed_on_whoever_checks_parameters() {
    let engine = engine();
    let (code, message) = engine
        .call("w", "csession:garbage", nothing())
        .await
        .unwrap_err();
    assert_eq!(code, 2001);
    assert!(message.contains("not JSON"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_a_session_is_held_against_its_schema() {
    for kind in ["session", "shared"] {
        let flag = format!("-DKIND=\"{kind}\"");
        let engine = engine_with(json!({}), json!({ "its_own": 1 }), &[&flag]);
        for (config, said) in [
            (json!({ "stubborn": "yes" }), "`stubborn`: expected"),
            (json!({ "stuborn": true }), "did you mean `stubborn`?"),
            // The backend's own key is none of the session's.
            (json!({ "its_own": 2 }), "unknown key `its_own`"),
        ] {
            let failure = engine.open("w", CSESSION, config).await.unwrap_err();
            assert_eq!((failure.code.0, failure.status), (1002, 400), "{failure}");
            assert!(failure.message.contains(said), "{failure}");
        }
        assert_eq!(journal(&engine), [""; 0], "the plugin was not asked");
        // What the backend itself is configured with every session gets, known to its schema or not.
        let fine = json!({ "stubborn": false });
        engine.open("w", CSESSION, fine).await.unwrap();
        assert_eq!(
            engine
                .call("w", "csession:config", nothing())
                .await
                .unwrap(),
            json!({ "its_own": 1, "stubborn": false })
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_configured_is_not_told_to_clients() {
    let engine = engine_with(json!({}), json!({ "stubborn": "a secret" }), &[]);
    let failure = engine.open("w", CSESSION, nothing()).await.unwrap_err();
    assert_eq!(failure.code.0, 1003, "{failure}");
    assert!(!failure.message.contains("secret"), "{failure}");
    let better = json!({ "stubborn": false });
    engine.open("w", CSESSION, better).await.unwrap();
}
