//! Every family of networks and every pooling, held against `reference.py`, which shares nothing with this code but
//! the formula of the weights.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{Device, Kind, Model};

/// As in the reference.
const WIDTH: usize = 8;
const WIDE: usize = 16;
const LAYERS: usize = 2;
const WORDS: usize = 12;
const POSITIONS: usize = 16;

/// What `reference.py` prints for the tokens of [`TEXTS`].
const REFERENCE: [(&str, &str, [[f32; WIDTH]; 2]); 9] = [
    (
        "bert",
        "mean",
        [
            [
                0.095_600, -0.058_582, -0.020_116, 0.581_512, 0.091_466, -0.678_957, -0.304_445,
                -0.294_673,
            ],
            [
                -0.069_495, -0.230_833, 0.117_164, 0.385_854, 0.218_990, -0.670_131, -0.100_939,
                -0.521_589,
            ],
        ],
    ),
    (
        "bert",
        "cls",
        [
            [
                0.021_918, 0.188_467, -0.194_279, 0.586_934, 0.142_795, -0.602_730, -0.289_175,
                -0.338_332,
            ],
            [
                0.013_922, 0.261_953, -0.015_525, 0.214_763, 0.357_774, -0.697_549, -0.292_895,
                -0.429_486,
            ],
        ],
    ),
    (
        "bert",
        "max",
        [
            [
                0.211_317, 0.179_275, 0.433_779, 0.685_338, 0.139_036, -0.488_526, 0.021_058,
                -0.083_197,
            ],
            [
                0.030_499, 0.275_964, 0.680_056, 0.362_601, 0.376_909, -0.312_861, 0.200_724,
                -0.220_739,
            ],
        ],
    ),
    (
        "xlm-roberta",
        "mean",
        [
            [
                0.077_358, -0.136_420, 0.142_170, 0.462_759, 0.121_813, -0.751_446, -0.301_538,
                -0.265_730,
            ],
            [
                0.085_751, 0.047_783, -0.253_188, 0.326_380, 0.371_403, -0.540_480, -0.469_642,
                -0.411_234,
            ],
        ],
    ),
    (
        "xlm-roberta",
        "cls",
        [
            [
                -0.102_911, 0.280_781, -0.324_147, 0.483_185, 0.046_606, -0.724_341, -0.092_012,
                -0.191_635,
            ],
            [
                -0.159_651, 0.338_221, -0.493_336, 0.418_442, 0.203_371, -0.558_201, -0.141_368,
                -0.262_129,
            ],
        ],
    ),
    (
        "xlm-roberta",
        "max",
        [
            [
                0.309_846, 0.294_618, 0.382_989, 0.557_962, 0.261_372, -0.520_671, -0.057_673,
                -0.128_271,
            ],
            [
                0.242_278, 0.389_147, 0.404_792, 0.481_447, 0.536_009, -0.103_290, -0.162_654,
                -0.264_171,
            ],
        ],
    ),
    (
        "roberta",
        "mean",
        [
            [
                0.016_896, -0.152_324, 0.198_679, 0.369_332, 0.147_707, -0.806_545, -0.252_818,
                -0.253_739,
            ],
            [
                0.073_073, 0.062_926, 0.008_366, -0.265_573, 0.419_369, -0.551_080, -0.553_016,
                -0.367_036,
            ],
        ],
    ),
    (
        "roberta",
        "cls",
        [
            [
                -0.234_059, 0.272_911, -0.264_821, 0.337_263, 0.085_156, -0.816_443, -0.038_593,
                -0.107_425,
            ],
            [
                -0.268_159, 0.430_880, -0.467_157, 0.070_978, 0.305_880, -0.620_759, -0.135_341,
                -0.148_120,
            ],
        ],
    ),
    (
        "roberta",
        "max",
        [
            [
                0.331_615, 0.273_915, 0.494_409, 0.420_588, 0.267_182, -0.556_919, -0.022_328,
                -0.107_820,
            ],
            [
                0.258_139, 0.475_508, 0.674_356, 0.170_011, 0.408_797, 0.086_340, -0.149_359,
                -0.163_461,
            ],
        ],
    ),
];
const TEXTS: [&str; 2] = ["b c d", "e"];

fn formula(name: &str, count: usize) -> Vec<f32> {
    let seed: usize = name.bytes().map(usize::from).sum();
    let norm = f32::from(u8::from(name.ends_with("LayerNorm.weight")));
    let number = |n: usize| u8::try_from((n * 37 + seed * 101 + n * n % 13) % 41).unwrap();
    (0..count)
        .map(|n| (f32::from(number(n)) - 20.0) / 40.0 + norm)
        .collect()
}

/// Writes the weights as safetensors.
fn write_weights(folder: &Path, prefix: &str, types: usize) {
    let mut tensors = vec![
        (
            "embeddings.word_embeddings.weight".to_owned(),
            vec![WORDS, WIDTH],
        ),
        (
            "embeddings.position_embeddings.weight".to_owned(),
            vec![POSITIONS, WIDTH],
        ),
        ("embeddings.LayerNorm.weight".to_owned(), vec![WIDTH]),
        ("embeddings.LayerNorm.bias".to_owned(), vec![WIDTH]),
    ];
    if types > 0 {
        let name = "embeddings.token_type_embeddings.weight".to_owned();
        tensors.push((name, vec![types, WIDTH]));
    }
    for layer in 0..LAYERS {
        for (part, shape) in [
            ("attention.self.query", vec![WIDTH, WIDTH]),
            ("attention.self.key", vec![WIDTH, WIDTH]),
            ("attention.self.value", vec![WIDTH, WIDTH]),
            ("attention.output.dense", vec![WIDTH, WIDTH]),
            ("attention.output.LayerNorm", vec![WIDTH]),
            ("intermediate.dense", vec![WIDE, WIDTH]),
            ("output.dense", vec![WIDTH, WIDE]),
            ("output.LayerNorm", vec![WIDTH]),
        ] {
            let name = format!("encoder.layer.{layer}.{part}");
            tensors.push((format!("{name}.bias"), vec![shape[0]]));
            tensors.push((format!("{name}.weight"), shape));
        }
    }
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in tensors {
        let first = data.len();
        for number in formula(&name, shape.iter().product()) {
            data.extend(number.to_le_bytes());
        }
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [first, data.len()]});
        header.insert(format!("{prefix}{name}"), entry);
    }
    let header = Value::from(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

fn write_model(folder: &Path, family: &str, pooling: &str) {
    let write =
        |name: &str, content: Value| fs::write(folder.join(name), content.to_string()).unwrap();
    let (prefix, types) = match family {
        "bert" => ("", 2),
        "roberta" => ("roberta.", 0),
        _ => ("", 1),
    };
    write_weights(folder, prefix, types);
    write(
        "config.json",
        json!({
            "model_type": family, "hidden_size": WIDTH, "intermediate_size": WIDE, "num_attention_heads": 2,
            "num_hidden_layers": LAYERS, "max_position_embeddings": POSITIONS, "type_vocab_size": types,
            "pad_token_id": 1, "layer_norm_eps": 1e-5, "hidden_act": "gelu",
        }),
    );
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e"];
    let vocabulary: serde_json::Map<_, _> = (0..)
        .zip(words)
        .map(|(id, word)| (word.to_owned(), Value::from(id)))
        .collect();
    let around = |token: &str, id: u32| json!({"id": token, "ids": [id], "tokens": [token]});
    let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    write(
        "tokenizer.json",
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "decoder": null, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [special("[CLS]"), text, special("[SEP]")],
                "pair": [special("[CLS]"), text, special("[SEP]")],
                "special_tokens": {"[CLS]": around("[CLS]", 2), "[SEP]": around("[SEP]", 3)},
            },
            "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocabulary},
        }),
    );
    let module = |path: &str, kind: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
    write(
        "modules.json",
        json!([
            module("", "Transformer"),
            module("1_Pooling", "Pooling"),
            module("2_Normalize", "Normalize"),
        ]),
    );
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    write(
        "1_Pooling/config.json",
        json!({
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_max_tokens": pooling == "max",
        }),
    );
}

#[test]
fn every_family_and_pooling_makes_the_reference_s_vectors() {
    for (family, pooling, expected) in REFERENCE {
        let folder = tempfile::tempdir().unwrap();
        write_model(folder.path(), family, pooling);
        let model = Model::load(folder.path(), Device::Cpu).unwrap();
        let tokens = TEXTS.map(|text| model.tokens(Kind::Passage, text));
        let found = model.embed(&tokens).unwrap();
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!(
                (found - expected).abs() < 2e-6,
                "{family}, {pooling}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn a_prompt_stands_before_what_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    write_model(folder.path(), "bert", "mean");
    let prompts = json!({"prompts": {"query": "e ", "passage": "d "}});
    let path = folder.path().join("config_sentence_transformers.json");
    fs::write(path, prompts.to_string()).unwrap();
    let model = Model::load(folder.path(), Device::Cpu).unwrap();
    assert_eq!(model.tokens(Kind::Query, "b").ids, [2, 8, 5, 3]);
    assert_eq!(model.tokens(Kind::Passage, "b").ids, [2, 7, 5, 3]);
}
