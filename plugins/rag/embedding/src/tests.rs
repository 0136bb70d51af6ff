//! A real model, and folders that are none.

use std::fs;

use crate::{
    Device, Kind, Model,
    testkit::{model_folder, other_model},
};

fn model() -> Model {
    Model::load(&model_folder(), Device::Cpu).unwrap()
}

fn vectors(model: &Model, texts: &[&str]) -> Vec<Vec<f32>> {
    let tokens = texts.iter().map(|text| model.tokens(Kind::Passage, text));
    model.embed(&tokens.collect::<Vec<_>>()).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The reference is a straightforward run of the same network in double precision with `NumPy`.
#[test]
fn vectors_are_those_of_the_reference() {
    let model = model();
    let reference = [
        (
            "How do plants turn sunlight into energy?",
            [
                -0.006_486, 0.078_469, -0.045_411, 0.122_124, 0.001_682, -0.038_268, 0.023_374,
                -0.040_951,
            ],
        ),
        (
            "hello",
            [
                -0.062_772, 0.054_959, 0.052_165, 0.085_79, -0.082_749, -0.074_573, 0.068_555,
                0.018_396,
            ],
        ),
    ];
    for (text, expected) in reference {
        let vector = &vectors(&model, &[text])[0];
        assert_eq!(vector.len(), model.identity().dimensions);
        for (found, expected) in vector.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 2e-6,
                "{text}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn a_text_means_the_same_alone_and_among_others() {
    let model = model();
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(60);
    let texts = [
        "a",
        "How do plants turn sunlight into energy?",
        &long,
        "光合作用",
        "",
        "a b c",
    ];
    let together = vectors(&model, &texts);
    for (text, together) in texts.iter().zip(&together) {
        let alone = &vectors(&model, &[text])[0];
        assert!(cosine(alone, together) > 0.999_999, "{text}");
        assert!((cosine(alone, alone) - 1.0).abs() < 1e-5);
    }
}

#[test]
fn what_is_meant_alike_is_near() {
    let found = vectors(
        &model(),
        &[
            "A man is eating food.",
            "Somebody has a meal.",
            "The stock market fell.",
        ],
    );
    assert!(cosine(&found[0], &found[1]) > cosine(&found[0], &found[2]) + 0.3);
}

#[test]
fn texts_are_cut_to_what_the_model_takes_and_their_words_are_known_or_not() {
    let model = model();
    let tokens = model.tokens(Kind::Query, &"word ".repeat(10_000));
    assert_eq!((tokens.len(), model.most_tokens()), (256, 256));
    // The token that ends every text is there in a cut one too.
    assert_eq!(tokens.ids.last(), Some(&102));
    assert!(model.tokens(Kind::Query, "plain English").known() > 0.99);
    assert!(model.tokens(Kind::Query, "ᚠᛇᚻ ᛒᛦᚦ ᚠᚱᚩᚠᚢᚱ").known() < 0.5);
}

#[test]
fn offsets_are_those_of_the_text() {
    let text = "Ünïcode wörds, 长城 and so on";
    let offsets = model().offsets(text);
    assert_eq!(&text[offsets[0].0..offsets[0].1], "Ünïcode");
    assert_eq!(offsets.last().unwrap().1, text.len());
}

#[test]
fn another_model_has_another_identity() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    other_model(&other).unwrap();
    let (model, other) = (model(), Model::load(&other, Device::Cpu).unwrap());
    assert_eq!(other.identity().name, "other");
    assert_ne!(model.identity().fingerprint, other.identity().fingerprint);
    let text = ["How do plants turn sunlight into energy?"];
    assert!(cosine(&vectors(&model, &text)[0], &vectors(&other, &text)[0]) < 0.95);
}

#[test]
fn a_folder_that_is_no_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |device| {
        Model::load(folder.path(), device)
            .err()
            .unwrap()
            .to_string()
    };
    assert!(error(Device::Cpu).starts_with("config.json cannot be read: "));
    let path = folder.path().join("config.json");
    fs::write(&path, r#"{"model_type": "t5"}"#).unwrap();
    assert!(
        error(Device::Cpu).contains("config.json: missing field"),
        "{}",
        error(Device::Cpu)
    );
    let t5 = r#"{"model_type": "t5", "hidden_size": 384, "intermediate_size": 1536,
        "num_attention_heads": 12, "num_hidden_layers": 6, "max_position_embeddings": 512}"#;
    fs::write(&path, t5).unwrap();
    assert_eq!(
        error(Device::Cpu),
        "config.json: model_type: expected bert, roberta or xlm-roberta, found t5"
    );
    fs::write(&path, t5.replace("t5", "bert")).unwrap();
    assert!(error(Device::Cpu).contains("tokenizer.json cannot be read: "));
}
