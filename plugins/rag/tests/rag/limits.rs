//! What callers may not ask, what they may ask however odd it looks, and what operators read.

use std::fs;

use rag::Rag;
use sandbox_plugin_api::{prelude::*, testkit::TestKit};

use crate::{Server, ids, kit};

#[test]
fn wrong_parameters_are_refused_with_their_place() {
    let server = Server::with(
        &json!({"max_documents": 2, "max_document_bytes": 10, "max_queries": 2, "max_query_bytes": 9}),
    );
    let long = "a".repeat(11);
    for (tool, params, place) in [
        ("rag:search", json!({"query": ""}), "/query"),
        ("rag:search", json!({"query": " \n\u{3000}"}), "/query"),
        ("rag:search", json!({"query": long}), "/query"),
        ("rag:search", json!({"query": 1}), "/query"),
        ("rag:search", json!({}), "/query"),
        ("rag:search", json!({"query": "a", "top_k": 0}), "/top_k"),
        ("rag:search", json!({"query": "a", "top_k": 101}), "/top_k"),
        ("rag:search", json!({"query": "a", "top_k": -1}), "/top_k"),
        (
            "rag:search",
            json!({"query": "a", "mode": "magic"}),
            "/mode",
        ),
        (
            "rag:search",
            json!({"query": "a", "filter": {"x": null}}),
            "/filter/x",
        ),
        (
            "rag:search",
            json!({"query": "a", "filter": {"x": [1]}}),
            "/filter/x",
        ),
        ("rag:search", json!({"query": "a", "topk": 1}), "/topk"),
        (
            "rag:batch_search",
            json!({"queries": ["a", "b", "c"]}),
            "/queries",
        ),
        (
            "rag:batch_search",
            json!({"queries": ["a"], "top_k": 101}),
            "/top_k",
        ),
        (
            "rag:index",
            json!({"documents": [{"text": "a"}, {"title": "b"}]}),
            "/documents/1/contents",
        ),
        (
            "rag:index",
            json!({"documents": [{"text": "a", "contents": "b"}]}),
            "/documents/0/text",
        ),
        (
            "rag:index",
            json!({"documents": [{"text": long}]}),
            "/documents/0/contents",
        ),
        (
            "rag:index",
            json!({"documents": [{"text": "a", "id": ""}]}),
            "/documents/0/id",
        ),
        (
            "rag:index",
            json!({"documents": [{"text": "a", "id": {}}]}),
            "/documents/0/id",
        ),
        (
            "rag:index",
            json!({"documents": [{"text": "a", "txet": "b"}]}),
            "/documents/0",
        ),
        (
            "rag:index",
            json!({"documents": [{}, {}, {}]}),
            "/documents",
        ),
        ("rag:delete", json!({"ids": ["a", ""]}), "/ids/1"),
        ("rag:delete", json!({"ids": ["a", "b", "c"]}), "/ids"),
    ] {
        let (code, message) = server.refused(tool, params.clone());
        assert_eq!(code, 1002, "{params}: {message}");
        assert!(
            message.contains(place),
            "{params}: {place} is not in {message}"
        );
    }
    // A refused call changes nothing, not even by its good half.
    assert_eq!(server.call("rag:stats", json!({}))["index"]["documents"], 0);
}

#[test]
fn an_answer_is_no_longer_than_it_may_be() {
    let server = Server::with(&json!({"max_answer_bytes": 100_000}));
    let documents: Vec<Value> = (0..20)
        .map(|n| json!({"id": n, "text": "an ant", "metadata": {"note": "世".repeat(3000)}}))
        .collect();
    server.call("rag:index", json!({ "documents": documents }));
    let all = json!({"query": "ant", "top_k": 20});
    let answer = server.call("rag:search", all);
    assert_eq!(answer["truncated"], true);
    assert!(answer["full_bytes"].as_u64().unwrap() > 180_000);
    assert_eq!(ids(&answer["results"]).len(), 10);
    let few = server.call("rag:search", json!({"query": "ant", "top_k": 10}));
    assert_eq!(
        (&few["truncated"], &few["full_bytes"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(few["results"], answer["results"]);

    let queries = ["ant", "zebra", "ants", "ant an"];
    let batch = server.call("rag:batch_search", json!({"queries": queries, "top_k": 20}));
    assert!(batch.to_string().len() < 100_000);
    assert_eq!(batch["truncated"], true);
    assert_eq!(batch["truncated_queries"], json!([0, 2, 3]));
    assert!(batch["full_bytes"].as_u64().unwrap() > 540_000);
    assert_eq!(ids(&batch["results"][2]).len(), 2);
    let small = json!({"queries": ["zebra"], "top_k": 20});
    assert_eq!(server.call("rag:batch_search", small)["truncated"], false);
}

#[test]
fn modes_that_need_a_model_say_so() {
    let server = Server::new();
    for mode in ["dense", "hybrid"] {
        let (code, message) = server.refused("rag:search", json!({"query": "a", "mode": mode}));
        assert_eq!(code, 2004);
        assert!(message.contains("model_name"), "{message}");
        assert_eq!(
            server
                .refused("rag:batch_search", json!({"queries": ["a"], "mode": mode}))
                .0,
            2004
        );
    }
    server.call("rag:search", json!({"query": "a", "mode": "text"}));
}

#[test]
fn no_query_is_a_syntax_error() {
    let server = Server::with(&json!({"corpus_path": crate::CORPUS, "max_query_bytes": 1 << 21}));
    for query in [
        "\"",
        "tides AND (",
        "title:tides",
        "+tides -moon",
        "tides~2^5",
        "*",
        "\\",
        "[a TO b]",
        "🙂🙂",
        "\u{0}",
        "tides\u{202e}",
        "NOT",
        "'; DROP TABLE passages; --",
        "ｔｉｄｅｓ",
        "\u{301}",
        "…",
    ] {
        let found = server.found(json!({ "query": query }));
        let has_word = query.contains("tides") || query.contains("ｔ");
        assert_eq!(
            found.iter().any(|id| id == "tides"),
            has_word,
            "{query:?} found {found:?}"
        );
    }
    let words: Vec<String> = (0..140_000).map(|n| format!("w{n}")).collect();
    let megabyte = format!("{} tides", words.join(" "));
    assert!(megabyte.len() > 1_000_000);
    assert_eq!(server.found(json!({ "query": megabyte }))[0], "tides");
    server.found(json!({ "query": "长".repeat(300_000) }));
}

#[test]
fn a_wrong_configuration_is_refused_when_the_backend_is_made() {
    for (config, part) in [
        (json!({}), "index_path is missing"),
        (
            json!({"index_path": "x", "model_name": ""}),
            "model_name: expected the path of a folder",
        ),
        (json!({"index_path": "x", "max_topk": 5}), "max_top_k"),
        (
            json!({"index_path": "x", "default_top_k": 200}),
            "default_top_k: expected at least 1 and at most 100",
        ),
    ] {
        let failure = TestKit::<Rag>::new(config).err().unwrap();
        assert_eq!(failure.code, 5001);
        assert!(
            failure.message.contains(part),
            "{part} is not in {}",
            failure.message
        );
    }
}

#[test]
fn what_keeps_an_index_from_opening_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let warmup = |config: Value| kit(&folder, &config).warmup().unwrap_err();

    fs::write(
        folder.path().join("bad.jsonl"),
        "{\"text\": \"fine\"}\n{\"text\": }\n",
    )
    .unwrap();
    let failure = warmup(json!({"corpus_path": "bad.jsonl"}));
    assert!(
        failure
            .message
            .starts_with("corpus_path: bad.jsonl:2: not a JSON object: "),
        "{}",
        failure.message
    );

    let failure = warmup(json!({"corpus_path": "nowhere.jsonl"}));
    assert!(
        failure
            .message
            .starts_with("corpus_path: nowhere.jsonl cannot be read: No such file"),
        "{}",
        failure.message
    );

    let failure = warmup(json!({"index_path": "bad.jsonl"}));
    assert!(
        failure
            .message
            .contains("bad.jsonl: the index path is a file"),
        "{}",
        failure.message
    );

    let failure = warmup(json!({"index_path": "."}));
    assert!(
        failure.message.contains("holds files, but no index"),
        "{}",
        failure.message
    );

    let index = folder.path().join("index");
    fs::write(index.join("meta.json"), "{}").unwrap();
    let failure = warmup(json!({}));
    assert_eq!(failure.code, 2001);
    assert!(
        failure
            .message
            .contains("the index is damaged: move the folder index away"),
        "{}",
        failure.message
    );

    let outside = folder.path().to_str().unwrap();
    assert!(
        !failure.message.contains(outside),
        "no path of the server reaches a caller"
    );
}
