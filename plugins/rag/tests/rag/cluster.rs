//! The same tools with the documents on a Qdrant server. No such server can be installed from where this
//! project takes its packages, so a peer of our own speaks its protocol.

use std::net::{Ipv4Addr, TcpListener};

use sandbox_embedding::testkit::model_folder;
use sandbox_plugin_api::{prelude::*, testkit::TestKit};

use crate::{CORPUS, ids, qdrant_peer::Peer, relevance::QUESTIONS};

fn kit(peer: &Peer, more: &Value) -> TestKit<rag::Rag> {
    let mut config = json!({ "qdrant": { "url": peer.url() } });
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap());
    TestKit::at(config, "/nowhere").unwrap()
}

fn warm(peer: &Peer, more: &Value) -> TestKit<rag::Rag> {
    let kit = kit(peer, more);
    kit.warmup().unwrap();
    kit
}

fn found(kit: &TestKit<rag::Rag>, params: Value) -> Vec<String> {
    ids(&kit.call("rag:search", params).unwrap()["results"])
}

#[test]
fn a_cluster_answers_as_an_index_does() {
    let peer = Peer::start();
    let kit = warm(
        &peer,
        &json!({ "corpus_path": CORPUS, "model_name": model_folder() }),
    );
    let missed: Vec<_> = QUESTIONS
        .iter()
        .filter_map(|(question, expected)| {
            let found = found(&kit, json!({ "query": question, "top_k": 3 }));
            (!found.iter().any(|id| id == expected)).then_some((question, found))
        })
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert_eq!(
        found(
            &kit,
            json!({"query": "deaf composer", "mode": "dense", "top_k": 1})
        ),
        ["beethoven"]
    );
    assert_eq!(
        found(&kit, json!({"query": "长城", "mode": "text", "top_k": 1})),
        ["zh-changcheng"]
    );
    let filtered = json!({"query": "energy", "top_k": 50, "filter": {"topic": "biology"}});
    let answer = kit.call("rag:search", filtered).unwrap();
    let results = answer["results"].as_array().unwrap();
    assert!(
        !results.is_empty()
            && results
                .iter()
                .all(|result| result["metadata"]["topic"] == "biology")
    );
    let stats = kit.call("rag:stats", json!({})).unwrap();
    assert_eq!(
        (&stats["index"]["documents"], &stats["index"]["path"]),
        (&json!(176), &json!("qdrant:passages"))
    );
    kit.run_examples();
    kit.shutdown().unwrap();
    // Nothing is read again: every upsert would be more than these few requests.
    peer.state.lock().unwrap().answers = Some(2);
    warm(
        &peer,
        &json!({ "corpus_path": CORPUS, "model_name": model_folder() }),
    );
}

#[test]
fn documents_are_added_replaced_and_removed() {
    let peer = Peer::start();
    let kit = warm(&peer, &json!({ "chunk_tokens": 16, "chunk_overlap": 0 }));
    let long = format!(
        "An eel lives in water. {}",
        "It swims on and on every day. ".repeat(20)
    );
    let documents = json!({"documents": [
        {"id": "a", "text": long, "metadata": {"legs": 0}},
        {"id": "b", "text": "A heron stands in water."},
        {"id": "b", "text": "A heron stands on the shore."},
    ]});
    let answer = kit.call("rag:index", documents).unwrap();
    assert_eq!(answer, json!({"indexed": 3, "replaced": 1, "total": 2}));
    assert_eq!(found(&kit, json!({"query": "water"})), ["a"]);
    assert_eq!(
        found(&kit, json!({"query": "swim heron", "filter": {"legs": 0}})),
        ["a"]
    );
    let shorter = json!({"documents": [{"id": "a", "title": "Eels", "text": "An eel is a fish."}]});
    let answer = kit.call("rag:index", shorter).unwrap();
    assert_eq!(answer, json!({"indexed": 1, "replaced": 1, "total": 2}));
    // The passages that the shorter document has no more are gone.
    assert_eq!(found(&kit, json!({"query": "swims every day"})), [""; 0]);
    assert_eq!(
        kit.call("rag:stats", json!({})).unwrap()["index"]["chunks"],
        2
    );
    let answer = kit
        .call("rag:delete", json!({"ids": ["a", "nobody"]}))
        .unwrap();
    assert_eq!(answer, json!({"deleted": 1, "total": 1}));
    assert_eq!(found(&kit, json!({"query": "eel"})), [""; 0]);
}

#[test]
fn ids_and_metadata_with_spaces_are_one_word() {
    let peer = Peer::start();
    let kit = warm(&peer, &json!({}));
    let documents = json!({"documents": [
        {"id": "grey heron", "text": "A bird in water.", "metadata": {"z": 1, "a": {"d": "x y", "c": [2.5]}}},
        {"id": "heron", "text": "Another bird in water.", "metadata": {"a": {"d": "x"}}},
    ]});
    kit.call("rag:index", documents).unwrap();
    let query = json!({"query": "bird", "filter": {"a.d": "x y"}});
    let results = &kit.call("rag:search", query).unwrap()["results"];
    assert_eq!(ids(results), ["grey heron"]);
    assert_eq!(
        results[0]["metadata"].to_string(),
        r#"{"a":{"c":[2.5],"d":"x y"},"z":1}"#
    );
    let answer = kit.call("rag:delete", json!({"ids": ["grey heron"]}));
    assert_eq!(answer.unwrap(), json!({"deleted": 1, "total": 1}));
}

#[test]
fn a_new_corpus_replaces_the_old_and_leaves_what_callers_added() {
    let peer = Peer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let config = json!({ "corpus_path": path });
    std::fs::write(
        &path,
        "{\"id\": 1, \"text\": \"one whale\"}\n{\"id\": 2, \"text\": \"two whales\"}",
    )
    .unwrap();
    let kit = warm(&peer, &config);
    kit.call(
        "rag:index",
        json!({"documents": [{"id": "2", "text": "my own shark"}]}),
    )
    .unwrap();
    kit.shutdown().unwrap();
    std::fs::write(
        &path,
        "{\"id\": 2, \"text\": \"two rays\"}\n{\"id\": 3, \"text\": \"three rays\"}",
    )
    .unwrap();
    let kit = warm(&peer, &config);
    assert_eq!(found(&kit, json!({"query": "whale"})), [""; 0]);
    assert_eq!(found(&kit, json!({"query": "ray"})), ["3"]);
    assert_eq!(found(&kit, json!({"query": "shark"})), ["2"]);
}

#[test]
fn what_the_server_refuses_is_said() {
    // At an address where nobody else is given the port once the peer is gone.
    let peer = Peer::at(Ipv4Addr::new(127, 0, 0, 2));
    peer.state.lock().unwrap().key = Some("secret".to_owned());
    let failure = kit(&peer, &json!({})).warmup().unwrap_err();
    assert!(
        failure.message.contains("refused the api_key"),
        "{}",
        failure.message
    );
    let with_key = json!({ "qdrant": { "url": peer.url(), "api_key": "secret" } });
    let kit = warm(&peer, &with_key);
    peer.state.lock().unwrap().answers = Some(0);
    let failure = kit.call("rag:search", json!({"query": "a"})).unwrap_err();
    assert_eq!(failure.code, 2004);
    assert!(
        failure.message.contains("Internal") && failure.message.contains("disk"),
        "{}",
        failure.message
    );
    let address = peer.address.to_string();
    drop(peer);
    let failure = kit.call("rag:search", json!({"query": "a"})).unwrap_err();
    assert_eq!(failure.code, 2004);
    assert!(
        failure.message.contains("cannot be reached"),
        "{}",
        failure.message
    );
    assert!(!failure.message.contains(&address), "{}", failure.message);
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    // The system takes the connections, and nobody answers them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let config = json!({ "qdrant": { "url": url, "timeout": 0.1 } });
    let kit: TestKit<rag::Rag> = TestKit::at(config, "/nowhere").unwrap();
    let failure = kit.warmup().unwrap_err();
    assert!(
        failure.message.contains("did not answer in time"),
        "{}",
        failure.message
    );
}

#[test]
fn a_collection_of_another_model_is_refused() {
    let peer = Peer::start();
    drop(warm(&peer, &json!({})));
    let failure = kit(&peer, &json!({ "model_name": model_folder() }))
        .warmup()
        .unwrap_err();
    assert!(
        failure.message.contains("name another collection"),
        "{}",
        failure.message
    );
}
