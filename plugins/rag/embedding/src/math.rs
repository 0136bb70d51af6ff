//! The functions between the layers, written so that the compiler makes vector code of them wherever
//! they are inlined: no calls, no branches, sums in lanes.

/// Sums are taken in this many lanes: one register of AVX-512, two of AVX2.
const LANES: usize = 16;

/// `e^x`, right to a few units in the last place; underflows to about 1e-38.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    // Cephes' polynomial for e^x on ±ln 2 / 2.
    let mut sum = 1.987_569_1e-4;
    for term in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        0.166_666_65,
        0.5,
    ] {
        sum = sum * rest + term;
    }
    let fraction = sum * rest * rest + rest + 1.0;
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    fraction * f32::from_bits(power.wrapping_add(127) << 23)
}

/// The activation `x Φ(x)`, with the error function of Abramowitz and Stegun 7.1.26, which is right to
/// 1.5e-7.
#[inline(always)]
pub(crate) fn gelu(values: &mut [f32]) {
    for value in values {
        let x = value.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * x);
        let mut sum = 1.061_405_4;
        for term in [-1.453_152_1, 1.421_413_8, -0.284_496_73, 0.254_829_6] {
            sum = sum * t + term;
        }
        let erf = 1.0 - sum * t * exp(-x * x);
        *value *= 0.5 + 0.5 * erf.copysign(*value);
    }
}

/// Makes of scores what share each has.
#[inline(always)]
pub(crate) fn softmax(scores: &mut [f32]) {
    let mut most = [f32::MIN; LANES];
    let (chunks, rest) = scores.as_chunks::<LANES>();
    for chunk in chunks {
        for (most, score) in most.iter_mut().zip(chunk) {
            *most = most.max(*score);
        }
    }
    let most = most
        .iter()
        .chain(rest)
        .fold(f32::MIN, |most, score| most.max(*score));
    for score in &mut *scores {
        *score = exp(*score - most);
    }
    let share = 1.0 / sum(scores, |score| score);
    for score in scores {
        *score *= share;
    }
}

/// Gives `values` the mean and spread that a layer has learnt.
#[inline(always)]
pub(crate) fn layer_norm(values: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    #[expect(clippy::cast_precision_loss, reason = "widths are small")]
    let count = values.len() as f32;
    let mean = sum(values, |value| value) / count;
    let variance = sum(values, |value| (value - mean) * (value - mean)) / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((value, weight), bias) in values.iter_mut().zip(weight).zip(bias) {
        *value = (*value - mean) * scale * weight + bias;
    }
}

/// Adds `factor * from` to `to`.
#[inline(always)]
pub(crate) fn add_scaled(to: &mut [f32], factor: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}

/// Makes a vector's length 1, unless it is nothing.
pub(crate) fn normalize(vector: &mut [f32]) {
    let length = sum(vector, |value| value * value).sqrt();
    if length > 0.0 {
        for value in vector {
            *value /= length;
        }
    }
}

#[inline(always)]
fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += of(*value);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| of(*value)).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_what_the_library_says() {
        for step in -8600..8700 {
            let x = f32::from(i16::try_from(step).unwrap()) / 100.0;
            let (found, expected) = (exp(x), x.exp());
            assert!(
                (found - expected).abs() <= expected * 3e-7,
                "{x}: {found}, {expected}"
            );
        }
    }

    #[test]
    fn gelu_has_the_values_of_its_definition() {
        let mut values = [-3.0, -1.0, 0.0, 0.5, 1.0, 4.0];
        gelu(&mut values);
        let expected = [
            -0.004_049_7,
            -0.158_655_25,
            0.0,
            0.345_731_2,
            0.841_344_8,
            3.999_873_3,
        ];
        for (found, expected) in values.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        }
    }

    #[test]
    fn shares_add_up_to_one() {
        let mut scores: Vec<f32> = (0..37_u8).map(|n| f32::from(n) * 3.0 - 50.0).collect();
        softmax(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(scores.is_sorted());
    }
}
