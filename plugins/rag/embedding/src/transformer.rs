//! The network: BERT and its like (XLM-R, `RoBERTa`), from tokens to a vector for each token.
//!
//! Texts of different lengths are run together without padding: all their tokens are rows of one
//! matrix, and only attention knows which rows are of one text. The rows are dealt out to threads in
//! blocks; in a layer, threads wait for each other once, before attention, which looks at other rows.

use std::{io, ops::Range};

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    ModelError,
    folder::Shape,
    linear::Linear,
    math::{add_scaled, gelu, layer_norm, softmax},
    tensors::{Table, Tensors},
};

/// Larger blocks need more memory and read the weights less often.
const LARGEST_BLOCK: usize = 64;
/// Smaller blocks read all weights for a few rows.
const SMALLEST_BLOCK: usize = 8;

/// The network's weights.
pub(crate) struct Transformer {
    shape: Shape,
    words: Table,
    positions: Vec<f32>,
    /// What all tokens of the first and only sentence are given.
    sentence: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Query, key and value of a row, one after the other.
    attention: Linear,
    attended: Linear,
    attended_norm: Norm,
    wide: Linear,
    narrow: Linear,
    narrow_norm: Norm,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Transformer {
    pub(crate) fn load(tensors: &Tensors, shape: &Shape) -> Result<Self, ModelError> {
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
        let layers = (0..shape.layers).map(|number| Layer::load(tensors, shape, number));
        Ok(Self {
            words,
            positions,
            sentence,
            norm: Norm::load(tensors, "embeddings.LayerNorm", shape)?,
            layers: layers.collect::<Result<_, _>>()?,
            shape: shape.clone(),
        })
    }

    /// A vector for each token of each text, in their order.
    pub(crate) fn run(&self, texts: &[&[u32]]) -> io::Result<Vec<f32>> {
        let width = self.shape.width;
        let mut rows = Vec::new();
        let mut texts_of_rows = Vec::new();
        for text in texts {
            let first = texts_of_rows.len();
            for (place, token) in text.iter().enumerate() {
                rows.extend(self.embedding(*token, place)?);
                texts_of_rows.push(first..first + text.len());
            }
        }
        let count = texts_of_rows.len();
        let share = count.div_ceil(rayon::current_num_threads());
        let block = share
            .next_multiple_of(SMALLEST_BLOCK)
            .clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
        let mut attention = vec![0.0; count * 3 * width];
        for layer in &self.layers {
            let parts = rows.par_chunks(block * width);
            let outs = attention.par_chunks_mut(block * 3 * width);
            parts.zip(outs).for_each(|(rows, out)| {
                Arch::new().dispatch(Attention { layer, rows, out });
            });
            rows.par_chunks_mut(block * width)
                .enumerate()
                .for_each(|(number, rows)| {
                    Arch::new().dispatch(Rest {
                        layer,
                        shape: &self.shape,
                        first: number * block,
                        texts: &texts_of_rows,
                        attention: &attention,
                        rows,
                    });
                });
        }
        Ok(rows)
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

impl Layer {
    fn load(tensors: &Tensors, shape: &Shape, number: usize) -> Result<Self, ModelError> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let read = |part: &str, outputs: usize, inputs: usize| {
            let weights = tensors.read(&name(&format!("{part}.weight")), &[outputs, inputs])?;
            Ok((
                weights,
                tensors.read(&name(&format!("{part}.bias")), &[outputs])?,
            ))
        };
        let linear = |part: &str, outputs: usize, inputs: usize| {
            let (weights, bias) = read(part, outputs, inputs)?;
            Ok::<_, ModelError>(Linear::new(&weights, bias))
        };
        let norm = |part: &str| Norm::load(tensors, &name(part), shape);
        let (width, wide) = (shape.width, shape.wide);
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for part in ["query", "key", "value"] {
            let read = read(&format!("attention.self.{part}"), width, width)?;
            let (more_weights, more_bias): (Vec<f32>, Vec<f32>) = read;
            weights.extend(more_weights);
            bias.extend(more_bias);
        }
        Ok(Self {
            attention: Linear::new(&weights, bias),
            attended: linear("attention.output.dense", width, width)?,
            attended_norm: norm("attention.output.LayerNorm")?,
            wide: linear("intermediate.dense", wide, width)?,
            narrow: linear("output.dense", width, wide)?,
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
    fn apply(&self, row: &mut [f32]) {
        layer_norm(row, &self.weight, &self.bias, self.epsilon);
    }
}

/// The first half of a layer for some rows: their queries, keys and values.
struct Attention<'a> {
    layer: &'a Layer,
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Attention<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.layer.attention.apply(simd, self.rows, self.out);
    }
}

/// The rest of a layer for some rows, which become what the next layer takes.
struct Rest<'a> {
    layer: &'a Layer,
    shape: &'a Shape,
    /// The number of the first row.
    first: usize,
    /// The rows of the text that each row is of.
    texts: &'a [Range<usize>],
    /// Query, key and value of all rows.
    attention: &'a [f32],
    rows: &'a mut [f32],
}

impl WithSimd for Rest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (layer, width) = (self.layer, self.shape.width);
        let mut buffer = vec![0.0; self.rows.len()];
        self.attend(&mut buffer);
        let mut out = vec![0.0; self.rows.len()];
        layer.attended.apply(simd, &buffer, &mut out);
        add_and_norm(self.rows, &out, &layer.attended_norm, width);
        let mut wide = vec![0.0; self.rows.len() / width * layer.wide.outputs()];
        layer.wide.apply(simd, self.rows, &mut wide);
        gelu(&mut wide);
        layer.narrow.apply(simd, &wide, &mut out);
        add_and_norm(self.rows, &out, &layer.narrow_norm, width);
    }
}

#[inline(always)]
fn add_and_norm(rows: &mut [f32], out: &[f32], norm: &Norm, width: usize) {
    for (row, out) in rows.chunks_exact_mut(width).zip(out.chunks_exact(width)) {
        add_scaled(row, 1.0, out);
        norm.apply(row);
    }
}

impl Rest<'_> {
    /// What each row takes from the rows of its text.
    #[inline(always)]
    fn attend(&self, out: &mut [f32]) {
        let (width, head) = (self.shape.width, self.shape.width / self.shape.heads);
        let last = self.first + out.len() / width;
        let (mut keys, mut scores) = (Vec::new(), Vec::new());
        let mut row = self.first;
        while row < last {
            let text = &self.texts[row];
            let end = text.end.min(last);
            for column in (0..width).step_by(head) {
                self.transpose_keys(text, column, head, &mut keys);
                for row in row..end {
                    let out = &mut out[(row - self.first) * width + column..][..head];
                    self.attend_one(row, text, column, &keys, &mut scores, out);
                }
            }
            row = end;
        }
    }

    /// A head's keys with all texts' values of the first number together, then those of the second:
    /// in this order a query meets them all at once.
    #[inline(always)]
    fn transpose_keys(&self, text: &Range<usize>, column: usize, head: usize, keys: &mut Vec<f32>) {
        let (width, count) = (self.shape.width, text.len());
        keys.clear();
        keys.resize(head * count, 0.0);
        for (place, row) in text.clone().enumerate() {
            let key = &self.attention[(row * 3 + 1) * width + column..][..head];
            for (number, value) in key.iter().enumerate() {
                keys[number * count + place] = *value;
            }
        }
    }

    #[inline(always)]
    fn attend_one(
        &self,
        row: usize,
        text: &Range<usize>,
        column: usize,
        keys: &[f32],
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let (width, head) = (self.shape.width, out.len());
        #[expect(clippy::cast_precision_loss, reason = "heads are small")]
        let scale = 1.0 / (head as f32).sqrt();
        let query = &self.attention[row * 3 * width + column..][..head];
        scores.clear();
        scores.resize(text.len(), 0.0);
        for (value, keys) in query.iter().zip(keys.chunks_exact(text.len())) {
            add_scaled(scores, value * scale, keys);
        }
        softmax(scores);
        for (share, row) in scores.iter().zip(text.clone()) {
            let value = &self.attention[(row * 3 + 2) * width + column..][..head];
            add_scaled(out, *share, value);
        }
    }
}
