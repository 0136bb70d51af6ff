//! The layers on all cores.
//!
//! The rows are dealt out to threads in blocks; in a layer, threads wait for each other once, before
//! attention, which looks at other rows.

use std::{io, ops::Range};

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    ModelError,
    folder::Shape,
    linear::Linear,
    math::{add_scaled, gelu, softmax},
    transformer::{Dense, LayerWeights, Layers, Norm},
};

/// Larger blocks need more memory and read the weights less often.
const LARGEST_BLOCK: usize = 64;
/// Smaller blocks read all weights for a few rows.
const SMALLEST_BLOCK: usize = 8;

/// The layers, laid out for this processor.
pub(crate) struct Cpu {
    shape: Shape,
    layers: Vec<Layer>,
}

struct Layer {
    attention: Linear,
    attended: Linear,
    attended_norm: Norm,
    wide: Linear,
    narrow: Linear,
    narrow_norm: Norm,
}

impl Cpu {
    /// Lays the weights out.
    pub(crate) fn load(
        shape: &Shape,
        layers: impl Iterator<Item = Result<LayerWeights, ModelError>>,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            shape: shape.clone(),
            layers: layers
                .map(|layer| layer.map(Layer::new))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Layer {
    fn new(weights: LayerWeights) -> Self {
        let linear = |dense: Dense| Linear::new(&dense.weights, dense.bias);
        Self {
            attention: linear(weights.attention),
            attended: linear(weights.attended),
            attended_norm: weights.attended_norm,
            wide: linear(weights.wide),
            narrow: linear(weights.narrow),
            narrow_norm: weights.narrow_norm,
        }
    }
}

impl Layers for Cpu {
    fn run(&self, mut rows: Vec<f32>, texts: &[Range<usize>]) -> io::Result<Vec<f32>> {
        let width = self.shape.width;
        let share = texts.len().div_ceil(rayon::current_num_threads());
        let block = share
            .next_multiple_of(SMALLEST_BLOCK)
            .clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
        let mut attention = vec![0.0; texts.len() * 3 * width];
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
                        texts,
                        attention: &attention,
                        rows,
                    });
                });
        }
        Ok(rows)
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
