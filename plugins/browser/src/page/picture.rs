//! Screenshots, and the size of a picture read from the picture.

use base64::Engine as _;
use chromiumoxide_cdp::cdp::browser_protocol::page::{
    CaptureScreenshotFormat, CaptureScreenshotParams, GetLayoutMetricsParams, Viewport,
};
use sandbox_plugin_api::prelude::*;
use tokio::time::Instant;

use super::{content::call_on, element::Wanted, tab::Tab};
use crate::failure::{Fault, Outcome};

/// The picture's format.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Exact.
    #[default]
    Png,
    /// Smaller.
    Jpeg,
}

/// A picture.
pub(crate) struct Shot {
    pub(crate) bytes: Vec<u8>,
    pub(crate) size: [u32; 2],
    /// Whether the page is taller than the picture.
    pub(crate) truncated: bool,
}

#[derive(Deserialize)]
struct Captured {
    data: String,
}

/// Takes a picture of the window, the whole page or one element.
pub(crate) async fn shoot(
    tab: &Tab,
    full_page: bool,
    element: Option<&Wanted>,
    format: Format,
    most: u32,
    deadline: Instant,
) -> Outcome<Shot> {
    let clip = match element {
        Some(wanted) => Some(around(tab, wanted, deadline).await?),
        None if full_page => {
            let size = tab
                .call(&GetLayoutMetricsParams::default(), deadline)
                .await?
                .css_content_size;
            Some(Viewport {
                x: 0.0,
                y: 0.0,
                width: size.width,
                height: size.height,
                scale: 1.0,
            })
        }
        None => None,
    };
    let most = f64::from(most);
    let truncated = clip
        .as_ref()
        .is_some_and(|clip| clip.height > most || clip.width > most);
    let clip = clip.map(|clip| Viewport {
        height: clip.height.min(most),
        width: clip.width.min(most),
        ..clip
    });
    let params = CaptureScreenshotParams {
        format: Some(match format {
            Format::Png => CaptureScreenshotFormat::Png,
            Format::Jpeg => CaptureScreenshotFormat::Jpeg,
        }),
        quality: (format == Format::Jpeg).then_some(85),
        capture_beyond_viewport: Some(clip.is_some()),
        clip,
        // Half the time for a tenth more bytes.
        optimize_for_speed: Some(format == Format::Png),
        ..Default::default()
    };
    let captured: Captured = tab.call_as(&params, deadline).await?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(captured.data);
    let bytes = bytes
        .map_err(|error| Fault::failed(format!("the browser's picture cannot be read: {error}")))?;
    let size =
        size_of(&bytes).ok_or_else(|| Fault::failed("the browser's picture cannot be read"))?;
    Ok(Shot {
        bytes,
        size,
        truncated,
    })
}

/// Where an element is in its document.
async fn around(tab: &Tab, wanted: &Wanted, deadline: Instant) -> Outcome<Viewport> {
    let element = wanted.usable(tab, false, deadline).await?.object;
    let function = "function() {
        let { left: x, top: y, width, height } = this.getBoundingClientRect();
        let frame = this.ownerDocument.defaultView;
        while (frame.frameElement) {
            const box = frame.frameElement.getBoundingClientRect();
            x += box.left + frame.frameElement.clientLeft;
            y += box.top + frame.frameElement.clientTop;
            frame = frame.parent;
        }
        return [x + frame.scrollX, y + frame.scrollY, Math.max(width, 1), Math.max(height, 1)];
    }";
    let [x, y, width, height]: [f64; 4] =
        call_on(tab, &element, function, Vec::new(), deadline).await?;
    Ok(Viewport {
        x,
        y,
        width,
        height,
        scale: 1.0,
    })
}

/// Width and height of a PNG or JPEG.
fn size_of(picture: &[u8]) -> Option<[u32; 2]> {
    if picture.starts_with(b"\x89PNG\r\n\x1a\n") {
        let number = |at: usize| {
            Some(u32::from_be_bytes(
                picture.get(at..at + 4)?.try_into().ok()?,
            ))
        };
        return Some([number(16)?, number(20)?]);
    }
    let mut rest = picture.strip_prefix(b"\xff\xd8")?;
    loop {
        let [0xff, marker, high, low, ..] = *rest else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        // The frame headers; C4, C8 and CC among them are something else.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let [h1, h2, w1, w2] = *rest.get(5..9)?.first_chunk::<4>()?;
            return Some([
                u16::from_be_bytes([w1, w2]).into(),
                u16::from_be_bytes([h1, h2]).into(),
            ]);
        }
        rest = rest.get(2 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_picture() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 5, 0, 0, 0, 2, 0xd0]);
        assert_eq!(size_of(&png), Some([1280, 720]));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08\x02\xd0\x05\x00\x01";
        assert_eq!(size_of(jpeg), Some([1280, 720]));
        for broken in [
            &b""[..],
            b"\x89PNG\r\n\x1a\n\0\0",
            b"\xff\xd8",
            b"\xff\xd8\xff\xc0\0\x0b",
            b"GIF89a",
        ] {
            assert_eq!(size_of(broken), None);
        }
    }
}
