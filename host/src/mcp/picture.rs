//! Pictures, made small enough for a model.

use std::{borrow::Cow, io::Cursor};

use image::{
    DynamicImage, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder, imageops::FilterType,
};

/// The largest picture that is taken apart, in bytes of its pixels: two screens of the largest kind.
const LARGEST: u64 = 512 * 1024 * 1024;

/// A picture of this quality still shows small print.
const QUALITY: u8 = 85;

/// How much smaller each attempt is at least in width and height, in thousandths.
const STEP: u64 = 800;

/// A picture that fits.
pub(super) struct Picture<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) media_type: Cow<'a, str>,
    /// What was done to it, for whoever reads coordinates from it.
    pub(super) scaled: Option<Scaled>,
}

/// The sizes of a picture before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scaled {
    from: (u32, u32),
    to: (u32, u32),
}

impl Scaled {
    /// For the model that sees the picture.
    pub(super) fn says(self, name: &str) -> String {
        let ((width, height), (from_width, from_height)) = (self.to, self.from);
        let factor = f64::from(from_width) / f64::from(width.max(1));
        format!(
            "The picture `{name}` is shown at {width}x{height}; it has {from_width}x{from_height} pixels. \
             Multiply coordinates that you read from it by {factor:.3}."
        )
    }
}

/// The picture in at most `limit` bytes; `None` when it is none that can be read.
pub(super) fn fitted<'a>(
    bytes: &'a [u8],
    media_type: &'a str,
    limit: usize,
) -> Option<Picture<'a>> {
    if bytes.len() <= limit {
        return Some(Picture {
            bytes: bytes.into(),
            media_type: media_type.into(),
            scaled: None,
        });
    }
    let original = decoded(bytes)?;
    let from = (original.width(), original.height());
    // A model reads photographs and screens alike from a JPEG; its size is what counts here.
    let original = DynamicImage::ImageRgb8(original.into_rgb8());
    let mut smaller = original.clone();
    loop {
        let encoded = encoded(&smaller)?;
        let to = (smaller.width(), smaller.height());
        if encoded.len() <= limit || to.0.min(to.1) < 16 {
            return Some(Picture {
                bytes: encoded.into(),
                media_type: ImageFormat::Jpeg.to_mime_type().into(),
                scaled: (from != to).then_some(Scaled { from, to }),
            });
        }
        // Bytes go with the area, so sides go with the root; in thousandths, which is near enough.
        let share = (limit.saturating_mul(1_000_000) / encoded.len()).isqrt();
        let share = u64::try_from(share).unwrap_or(0).min(STEP);
        let side = |length: u32| {
            let shorter = u64::from(length) * share / 1000;
            u32::try_from(shorter).unwrap_or(length).max(1)
        };
        // Always of the original, whose sharpness is not lost twice.
        smaller = original.resize(side(to.0), side(to.1), FilterType::Triangle);
    }
}

fn decoded(bytes: &[u8]) -> Option<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .ok()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST);
    reader.limits(limits);
    reader.decode().ok()
}

fn encoded(picture: &DynamicImage) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    picture.write_with_encoder(encoder).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that no format makes small.
    fn noise(width: u32, height: u32) -> Vec<u8> {
        let mut state = 1_u32;
        let picture = image::RgbImage::from_fn(width, height, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [r, g, b, _] = state.to_be_bytes();
            image::Rgb([r, g, b])
        });
        let mut bytes = Vec::new();
        picture
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        bytes
    }

    #[test]
    fn a_small_picture_stays_as_it_is() {
        let bytes = noise(8, 8);
        let picture = fitted(&bytes, "image/png", bytes.len()).unwrap();
        assert_eq!((&*picture.bytes, picture.scaled), (&*bytes, None));
        assert_eq!(picture.media_type, "image/png");
    }

    #[test]
    fn a_large_picture_is_scaled_in_proportion_and_says_by_how_much() {
        let bytes = noise(400, 200);
        let picture = fitted(&bytes, "image/png", 20_000).unwrap();
        assert!(picture.bytes.len() <= 20_000);
        assert_eq!(picture.media_type, "image/jpeg");
        let smaller = decoded(&picture.bytes).unwrap();
        let scaled = picture.scaled.unwrap();
        assert_eq!(scaled.to, (smaller.width(), smaller.height()));
        assert!(smaller.width().abs_diff(2 * smaller.height()) <= 2);
        let factor = 400.0 / f64::from(smaller.width());
        let said = scaled.says("screen");
        assert!(said.contains(&format!("{factor:.3}")), "{said}");
    }

    #[test]
    fn what_is_no_picture_is_not_taken_for_one() {
        assert!(fitted(b"not a picture at all", "image/png", 5).is_none());
    }
}
