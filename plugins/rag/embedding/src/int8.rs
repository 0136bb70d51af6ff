//! Vectors of small numbers, which are compared four times as fast as those they stand for.

use pulp::{Arch, Simd, WithSimd};

/// A vector of whole numbers from -127 to 127, and what they are to be multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8 {
    /// The numbers.
    pub values: Vec<i8>,
    /// What each is to be multiplied by.
    pub scale: f32,
}

impl Int8 {
    /// The one that is nearest to a vector.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the values are at most 127"
    )]
    pub fn nearest(vector: &[f32]) -> Self {
        let most = vector
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
        Self {
            values: vector
                .iter()
                .map(|value| (value / scale).round() as i8)
                .collect(),
            scale,
        }
    }
}

/// Calls `take` with each of `rows`, whose values are as [`Int8::nearest`] made them, and its product
/// with `query`, without the scales.
pub fn dot_products<'a, R>(
    query: &Int8,
    rows: impl Iterator<Item = (R, &'a [u8])>,
    take: impl FnMut(R, i32),
) {
    let query: Vec<i16> = query.values.iter().map(|value| i16::from(*value)).collect();
    Arch::new().dispatch(Products {
        query: &query,
        rows,
        take,
    });
}

struct Products<'a, I, T> {
    query: &'a [i16],
    rows: I,
    take: T,
}

impl<'a, R, I, T> WithSimd for Products<'_, I, T>
where
    I: Iterator<Item = (R, &'a [u8])>,
    T: FnMut(R, i32),
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        for (row, values) in self.rows {
            (self.take)(row, product(self.query, values));
        }
    }
}

/// The compiler makes of it what the processor has for pairs of 16-bit numbers. The sum cannot
/// overflow before a vector has a hundred thousand numbers; wrapping says that it need not be checked.
#[inline(always)]
fn product(query: &[i16], row: &[u8]) -> i32 {
    let pairs = query.iter().zip(row);
    let products =
        pairs.map(|(query, value)| i32::from(*query).wrapping_mul(i32::from(value.cast_signed())));
    products.fold(0, i32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_vectors() {
        let vector = |seed: usize| -> Vec<f32> {
            (0..100)
                .map(|n| f32::from(u8::try_from(n * seed % 31).unwrap()) / 31.0 - 0.5)
                .collect()
        };
        let (query, other) = (vector(7), vector(11));
        let exact: f32 = query.iter().zip(&other).map(|(a, b)| a * b).sum();
        let (query, other) = (Int8::nearest(&query), Int8::nearest(&other));
        let bytes: Vec<u8> = other
            .values
            .iter()
            .map(|value| value.cast_unsigned())
            .collect();
        let mut found = Vec::new();
        let rows = [bytes.as_slice(), &bytes].into_iter().enumerate();
        dot_products(&query, rows, |row, product| found.push((row, product)));
        assert_eq!((found[0].0, found[1].0, found.len()), (0, 1, 2));
        let product =
            f32::from(i16::try_from(found[1].1 / 16).unwrap()) * 16.0 * query.scale * other.scale;
        assert!((product - exact).abs() < 0.05, "{product}, {exact}");
    }
}
