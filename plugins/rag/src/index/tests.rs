//! The index on a real disk: what is written is found, replaced, removed, and survives.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::*;
use crate::mode::Mode;

const CHUNKING: Chunking = Chunking {
    tokens: 64,
    overlap: 8,
};

/// A folder with an index and a corpus.
struct Folder(TempDir);

impl Folder {
    fn new(corpus: &[Value]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write_corpus(corpus);
        folder
    }

    fn write_corpus(&self, documents: &[Value]) {
        let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
        fs::write(self.0.path().join("corpus.jsonl"), lines.join("\n")).unwrap();
    }

    fn place(&self) -> Place {
        Place {
            directory: self.0.path().join("index"),
            corpus: Some(self.0.path().join("corpus.jsonl")),
            chunking: CHUNKING,
            adoption: Adoption::Same,
        }
    }

    fn open(&self) -> Result<Index, IndexError> {
        Index::open(&self.place(), None, &CancellationToken::new(), |_| {})
    }

    fn index_dir(&self) -> impl AsRef<Path> {
        self.0.path().join("index")
    }
}

fn document(id: &str, contents: &str) -> Document {
    let metadata = json!({ "kind": "added" });
    Document::new(
        Some(crate::document::Id::Text(id.to_owned())),
        None,
        Some(contents.to_owned()),
        metadata.as_object().cloned().unwrap(),
        1 << 20,
    )
    .unwrap()
}

fn change(index: &Index, change: Change) -> Changed {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(index.change(change)).unwrap()
}

fn put(index: &Index, documents: &[Document]) -> Changed {
    change(index, Change::Put(index.prepare(documents).unwrap()))
}

fn delete(index: &Index, ids: &[&str]) -> Changed {
    change(
        index,
        Change::Delete(ids.iter().map(|id| (*id).to_owned()).collect()),
    )
}

fn ask(index: &Index, question: &str, filter: &Value) -> Vec<String> {
    let filter = Filter::new(filter.as_object().unwrap_or(&Map::new())).unwrap();
    let passages = index
        .search(&Question::new(question, Mode::Text, filter, 10))
        .unwrap();
    passages.into_iter().map(|passage| passage.id).collect()
}

fn found(index: &Index, question: &str) -> Vec<String> {
    ask(index, question, &Value::Null)
}

#[test]
fn changes_are_seen_by_the_next_search_and_by_the_next_start() {
    let folder = Folder::new(&[json!({"id": "c", "text": "a whale is a mammal"})]);
    let index = folder.open().unwrap();
    let first = put(
        &index,
        &[
            document("x", "the shark is a fish"),
            document("y", "an eel"),
        ],
    );
    assert_eq!(
        first,
        Changed {
            written: 2,
            removed: 0,
            total: 3
        }
    );
    assert_eq!(found(&index, "sharks"), ["x"]);
    let again = put(
        &index,
        &[document("x", "a ray"), document("c", "a dolphin")],
    );
    assert_eq!(
        again,
        Changed {
            written: 2,
            removed: 2,
            total: 3
        }
    );
    assert_eq!(found(&index, "shark whale"), [""; 0]);
    assert_eq!(
        delete(&index, &["y", "y", "nobody"]),
        Changed {
            written: 0,
            removed: 1,
            total: 2
        }
    );
    drop(index);
    let index = folder.open().unwrap();
    assert_eq!(found(&index, "ray"), ["x"]);
    assert_eq!(found(&index, "eel whale"), [""; 0]);
    assert_eq!(index.counts().unwrap().documents, 2);
}

#[test]
fn the_last_of_one_id_in_one_change_counts() {
    let folder = Folder::new(&[]);
    let index = folder.open().unwrap();
    let changed = put(&index, &[document("x", "first"), document("x", "second")]);
    assert_eq!(
        changed,
        Changed {
            written: 2,
            removed: 1,
            total: 1
        }
    );
    assert_eq!(found(&index, "first second"), ["x"]);
    assert_eq!(found(&index, "first"), [""; 0]);
}

#[test]
fn a_new_corpus_replaces_the_old_and_leaves_what_callers_added() {
    let folder = Folder::new(&[
        json!({"id": "a", "text": "apple"}),
        json!({"id": "b", "text": "banana"}),
    ]);
    let index = folder.open().unwrap();
    put(
        &index,
        &[document("x", "cherry"), document("b", "blackberry")],
    );
    drop(index);
    folder.write_corpus(&[
        json!({"id": "b", "text": "banana"}),
        json!({"id": "d", "text": "date"}),
    ]);
    let index = folder.open().unwrap();
    assert_eq!(found(&index, "apple"), [""; 0]);
    assert_eq!(found(&index, "cherry"), ["x"]);
    assert_eq!(found(&index, "date"), ["d"]);
    // The caller's document of that id hides the corpus's.
    assert_eq!(found(&index, "banana"), [""; 0]);
    assert_eq!(found(&index, "blackberry"), ["b"]);
    assert_eq!(index.counts().unwrap().documents, 3);
}

#[test]
fn an_unchanged_corpus_is_not_read_again() {
    let folder = Folder::new(&[json!({"id": "a", "text": "apple"})]);
    let index = folder.open().unwrap();
    delete(&index, &["a"]);
    drop(index);
    let index = folder.open().unwrap();
    assert_eq!(
        found(&index, "apple"),
        [""; 0],
        "a reading would have brought it back"
    );
    drop(index);
    // The same content at another time.
    let corpus = fs::File::options()
        .append(true)
        .open(folder.place().corpus.unwrap())
        .unwrap();
    corpus.set_modified(std::time::UNIX_EPOCH).unwrap();
    let index = folder.open().unwrap();
    assert_eq!(found(&index, "apple"), [""; 0]);
}

#[test]
fn a_wrong_corpus_leaves_the_index_as_it_was() {
    let folder = Folder::new(&[json!({"id": "a", "text": "apple"})]);
    drop(folder.open().unwrap());
    folder.write_corpus(&[
        json!({"id": "b", "text": "banana"}),
        json!({"id": "b", "text": "again"}),
    ]);
    let error = folder.open().err().unwrap().to_string();
    assert_eq!(
        error,
        "corpus.jsonl:2: the id \"b\" is that of line 1 already"
    );
    let without = Place {
        corpus: None,
        ..folder.place()
    };
    let index = Index::open(&without, None, &CancellationToken::new(), |_| {}).unwrap();
    assert_eq!(found(&index, "apple banana"), ["a"]);
}

#[test]
fn a_cancelled_reading_leaves_nothing() {
    let many: Vec<Value> = (0..2000)
        .map(|n| json!({"id": n, "text": "same words"}))
        .collect();
    let folder = Folder::new(&many);
    let cancelled = CancellationToken::new();
    let mut steps = 0;
    let result = Index::open(&folder.place(), None, &cancelled, |progress| {
        assert!(progress.bytes <= progress.of && progress.documents > 0);
        steps += 1;
        cancelled.cancel();
    });
    assert!(matches!(result.err(), Some(IndexError::Cancelled)));
    assert_eq!(steps, 1);
    assert_eq!(folder.open().unwrap().counts().unwrap().documents, 2000);
}

#[test]
fn filters_narrow_without_changing_the_order() {
    let folder = Folder::new(&[
        json!({"id": "1", "text": "red red red", "year": 2001, "tags": ["x", "y"]}),
        json!({"id": "2", "text": "red blue green", "year": 2002, "tags": ["x"]}),
        json!({"id": "3", "text": "red and other colours of the rainbow", "year": "2002"}),
    ]);
    let index = folder.open().unwrap();
    assert_eq!(found(&index, "red"), ["1", "2", "3"]);
    assert_eq!(ask(&index, "red", &json!({"tags": "x"})), ["1", "2"]);
    assert_eq!(
        ask(&index, "red", &json!({"tags": "x", "year": 2002.0})),
        ["2"]
    );
    assert_eq!(ask(&index, "red", &json!({"year": "2002"})), ["3"]);
    assert_eq!(ask(&index, "red", &json!({"nothing": true})), [""; 0]);
}

#[test]
fn a_long_document_answers_once_with_its_best_passage() {
    let filler = "Plain words about nothing in particular fill this sentence up. ".repeat(40);
    let long = format!(
        "{filler} The heron catches fish. {filler} The heron, the heron again: heron. {filler}"
    );
    let mut documents = vec![json!({"id": "long", "text": long})];
    documents.extend((0..5).map(|n| json!({"id": n, "text": "a heron here"})));
    let folder = Folder::new(&documents);
    let index = folder.open().unwrap();
    assert!(index.counts().unwrap().passages > 20);
    let passages = index
        .search(&Question::new("heron", Mode::Text, Filter::default(), 10))
        .unwrap();
    // Two of its passages speak of herons.
    assert_eq!(passages.len(), 6);
    let of_long: Vec<_> = passages
        .iter()
        .filter(|passage| passage.id == "long")
        .collect();
    assert_eq!(of_long.len(), 1);
    assert!(
        of_long[0].content.contains("heron again"),
        "{}",
        of_long[0].content
    );
    assert!(of_long[0].content.len() < 1000);
    delete(&index, &["long"]);
    assert_eq!(index.counts().unwrap().passages, 5);
}

#[test]
fn two_servers_do_not_share_an_index() {
    let folder = Folder::new(&[]);
    let index = folder.open().unwrap();
    let error = folder.open().err().unwrap().to_string();
    assert_eq!(
        error,
        format!(
            "another server has the index open (process {})",
            std::process::id()
        )
    );
    drop(index);
    folder.open().unwrap();
}

#[test]
fn a_directory_that_is_no_index_is_left_alone() {
    let folder = Folder::new(&[]);
    fs::create_dir(folder.index_dir()).unwrap();
    let photo = folder.index_dir().as_ref().join("photo.jpg");
    fs::write(&photo, "precious").unwrap();
    assert!(matches!(folder.open().err(), Some(IndexError::Foreign)));
    assert_eq!(fs::read(&photo).unwrap(), b"precious");
    fs::remove_dir_all(folder.index_dir()).unwrap();
    fs::write(folder.index_dir(), "a file").unwrap();
    assert!(matches!(
        folder.open().err(),
        Some(IndexError::NotADirectory)
    ));
}

#[test]
fn damage_is_noticed_when_the_index_is_opened() {
    for (name, damage) in [
        ("meta.json", "{"),
        (".store", ""),
        (".term", "x"),
        (".idx", "short"),
    ] {
        let folder = Folder::new(&[json!({"id": "a", "text": "apple"})]);
        drop(folder.open().unwrap());
        let victim = fs::read_dir(folder.index_dir())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().ends_with(name))
            .unwrap_or_else(|| panic!("no {name}"));
        fs::write(&victim, damage).unwrap();
        let error = folder.open().err();
        assert!(
            matches!(error, Some(IndexError::Damaged)),
            "{name}: {error:?}"
        );
    }
}

/// What other versions leave behind: other fields, other notes beside them, other files of the engine.
#[test]
fn an_index_of_another_format_is_told_from_a_damaged_one() {
    type Older = fn(&mut Value);
    let fields: Older = |meta| meta["schema"][0]["name"] = json!("older");
    let notes: Older = |meta| meta["payload"] = json!(r#"{"documents": 1}"#);
    for older in [fields, notes] {
        let folder = Folder::new(&[json!({"id": "a", "text": "apple"})]);
        drop(folder.open().unwrap());
        let path = folder.index_dir().as_ref().join("meta.json");
        let mut meta = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        older(&mut meta);
        fs::write(&path, meta.to_string()).unwrap();
        let error = folder.open().err();
        assert!(matches!(error, Some(IndexError::Format)), "{error:?}");
    }
    let folder = Folder::new(&[json!({"id": "a", "text": "apple"})]);
    drop(folder.open().unwrap());
    let mut aged = 0;
    for entry in fs::read_dir(folder.index_dir()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(mut bytes) = fs::read(&path) else {
            continue;
        };
        let version = br#""index_format_version":"#;
        let found = bytes
            .windows(version.len())
            .rposition(|part| part == version);
        if let Some(at) = found {
            bytes[at + version.len()] = b'1';
            fs::write(&path, bytes).unwrap();
            aged += 1;
        }
    }
    assert!(aged > 0);
    let error = folder.open().err();
    assert!(matches!(error, Some(IndexError::Format)), "{error:?}");
}

#[test]
fn changes_of_many_callers_are_all_kept() {
    let folder = Folder::new(&[]);
    let index = Arc::new(folder.open().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let index = Arc::clone(&index);
                tokio::spawn(async move {
                    let id = format!("doc-{}", n % 100);
                    let prepared = index.prepare(&[document(&id, "the same words")]).unwrap();
                    index.change(Change::Put(prepared)).await.unwrap()
                })
            })
            .collect();
        let mut removed = 0;
        for task in tasks {
            removed += task.await.unwrap().removed;
        }
        assert_eq!(removed, 100, "each id was written twice");
    });
    assert_eq!(index.counts().unwrap().documents, 100);
    assert_eq!(index.counts().unwrap().passages, 100);
}
