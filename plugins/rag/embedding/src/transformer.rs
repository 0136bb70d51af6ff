//! The network: BERT and its like (XLM-R, `RoBERTa`), from tokens to a vector for each token.
//!
//! Texts of different lengths are run together without padding: all their tokens are rows of one
//! matrix, and only attention knows which rows are of one text. What a row is at first is looked up
//! here; what the layers make of it is the business of a processor (`cpu`) or a graphics card (`gpu`).

use std::{io, ops::Range};

#[cfg(feature = "gpu")]
use crate::gpu::{Choice, Gpu};
use crate::{
    Device, ModelError,
    cpu::Cpu,
    folder::Shape,
    math::{add_scaled, layer_norm},
    tensors::{Table, Tensors},
};

/// What turns the rows of embeddings into those of the last layer.
pub(crate) trait Layers: Send + Sync {
    /// `texts` are, for each row, the rows of its text.
    fn run(&self, rows: Vec<f32>, texts: &[Range<usize>]) -> io::Result<Vec<f32>>;
}

/// The network.
pub(crate) struct Transformer {
    shape: Shape,
    words: Table,
    positions: Vec<f32>,
    /// What all tokens of the first and only sentence are given.
    sentence: Vec<f32>,
    norm: Norm,
    layers: Box<dyn Layers>,
}

/// A layer's weights as they are stored.
pub(crate) struct LayerWeights {
    /// Query, key and value of a row, one after the other.
    pub(crate) attention: Dense,
    pub(crate) attended: Dense,
    pub(crate) attended_norm: Norm,
    pub(crate) wide: Dense,
    pub(crate) narrow: Dense,
    pub(crate) narrow_norm: Norm,
}

/// All weights of the first output, then all of the second.
pub(crate) struct Dense {
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// The mean and spread that a row is given.
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    epsilon: f32,
}

impl Transformer {
    pub(crate) fn load(
        tensors: &Tensors,
        shape: &Shape,
        device: Device,
    ) -> Result<Self, ModelError> {
        let width = shape.width;
        let table = |name: &str| tensors.table(&format!("embeddings.{name}.weight"), width);
        let words = table("word_embeddings")?;
        let rows = table("position_embeddings")?.rows();
        let positions = tensors.read("embeddings.position_embeddings.weight", &[rows, width])?;
        if positions.len() < (shape.first_position + shape.tokens) * width {
            return Err(ModelError::content(
                "model.safetensors",
                "it has fewer positions than config.json says",
            ));
        }
        let mut sentence = vec![0.0; width];
        if shape.has_types {
            let read = table("token_type_embeddings")?.add(0, &mut sentence);
            read.map_err(|error| ModelError::content("model.safetensors", error))?;
        }
        // One layer after the other, so that what is stored and what is laid out are never both in memory.
        let layers = (0..shape.layers).map(|number| LayerWeights::read(tensors, shape, number));
        Ok(Self {
            words,
            positions,
            sentence,
            norm: Norm::load(tensors, "embeddings.LayerNorm", shape)?,
            layers: on(device, shape, layers)?,
            shape: shape.clone(),
        })
    }

    /// A vector for each token of each text, in their order.
    pub(crate) fn run(&self, texts: &[&[u32]]) -> io::Result<Vec<f32>> {
        let mut rows = Vec::new();
        let mut texts_of_rows = Vec::new();
        for text in texts {
            let first = texts_of_rows.len();
            for (place, token) in text.iter().enumerate() {
                rows.extend(self.embedding(*token, place)?);
                texts_of_rows.push(first..first + text.len());
            }
        }
        self.layers.run(rows, &texts_of_rows)
    }

    fn embedding(&self, token: u32, place: usize) -> io::Result<Vec<f32>> {
        let width = self.shape.width;
        let mut row = self.sentence.clone();
        self.words.add(token as usize, &mut row)?;
        let position = (self.shape.first_position + place) * width;
        add_scaled(&mut row, 1.0, &self.positions[position..][..width]);
        self.norm.apply(&mut row);
        Ok(row)
    }
}

impl LayerWeights {
    fn read(tensors: &Tensors, shape: &Shape, number: usize) -> Result<Self, ModelError> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let dense = |part: &str, outputs: usize, inputs: usize| {
            let weights = tensors.read(&name(&format!("{part}.weight")), &[outputs, inputs])?;
            let bias = tensors.read(&name(&format!("{part}.bias")), &[outputs])?;
            Ok::<_, ModelError>(Dense { weights, bias })
        };
        let norm = |part: &str| Norm::load(tensors, &name(part), shape);
        let (width, wide) = (shape.width, shape.wide);
        let mut attention = dense("attention.self.query", width, width)?;
        for part in ["key", "value"] {
            let more = dense(&format!("attention.self.{part}"), width, width)?;
            attention.weights.extend(more.weights);
            attention.bias.extend(more.bias);
        }
        Ok(Self {
            attention,
            attended: dense("attention.output.dense", width, width)?,
            attended_norm: norm("attention.output.LayerNorm")?,
            wide: dense("intermediate.dense", wide, width)?,
            narrow: dense("output.dense", width, wide)?,
            narrow_norm: norm("output.LayerNorm")?,
        })
    }
}

impl Norm {
    fn load(tensors: &Tensors, name: &str, shape: &Shape) -> Result<Self, ModelError> {
        Ok(Self {
            weight: tensors.read(&format!("{name}.weight"), &[shape.width])?,
            bias: tensors.read(&format!("{name}.bias"), &[shape.width])?,
            epsilon: shape.epsilon,
        })
    }

    #[inline(always)]
    pub(crate) fn apply(&self, row: &mut [f32]) {
        layer_norm(row, &self.weight, &self.bias, self.epsilon);
    }
}

/// The layers on a device.
fn on(
    device: Device,
    shape: &Shape,
    layers: impl Iterator<Item = Result<LayerWeights, ModelError>>,
) -> Result<Box<dyn Layers>, ModelError> {
    match device {
        Device::Cpu => Ok(Box::new(Cpu::load(shape, layers)?)),
        #[cfg(feature = "gpu")]
        Device::Gpu(number) => Ok(Box::new(Gpu::load(Choice::Card(number), shape, layers)?)),
        #[cfg(feature = "gpu")]
        Device::Software => Ok(Box::new(Gpu::load(Choice::Software, shape, layers)?)),
        #[cfg(not(feature = "gpu"))]
        Device::Gpu(_) | Device::Software => Err(ModelError::Device(
            "this build runs models on the CPU only: set device to cpu, or build the plugin with \
             `cargo build --release -p rag --features gpu`"
                .to_owned(),
        )),
    }
}
