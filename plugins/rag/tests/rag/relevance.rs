//! Questions that a newcomer may type, and the passages that answer them.

use sandbox_plugin_api::prelude::*;

use crate::Server;

pub(crate) const QUESTIONS: [(&str, &str); 22] = [
    ("How do plants turn sunlight into energy?", "photosynthesis"),
    (
        "who was the first person to walk on the moon",
        "moon-landing",
    ),
    (
        "At what temperature does water boil on a mountain?",
        "water-boiling",
    ),
    ("What causes high and low tides?", "tides"),
    ("Why is the sky blue?", "sky-blue"),
    ("Who invented the telephone?", "telephone"),
    (
        "difference between processes and threads",
        "processes-threads",
    ),
    ("What does HTTP status code 404 mean?", "http"),
    (
        "how does the borrow checker prevent data races",
        "rust-ownership",
    ),
    ("two threads waiting for each other's lock", "deadlock"),
    ("What is retrieval augmented generation?", "rag"),
    ("How old is the universe?", "big-bang"),
    ("fastest sorting with a pivot", "quicksort"),
    (
        "What should I do when somebody has a burn?",
        "first-aid-burn",
    ),
    ("When did the Berlin Wall come down?", "berlin-wall"),
    ("什么是光合作用？", "zh-guanghe"),
    ("天空为什么是蓝色的", "zh-lantian"),
    ("谁写了《红楼梦》？", "zh-honglou"),
    ("长城有多长", "zh-changcheng"),
    ("中国古代的四大发明是哪些？", "zh-sidafaming"),
    ("数据库事务的特性", "zh-shujuku"),
    ("烫伤了应该怎么办", "zh-tangshang"),
];

#[test]
fn each_question_finds_its_passage_among_the_first_three() {
    let server = Server::new();
    let missed: Vec<_> = QUESTIONS
        .iter()
        .filter_map(|(question, expected)| {
            let found = server.found(json!({ "query": question, "top_k": 3 }));
            (!found.iter().any(|id| id == expected)).then_some((question, found))
        })
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn words_are_found_in_any_form_and_language_mixes() {
    let server = Server::new();
    assert_eq!(
        server.found(json!({"query": "VACCINATED vaccine", "top_k": 1})),
        ["vaccines"]
    );
    assert_eq!(
        server.found(json!({"query": "Godel", "top_k": 1})),
        ["goedel"]
    );
    assert_eq!(
        server.found(json!({"query": "ＲＳＡ算法", "top_k": 1})),
        ["zh-jiamiyuanli"]
    );
}
