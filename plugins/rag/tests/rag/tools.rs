//! What each tool answers.

use std::sync::Arc;

use sandbox_plugin_api::{
    host::Request,
    prelude::*,
    testkit::{success, wait},
};

use crate::{CORPUS, Server, ids, kit};

#[test]
fn every_declared_example_works() {
    let server = Server::new();
    server.kit.run_examples();
}

#[test]
fn a_search_answers_with_passages_and_one_text() {
    let server = Server::with(&json!({}));
    server.call(
        "rag:index",
        json!({"documents": [
            {"id": "a", "title": "Ants", "text": "An ant carries leaves.", "metadata": {"legs": 6}},
            {"id": "b", "contents": "The ant and the grasshopper and the ant."},
        ]}),
    );
    let answer = server.call("rag:search", json!({"query": "ants"}));
    assert_eq!(answer["query"], "ants");
    assert_eq!(
        answer["context"],
        "[Ants]\nAn ant carries leaves.\n---\n[b]\nThe ant and the grasshopper and the ant."
    );
    let first = &answer["results"][0];
    assert_eq!(first["title"], "Ants");
    assert_eq!(first["content"], "An ant carries leaves.");
    assert_eq!(first["metadata"], json!({"legs": 6}));
    assert!(first["score"].as_f64().unwrap() > answer["results"][1]["score"].as_f64().unwrap());
    assert_eq!(answer["results"][1]["title"], Value::Null);
    assert_eq!(
        server.found(json!({"query": "ant", "filter": {"legs": 6}})),
        ["a"]
    );
    let nothing = server.call("rag:search", json!({"query": "zebra"}));
    assert_eq!(
        (&nothing["results"], &nothing["context"]),
        (&json!([]), &json!(""))
    );
}

#[test]
fn documents_are_added_replaced_and_removed() {
    let server = Server::with(&json!({}));
    let documents = json!({"documents": [{"id": 7, "text": "seven"}, {"text": "without an id"}]});
    assert_eq!(
        server.call("rag:index", documents.clone()),
        json!({"indexed": 2, "replaced": 0, "total": 2})
    );
    assert_eq!(
        server.call("rag:index", documents),
        json!({"indexed": 2, "replaced": 2, "total": 2})
    );
    assert_eq!(server.found(json!({"query": "seven"})), ["7"]);
    assert_eq!(
        server.call("rag:delete", json!({"ids": ["7", "8"]})),
        json!({"deleted": 1, "total": 1})
    );
    assert_eq!(server.found(json!({"query": "seven"})), [""; 0]);
    assert_eq!(
        server.call("rag:index", json!({"documents": []})),
        json!({"indexed": 0, "replaced": 0, "total": 1})
    );
}

#[test]
fn a_batch_keeps_its_order_and_names_what_failed() {
    let server = Server::new();
    let answer = server.call(
        "rag:batch_search",
        json!({
            "queries": ["tides of the sea", " ", "李白的诗", "x".repeat(20_000)], "top_k": 2,
        }),
    );
    assert_eq!(answer["count"], 4);
    assert_eq!(ids(&answer["results"][0])[0], "tides");
    assert_eq!(ids(&answer["results"][2])[0], "zh-libai");
    assert!(
        answer["contexts"][2]
            .as_str()
            .unwrap()
            .starts_with("[李白]\n")
    );
    assert_eq!(
        (&answer["results"][1], &answer["contexts"][1]),
        (&json!([]), &json!(""))
    );
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(
        errors
            .iter()
            .map(|error| &error["index"])
            .collect::<Vec<_>>(),
        [1, 3]
    );
    assert!(errors[0]["error"].as_str().unwrap().contains("/queries/1"));
}

#[test]
fn a_batch_finds_what_single_searches_find() {
    let server = Server::new();
    let queries = ["water", "number", "war and wall", "中国", "computer memory"];
    let many: Vec<&str> = queries.iter().cycle().take(100).copied().collect();
    let answer = server.call("rag:batch_search", json!({ "queries": many }));
    for (place, query) in many.iter().enumerate() {
        let single = server.call("rag:search", json!({ "query": query }));
        assert_eq!(answer["results"][place], single["results"], "{query}");
    }
}

#[test]
fn stats_count() {
    let folder = tempfile::tempdir().unwrap();
    let kit = kit(&folder, &json!({ "corpus_path": CORPUS }));
    let cold = kit.call("rag:stats", json!({})).unwrap();
    assert_eq!(
        (&cold["initialized"], &cold["index"]),
        (&json!(false), &Value::Null)
    );
    assert!(kit.probe().unwrap_err().message.contains("not open"));
    kit.warmup().unwrap();
    kit.call("rag:search", json!({"query": "a"})).unwrap();
    kit.call("rag:batch_search", json!({"queries": ["a", "b", "c"]}))
        .unwrap();
    let stats = kit.call("rag:stats", json!({})).unwrap();
    assert_eq!(kit.probe().unwrap(), stats);
    assert_eq!(stats["initialized"], true);
    assert_eq!(stats["index"]["path"], "index");
    assert_eq!(stats["index"]["documents"], 176);
    assert!(stats["index"]["chunks"].as_u64().unwrap() >= 176);
    assert!(stats["index"]["bytes"].as_u64().unwrap() > 10_000);
    assert_eq!(
        (&stats["index"]["model"], &stats["index"]["dimensions"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        stats["batcher"],
        json!({"total_queries": 4, "total_batches": 2, "avg_batch_size": 2.0, "queue_size": 0})
    );
}

#[test]
fn a_worker_has_defaults_of_its_own() {
    let server = Server::new();
    let search = |config: Value, params: Value| server.kit.call_as(config, "rag:search", params);
    let many = json!({"query": "the number of people in the world"});
    assert_eq!(server.found(many.clone()).len(), 10);
    let config = json!({"index_path": "index", "top_k": 4});
    assert_eq!(
        search(config.clone(), many.clone()).unwrap()["results"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let two = json!({"query": "the number of people in the world", "top_k": 2});
    assert_eq!(
        search(config, two).unwrap()["results"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        search(json!({"mode": "dense"}), many.clone())
            .unwrap_err()
            .code,
        2004
    );
    assert_eq!(search(json!({"top_k": "x"}), many).unwrap_err().code, 1002);
    // The server refuses whatever else a session would set.
    let settings = &server.kit.description()["session_config_schema"];
    assert_eq!(settings["additionalProperties"], false);
    let known: Vec<_> = settings["properties"].as_object().unwrap().keys().collect();
    assert_eq!(known, ["top_k", "mode"]);
}

#[test]
fn searches_and_changes_run_together() {
    let server = Server::new();
    let kit = &server.kit;
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for turn in 0..10 {
                    let text = format!("gnu{worker}x{turn} grazes");
                    kit.call("rag:index", json!({"documents": [{"text": text}]}))
                        .unwrap();
                    let found = kit
                        .call(
                            "rag:search",
                            json!({"query": format!("gnu{worker}x{turn}")}),
                        )
                        .unwrap();
                    assert_eq!(
                        found["results"].as_array().unwrap().len(),
                        1,
                        "{worker} {turn}"
                    );
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(move || {
                for _ in 0..200 {
                    let found = kit
                        .call("rag:search", json!({"query": "why is the sky blue"}))
                        .unwrap();
                    assert_eq!(found["results"][0]["id"], "sky-blue");
                }
            });
        }
    });
    assert_eq!(
        server.call("rag:stats", json!({}))["index"]["documents"],
        176 + 40
    );
}

#[test]
fn changes_that_wait_together_are_all_answered() {
    let server = Server::with(&json!({}));
    let pending: Vec<_> = (0..100)
        .map(|number| {
            let document = json!({"documents": [{"id": number, "text": "at once"}]});
            server
                .kit
                .begin("rag:index", &document, Request::default(), None)
        })
        .collect();
    for pending in pending {
        assert_eq!(success(&wait(pending)).unwrap().data["indexed"], 1);
    }
    assert_eq!(
        server.call("rag:stats", json!({}))["index"]["documents"],
        100
    );
}

#[test]
fn a_stopped_backend_lets_another_have_the_index() {
    let server = Server::new();
    server.call(
        "rag:index",
        json!({"documents": [{"id": "kept", "text": "wombat"}]}),
    );
    let second = kit(&server.folder, &json!({ "corpus_path": CORPUS }));
    let refused = second.warmup().unwrap_err();
    assert_eq!(refused.code, 2004);
    assert!(
        refused
            .message
            .contains("another server has the index open"),
        "{}",
        refused.message
    );
    assert!(
        refused.message.contains("index_path of its own"),
        "{}",
        refused.message
    );
    server.kit.shutdown().unwrap();
    assert_eq!(
        server.refused("rag:search", json!({"query": "wombat"})).0,
        2004
    );
    second.warmup().unwrap();
    let found = second
        .call("rag:search", json!({"query": "wombat"}))
        .unwrap();
    assert_eq!(ids(&found["results"]), ["kept"]);
    // Warming up what is warm opens it anew.
    second.warmup().unwrap();
    assert_eq!(
        second.call("rag:stats", json!({})).unwrap()["index"]["documents"],
        177
    );
}

/// The handle of a test kit can be shared between threads: that is what the tests above rely on.
const _: fn(Arc<Server>) = |server| drop(std::thread::spawn(move || drop(server)));
