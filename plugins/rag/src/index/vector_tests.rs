//! Vectors on disk: their files are made when they are missing, and follow what the engine does.

use std::{fs, path::PathBuf, sync::Arc};

use sandbox_embedding::{Device, Kind, Model, testkit::model_folder};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Adoption, Change, Filter, Index, Meaning, Place, Question};
use crate::{mode::Mode, text::Chunking};

/// An index of three hundred short passages: enough for a file.
struct Folder {
    folder: TempDir,
    model: Arc<Model>,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<String> = (0..300)
            .map(|n| json!({"id": n, "text": format!("item {n}"), "even": n % 2 == 0}).to_string())
            .collect();
        fs::write(folder.path().join("corpus.jsonl"), lines.join("\n")).unwrap();
        Self {
            folder,
            model: Arc::new(Model::load(&model_folder(), Device::Cpu).unwrap()),
        }
    }

    fn open(&self) -> Index {
        let place = Place {
            directory: self.folder.path().join("index"),
            corpus: Some(self.folder.path().join("corpus.jsonl")),
            chunking: Chunking {
                tokens: 64,
                overlap: 8,
            },
            adoption: Adoption::Same,
        };
        let model = Some(Arc::clone(&self.model));
        Index::open(&place, model, &CancellationToken::new(), |_| {}).unwrap()
    }

    /// The files of vectors.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("index/vectors")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn ask(&self, index: &Index, filter: &serde_json::Value) -> Vec<(String, f32)> {
        let tokens = self.model.tokens(Kind::Query, "item 42");
        let vector = self.model.embed(&[tokens]).unwrap().remove(0);
        let filter = Filter::new(filter.as_object().unwrap()).unwrap();
        let question = Question::new("", Mode::Dense, filter, 300);
        let found = index
            .search(&question.by_meaning(Meaning::new(vector, 1.0)))
            .unwrap();
        found
            .into_iter()
            .map(|passage| (passage.id, passage.score))
            .collect()
    }
}

#[test]
fn a_file_that_is_missing_or_not_whole_is_made_again() {
    let folder = Folder::new();
    let before = folder.ask(&folder.open(), &json!({}));
    assert_eq!((before.len(), before[0].0.as_str()), (300, "42"));
    let [file] = folder.files().try_into().unwrap();
    let whole = fs::read(&file).unwrap();
    for damage in [None, Some(&whole[..whole.len() / 2]), Some(&[0; 100][..])] {
        match damage {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        assert_eq!(folder.ask(&folder.open(), &json!({})), before);
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
}

/// Among few enough passages every one is compared exactly, so this is what exact search finds.
#[test]
fn a_filter_leaves_out_exactly_what_it_says() {
    let folder = Folder::new();
    let index = folder.open();
    let even = |found: &(String, f32)| found.0.parse::<u32>().unwrap().is_multiple_of(2);
    let mut expected = folder.ask(&index, &json!({}));
    expected.retain(even);
    assert_eq!(folder.ask(&index, &json!({"even": true})), expected);
    assert_eq!(folder.ask(&index, &json!({"even": "true"})), []);
}

#[test]
fn removed_passages_are_not_found_and_files_of_old_segments_go() {
    let folder = Folder::new();
    let index = folder.open();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let gone: Vec<String> = (0..290).map(|n| n.to_string()).collect();
    let changed = runtime
        .block_on(index.change(Change::Delete(gone)))
        .unwrap();
    assert_eq!((changed.removed, changed.total), (290, 10));
    let found = folder.ask(&index, &json!({}));
    assert_eq!(found.len(), 10);
    assert!(
        found
            .iter()
            .all(|(id, _)| id.parse::<u32>().unwrap() >= 290)
    );
    drop(index);
    // A new corpus is a new segment, too small for a file.
    fs::write(
        folder.folder.path().join("corpus.jsonl"),
        r#"{"id": "a", "text": "item 42"}"#,
    )
    .unwrap();
    let found = folder.ask(&folder.open(), &json!({}));
    assert_eq!(found.len(), 1);
    assert_eq!(folder.files(), [""; 0].map(PathBuf::from));
}
