//! The guest's pointer: a USB tablet, whose places are absolute, so that the guest's pointer is where it was sent.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Button;
use crate::{Error, Result, process::Process};

/// A tablet has so many places in each direction.
const PLACES: u32 = 0x8000;

/// The tablet's queue has 16 entries and loses what comes when it is full. Guests ask it every 8 ms or more often.
const PACE: Duration = Duration::from_millis(10);
/// So many notches at once are sure to find room.
const AT_ONCE: u32 = 4;

#[derive(Debug, Deserialize)]
struct Mouse {
    current: bool,
    absolute: bool,
}

/// Whether the guest's driver listens to the tablet.
pub(crate) async fn listens(process: &Process) -> Result<bool> {
    let mice: Vec<Mouse> = process.ask("query-mice", json!({})).await?;
    Ok(mice.iter().any(|mouse| mouse.current && mouse.absolute))
}

/// Gives the tablet events, which change together.
pub(super) async fn give(process: &Process, events: &[Value]) -> Result<()> {
    // Otherwise a button goes to a mouse that nobody has moved.
    if !listens(process).await? {
        return Err(Error::Unsupported(
            "the virtual machine has no driver for its USB tablet: it cannot be pointed at".into(),
        ));
    }
    process
        .tell("input-send-event", json!({ "events": events }))
        .await
}

/// Turns the wheel: up when positive.
pub(super) async fn scroll(process: &Process, notches: i32) -> Result<()> {
    let wheel = if notches > 0 {
        "wheel-up"
    } else {
        "wheel-down"
    };
    for notch in 0..notches.unsigned_abs() {
        give(process, &[named(wheel, true)]).await?;
        give(process, &[named(wheel, false)]).await?;
        if notch >= AT_ONCE {
            sleep(PACE).await;
        }
    }
    Ok(())
}

pub(super) fn button(button: Button, down: bool) -> Value {
    let name = match button {
        Button::Left => "left",
        Button::Middle => "middle",
        Button::Right => "right",
    };
    named(name, down)
}

fn named(name: &str, down: bool) -> Value {
    json!({ "type": "btn", "data": { "down": down, "button": name } })
}

/// Where a pixel of a screen of this size is on the tablet.
pub(super) fn place((x, y): (u16, u16), (width, height): (u16, u16)) -> [Value; 2] {
    let axis = |name, at, length| {
        let value = middle(at, length);
        json!({ "type": "abs", "data": { "axis": name, "value": value } })
    };
    [axis("x", x, width), axis("y", y, height)]
}

/// The middle of the pixel, so that a guest that rounds either way finds the same one.
fn middle(pixel: u16, length: u16) -> u32 {
    let (pixel, length) = (u32::from(pixel), u32::from(length.max(1)));
    ((2 * pixel + 1) * PLACES / (2 * length)).min(PLACES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_comes_back_as_itself() {
        for length in [1_u16, 640, 1080, 1366, 1920, 3840] {
            for pixel in 0..length {
                let value = middle(pixel, length);
                assert_eq!(value * u32::from(length) / PLACES, u32::from(pixel));
            }
        }
    }
}
