//! A picture of a screen, and its PNG.

use super::Failure;

/// A picture: rows from the top, pixels from the left, red, green, blue and alpha each.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 4` bytes. Alpha is 255 everywhere.
    pub rgba: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

impl Picture {
    /// The PNG of the picture. Takes some milliseconds of a processor: not for a thread that serves others.
    ///
    /// # Errors
    /// When the picture is not as large as it says.
    pub fn png(&self) -> Result<Vec<u8>, Failure> {
        // Alpha is 255 everywhere: leaving it out makes the PNG smaller and quicker.
        let mut rgb = vec![0; self.rgba.len() / 4 * 3];
        for (to, from) in rgb.chunks_exact_mut(3).zip(self.rgba.chunks_exact(4)) {
            to.copy_from_slice(&from[..3]);
        }
        let mut file = Vec::with_capacity(rgb.len() / 16);
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&rgb)?;
            writer.finish()
        });
        match written {
            Ok(()) => Ok(file),
            Err(error) => {
                tracing::warn!(%error, "a picture could not be written as PNG");
                Err(Failure::Refused(
                    "the picture could not be written as PNG".into(),
                ))
            }
        }
    }
}
