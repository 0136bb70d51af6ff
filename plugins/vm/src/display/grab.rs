//! Pictures of a display: through memory shared with the X server, and the pointer drawn over them.
//!
//! The X server writes into a memory file that the backend made and handed over, so it works across namespaces and
//! needs no unsafe mapping: reading the file is one copy, about a millisecond for a full HD screen.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, Window};
use x11rb::protocol::{shm, xfixes};
use x11rb::rust_connection::RustConnection;

use crate::desktop::{Failure, Picture};

/// Every bit of a pixel.
const ALL_PLANES: u32 = !0;
/// Bytes of a pixel, in the display and in the picture.
const BYTES: usize = 4;

/// How pictures of one display are taken.
pub(super) struct Grab {
    /// Whether the display takes memory by file descriptor (MIT-SHM 1.2).
    can_share: bool,
    shared: Option<Shared>,
}

/// Memory that the display writes pictures into.
struct Shared {
    segment: shm::Seg,
    memory: File,
    bytes: usize,
}

impl Grab {
    pub(super) fn new(x: &RustConnection) -> Self {
        let version = shm::query_version(x).ok().and_then(|ask| ask.reply().ok());
        let can_share = version.is_some_and(|has| (has.major_version, has.minor_version) >= (1, 2));
        Self {
            can_share,
            shared: None,
        }
    }

    pub(super) fn picture(&mut self, x: &RustConnection, root: Window) -> Result<Picture, Failure> {
        let screen = x.get_geometry(root)?.reply()?;
        let bytes = usize::from(screen.width) * usize::from(screen.height) * BYTES;
        // Asked for together with the picture, so that the pointer is where the picture saw it.
        let (pixels, pointer) = if self.can_share {
            let shared = self.share(x, bytes)?;
            let format = ImageFormat::Z_PIXMAP.into();
            let (width, height) = (screen.width, screen.height);
            let image = shm::get_image(
                x,
                root,
                0,
                0,
                width,
                height,
                ALL_PLANES,
                format,
                shared.segment,
                0,
            )?;
            let pointer = xfixes::get_cursor_image(x)?;
            image.reply()?;
            let mut pixels = vec![0; bytes];
            shared.memory.read_exact_at(&mut pixels, 0)?;
            (pixels, pointer.reply()?)
        } else {
            let (width, height) = (screen.width, screen.height);
            let image =
                x.get_image(ImageFormat::Z_PIXMAP, root, 0, 0, width, height, ALL_PLANES)?;
            let pointer = xfixes::get_cursor_image(x)?;
            (image.reply()?.data, pointer.reply()?)
        };
        if pixels.len() != bytes {
            return Err(Failure::Refused(
                "the display is not one of 32 bits per pixel".into(),
            ));
        }
        let mut picture = Picture {
            width: screen.width.into(),
            height: screen.height.into(),
            rgba: pixels,
        };
        to_rgba(&mut picture.rgba);
        draw_pointer(&mut picture, &pointer);
        Ok(picture)
    }

    /// Memory of at least so many bytes, shared with the display.
    fn share(&mut self, x: &RustConnection, bytes: usize) -> Result<&Shared, Failure> {
        match &self.shared {
            Some(shared) if shared.bytes >= bytes => {}
            smaller => {
                if let Some(smaller) = smaller {
                    shm::detach(x, smaller.segment)?;
                }
                self.shared = Some(Shared::new(x, bytes)?);
            }
        }
        self.shared
            .as_ref()
            .ok_or(Failure::Dead("its display ended"))
    }
}

impl Shared {
    fn new(x: &RustConnection, bytes: usize) -> Result<Self, Failure> {
        let memory =
            memfd_create("vm-picture", MemfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let length = u64::try_from(bytes).unwrap_or(u64::MAX);
        ftruncate(&memory, length).map_err(std::io::Error::from)?;
        let theirs: OwnedFd = memory.try_clone()?;
        let segment = x11rb::connection::Connection::generate_id(x)?;
        shm::attach_fd(x, segment, theirs, false)?.check()?;
        Ok(Self {
            segment,
            memory: memory.into(),
            bytes,
        })
    }
}

/// The display's pixels are blue, green, red and nothing.
fn to_rgba(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(BYTES) {
        pixel.swap(0, 2);
        pixel[3] = 255;
    }
}

/// Draws the pointer, whose colours are multiplied by its alpha already.
fn draw_pointer(picture: &mut Picture, pointer: &xfixes::GetCursorImageReply) {
    let left = i64::from(pointer.x) - i64::from(pointer.xhot);
    let top = i64::from(pointer.y) - i64::from(pointer.yhot);
    let (width, height) = (i64::from(picture.width), i64::from(picture.height));
    let places = (0..i64::from(pointer.height)).flat_map(|row| {
        (0..i64::from(pointer.width)).map(move |column| (left + column, top + row))
    });
    for ((x, y), argb) in places.zip(&pointer.cursor_image) {
        if !(0..width).contains(&x) || !(0..height).contains(&y) {
            continue;
        }
        let Ok(at) = usize::try_from((y * width + x) * 4) else {
            continue;
        };
        let [alpha, red, green, blue] = argb.to_be_bytes();
        let below = u16::from(255 - alpha);
        for (pixel, colour) in picture.rgba[at..at + 3].iter_mut().zip([red, green, blue]) {
            let shines = u16::from(*pixel) * below / 255;
            *pixel = colour.saturating_add(u8::try_from(shines).unwrap_or(u8::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_half_off_the_screen_is_cut() {
        let mut picture = Picture {
            width: 2,
            height: 2,
            rgba: [0, 0, 0, 255].repeat(4),
        };
        let pointer = xfixes::GetCursorImageReply {
            x: 1,
            y: 1,
            width: 2,
            height: 2,
            xhot: 0,
            yhot: 0,
            cursor_image: vec![0xffff_0000, 0xff00_ff00, 0xff00_ff00, 0xff00_ff00],
            ..Default::default()
        };
        draw_pointer(&mut picture, &pointer);
        assert_eq!(picture.rgba[12..], [255, 0, 0, 255]);
        assert!(
            picture.rgba[..12]
                .chunks(4)
                .all(|pixel| pixel == [0, 0, 0, 255])
        );
    }
}
