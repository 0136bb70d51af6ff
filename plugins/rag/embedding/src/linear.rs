//! `y = W x + b` for many `x` at once: nearly all that a network does.
//!
//! The weights are laid out once so that the innermost loop reads them from front to back: *panels*
//! of [`PANEL`] outputs, and in a panel all outputs' weights of the first input, then of the second,
//! and so on. A tile of a panel and a few rows is summed up in registers.

use std::array;

use pulp::{Simd, bytemuck::cast_slice};

/// Outputs that stand together: two registers of AVX-512, four of AVX2.
const PANEL: usize = 32;

/// A layer of weights.
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    panels: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// From weights as they are stored: all of the first output, then all of the second.
    pub(crate) fn new(weights: &[f32], bias: Vec<f32>) -> Self {
        let outputs = bias.len();
        let inputs = weights.len() / outputs.max(1);
        let mut panels = vec![0.0; outputs.next_multiple_of(PANEL) * inputs];
        for (output, weights) in weights.chunks_exact(inputs.max(1)).enumerate() {
            let panel = &mut panels[output / PANEL * PANEL * inputs..];
            for (input, weight) in weights.iter().enumerate() {
                panel[input * PANEL + output % PANEL] = *weight;
            }
        }
        Self {
            inputs,
            outputs,
            panels,
            bias,
        }
    }

    pub(crate) const fn outputs(&self) -> usize {
        self.outputs
    }

    /// Writes the outputs of each of `rows` to `out`.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(&self, simd: S, rows: &[f32], out: &mut [f32]) {
        let rows: Vec<&[f32]> = rows.chunks_exact(self.inputs).collect();
        let weights = self.panels.chunks_exact(PANEL * self.inputs);
        for (number, (weights, bias)) in weights.zip(self.bias.chunks(PANEL)).enumerate() {
            let panel = Panel {
                weights,
                bias,
                first: number * PANEL,
                outputs: self.outputs,
            };
            // As many rows at a time as the registers hold sums for.
            let row = &mut 0;
            match S::F32_LANES {
                16 => {
                    panel.tiles::<S, 2, 8>(simd, &rows, row, out);
                    panel.tiles::<S, 2, 4>(simd, &rows, row, out);
                    panel.tiles::<S, 2, 2>(simd, &rows, row, out);
                    panel.tiles::<S, 2, 1>(simd, &rows, row, out);
                }
                8 => {
                    panel.tiles::<S, 4, 3>(simd, &rows, row, out);
                    panel.tiles::<S, 4, 2>(simd, &rows, row, out);
                    panel.tiles::<S, 4, 1>(simd, &rows, row, out);
                }
                4 => {
                    panel.tiles::<S, 8, 3>(simd, &rows, row, out);
                    panel.tiles::<S, 8, 1>(simd, &rows, row, out);
                }
                _ => panel.tiles::<S, 32, 1>(simd, &rows, row, out),
            }
        }
    }
}

/// Some outputs of a layer, and where they go.
struct Panel<'a> {
    weights: &'a [f32],
    bias: &'a [f32],
    first: usize,
    outputs: usize,
}

impl Panel<'_> {
    /// The outputs of `ROWS` rows at a time, as long as so many are left.
    #[inline(always)]
    fn tiles<S: Simd, const REGISTERS: usize, const ROWS: usize>(
        &self,
        simd: S,
        rows: &[&[f32]],
        row: &mut usize,
        out: &mut [f32],
    ) {
        while rows.len() - *row >= ROWS {
            let sums =
                self.sums::<S, REGISTERS, ROWS>(simd, array::from_fn(|ahead| rows[*row + ahead]));
            for sums in &sums {
                let out = &mut out[*row * self.outputs + self.first..];
                for ((out, sum), bias) in out.iter_mut().zip(cast_slice(sums)).zip(self.bias) {
                    let sum: &f32 = sum;
                    *out = sum + bias;
                }
                *row += 1;
            }
        }
    }

    #[inline(always)]
    fn sums<S: Simd, const REGISTERS: usize, const ROWS: usize>(
        &self,
        simd: S,
        rows: [&[f32]; ROWS],
    ) -> [[S::f32s; REGISTERS]; ROWS] {
        let mut sums = [[simd.splat_f32s(0.0); REGISTERS]; ROWS];
        let (weights, _) = S::as_simd_f32s(self.weights).0.as_chunks::<REGISTERS>();
        // One length for all, so that no bound is checked inside.
        let rows = rows.map(|row| &row[..weights.len()]);
        for (input, weights) in weights.iter().enumerate() {
            for (row, sums) in rows.iter().zip(&mut sums) {
                let value = simd.splat_f32s(row[input]);
                for (weight, sum) in weights.iter().zip(sums) {
                    *sum = simd.mul_add_e_f32s(value, *weight, *sum);
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Apply<'a>(&'a Linear, &'a [f32], &'a mut [f32]);

    impl WithSimd for Apply<'_> {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.apply(simd, self.1, self.2);
        }
    }

    /// Every number of rows has other tiles, and a last panel may be narrow.
    #[test]
    fn every_shape_is_multiplied_right() {
        for (inputs, outputs) in [(32, 32), (7, 96), (5, 40)] {
            let number = |n: usize| f32::from(u8::try_from((n * 37 + 11) % 19).unwrap()) - 9.0;
            let weights: Vec<f32> = (0..inputs * outputs).map(number).collect();
            let bias: Vec<f32> = (0..outputs).map(number).collect();
            let linear = Linear::new(&weights, bias.clone());
            for count in 1..20 {
                let rows: Vec<f32> = (0..count * inputs).map(|n| number(n * 5 + 3)).collect();
                let mut out = vec![0.0; count * outputs];
                Arch::new().dispatch(Apply(&linear, &rows, &mut out));
                for (at, found) in out.iter().enumerate() {
                    let (row, output) = (at / outputs, at % outputs);
                    let expected: f32 = (0..inputs)
                        .map(|input| rows[row * inputs + input] * weights[output * inputs + input])
                        .sum();
                    let error = (*found - expected - bias[output]).abs();
                    assert!(error < 1e-3, "{count} rows, {row}, {output}: {found}");
                }
            }
        }
    }
}
