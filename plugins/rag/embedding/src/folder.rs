//! What a model folder of sentence-transformers holds: which files, and what they say of the network.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::ModelError;

/// The network's measures.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) wide: usize,
    pub(crate) heads: usize,
    pub(crate) layers: usize,
    pub(crate) epsilon: f32,
    /// How many tokens a text may have.
    pub(crate) tokens: usize,
    /// Where positions begin: `RoBERTa` and its like keep the first ones for padding.
    pub(crate) first_position: usize,
    /// Whether tokens know which sentence they are of.
    pub(crate) has_types: bool,
}

/// How a text's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// Their mean.
    Mean,
    /// The first one.
    First,
    /// The largest of each number.
    Max,
}

/// A model folder that was looked through.
pub(crate) struct Folder {
    /// Where the network's own files are: the folder, or one in it.
    pub(crate) network: PathBuf,
    pub(crate) shape: Shape,
    pub(crate) pooling: Pooling,
    /// What the model wants to stand before a question, and before a passage.
    pub(crate) query_prompt: String,
    pub(crate) passage_prompt: String,
}

#[derive(Deserialize)]
struct Network {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default)]
    pad_token_id: usize,
    #[serde(default = "epsilon")]
    layer_norm_eps: f32,
    #[serde(default)]
    hidden_act: Option<String>,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

const fn epsilon() -> f32 {
    1e-12
}

#[derive(Deserialize)]
struct Module {
    path: String,
    r#type: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PoolingConfig {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sentences {
    max_seq_length: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Prompts {
    prompts: std::collections::HashMap<String, String>,
}

impl Folder {
    pub(crate) fn read(folder: &Path) -> Result<Self, ModelError> {
        let modules: Vec<Module> = optional(folder, "modules.json")?.unwrap_or_default();
        let (mut network, mut pooling) = (folder.to_owned(), Pooling::Mean);
        for module in &modules {
            let kind = module.r#type.rsplit('.').next().unwrap_or_default();
            match kind {
                "Transformer" => network = folder.join(&module.path),
                "Pooling" => pooling = read_pooling(&folder.join(&module.path))?,
                // All vectors are compared by their direction.
                "Normalize" => {}
                other => {
                    return Err(ModelError::Unsupported(format!(
                        "modules.json: expected Transformer, Pooling and Normalize, found {other}"
                    )));
                }
            }
        }
        let prompts: Prompts =
            optional(folder, "config_sentence_transformers.json")?.unwrap_or_default();
        let prompt = |names: &[&str]| {
            let found = names.iter().find_map(|name| prompts.prompts.get(*name));
            found.cloned().unwrap_or_default()
        };
        Ok(Self {
            shape: read_shape(&network)?,
            network,
            pooling,
            query_prompt: prompt(&["query"]),
            passage_prompt: prompt(&["document", "passage"]),
        })
    }
}

fn read_pooling(folder: &Path) -> Result<Pooling, ModelError> {
    let config: PoolingConfig = required(folder, "config.json")?;
    let chosen = [
        (config.pooling_mode_mean_tokens, Pooling::Mean),
        (config.pooling_mode_cls_token, Pooling::First),
        (config.pooling_mode_max_tokens, Pooling::Max),
    ];
    let mut chosen = chosen.into_iter().filter(|(chosen, _)| *chosen);
    match (chosen.next(), chosen.next()) {
        (Some((_, pooling)), None) => Ok(pooling),
        _ => Err(ModelError::Unsupported(
            "the pooling's config.json: expected one of mean, cls and max".to_owned(),
        )),
    }
}

fn read_shape(folder: &Path) -> Result<Shape, ModelError> {
    let network: Network = required(folder, "config.json")?;
    let unsupported = |key: &str, expected: &str, found: &str| {
        Err(ModelError::Unsupported(format!(
            "config.json: {key}: expected {expected}, found {found}"
        )))
    };
    let first_position = match network.model_type.as_str() {
        "bert" => 0,
        "roberta" | "xlm-roberta" | "camembert" => network.pad_token_id + 1,
        other => return unsupported("model_type", "bert, roberta or xlm-roberta", other),
    };
    let activation = network.hidden_act.as_deref().unwrap_or("gelu");
    if activation != "gelu" {
        return unsupported("hidden_act", "gelu", activation);
    }
    let position = network
        .position_embedding_type
        .as_deref()
        .unwrap_or("absolute");
    if position != "absolute" {
        return unsupported("position_embedding_type", "absolute", position);
    }
    let (width, heads) = (network.hidden_size, network.num_attention_heads);
    if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
        return unsupported(
            "num_attention_heads",
            "a number that divides hidden_size",
            &heads.to_string(),
        );
    }
    let positions = network
        .max_position_embeddings
        .saturating_sub(first_position);
    let sentences: Sentences = optional(folder, "sentence_bert_config.json")?.unwrap_or_default();
    let tokens = sentences.max_seq_length.unwrap_or(positions).min(positions);
    if tokens < 8 {
        return unsupported(
            "max_position_embeddings",
            "room for 8 tokens",
            &tokens.to_string(),
        );
    }
    Ok(Shape {
        width,
        wide: network.intermediate_size,
        heads,
        layers: network.num_hidden_layers,
        epsilon: network.layer_norm_eps,
        tokens,
        first_position,
        has_types: network.type_vocab_size > 0,
    })
}

fn required<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<T, ModelError> {
    let text = fs::read(folder.join(file)).map_err(|source| ModelError::File {
        file: file.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| ModelError::content(file, error))
}

fn optional<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<Option<T>, ModelError> {
    if !folder.join(file).exists() {
        return Ok(None);
    }
    required(folder, file).map(Some)
}
