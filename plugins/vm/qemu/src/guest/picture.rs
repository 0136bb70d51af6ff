//! Pictures of the screen.
//!
//! QEMU writes a PPM file, which is the picture as it is: the guest stands still meanwhile, and would longer for a PNG.

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::json;

use crate::{Error, Result, process::Process};

/// A picture: rows from the top, pixels from the left, red, green, blue and 255 each.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 4` bytes.
    pub rgba: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

impl Picture {
    /// What the screen shows now.
    pub(crate) async fn take(process: &Process) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = process.folder().join(format!("screen-{count}.ppm"));
        process
            .tell("screendump", json!({ "filename": file.to_string_lossy() }))
            .await?;
        let read = tokio::task::spawn_blocking(move || read(file)).await;
        read.unwrap_or_else(|lost| Err(lost.into()))
            .map_err(Error::system("read a picture of the screen"))
    }

    /// Width and height, as screens have them.
    pub(crate) fn size(&self) -> (u16, u16) {
        let side = |length| u16::try_from(length).unwrap_or(u16::MAX);
        (side(self.width), side(self.height))
    }

    pub(crate) const fn pixels(&self) -> usize {
        self.rgba.len() / 4
    }

    /// How many pixels are not the same. All, if the sizes are not.
    pub(crate) fn difference(&self, other: &Self) -> usize {
        if (self.width, self.height) != (other.width, other.height) {
            return self.pixels();
        }
        let pairs = self.rgba.chunks_exact(4).zip(other.rgba.chunks_exact(4));
        pairs.filter(|(one, other)| one != other).count()
    }

    /// Whether all of it has one colour.
    pub(crate) fn is_plain(&self) -> bool {
        self.rgba
            .chunks_exact(4)
            .all(|pixel| pixel == &self.rgba[..4])
    }

    /// The colours of the pixel there; nothing outside of the picture.
    pub(crate) fn pixel(&mut self, x: u32, y: u32) -> Option<&mut [u8]> {
        if x >= self.width {
            return None;
        }
        let at = (y as usize * self.width as usize + x as usize) * 4;
        self.rgba.get_mut(at..at + 4)
    }
}

fn read(file: PathBuf) -> io::Result<Picture> {
    let bytes = std::fs::read(&file);
    std::fs::remove_file(file)?;
    let bytes = bytes?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no PPM picture"))
}

/// `P6\n1024 768\n255\n` and the pixels. QEMU writes no comments.
fn parse(bytes: &[u8]) -> Option<Picture> {
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
    if lines.next()? != b"P6" {
        return None;
    }
    let (width, height) = str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let (width, height) = (width.parse::<u32>().ok()?, height.parse::<u32>().ok()?);
    if lines.next()? != b"255" {
        return None;
    }
    let rgb = lines.next()?;
    if rgb.len()
        != (width as usize)
            .checked_mul(height as usize)?
            .checked_mul(3)?
        || rgb.is_empty()
    {
        return None;
    }
    let mut rgba = vec![255; rgb.len() / 3 * 4];
    for (to, from) in rgba.chunks_exact_mut(4).zip(rgb.chunks_exact(3)) {
        to[..3].copy_from_slice(from);
    }
    Some(Picture {
        width,
        height,
        rgba,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_even_if_a_pixel_is_a_line_end() {
        let picture = parse(b"P6\n2 1\n255\n\n\n\nabc").unwrap();
        assert_eq!((picture.width, picture.height), (2, 1));
        assert_eq!(picture.rgba, [10, 10, 10, 255, b'a', b'b', b'c', 255]);
    }

    #[test]
    fn a_picture_that_is_cut_off_is_none() {
        assert!(parse(b"P6\n2 1\n255\nabc").is_none());
        assert!(parse(b"P6\n0 0\n255\n").is_none());
        assert!(parse(b"\x89PNG").is_none());
    }
}
