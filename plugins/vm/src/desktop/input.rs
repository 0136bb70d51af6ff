//! The input that a desktop can be given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keys::Key;

/// A button of the mouse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// The one for clicking.
    #[default]
    Left,
    /// The wheel, pressed.
    Middle,
    /// The one for menus.
    Right,
}

impl Button {
    /// As in parameters and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Middle => "middle",
            Self::Right => "right",
        }
    }
}

/// One input. Whole actions are lists of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The pointer goes there. The caller has checked that it is on the screen.
    Move(u16, u16),
    /// A button goes down where the pointer is.
    Press(Button),
    /// A button goes up.
    Release(Button),
    /// The wheel turns so many notches: first to the right, then up.
    Scroll(i32, i32),
    /// A key goes down.
    KeyDown(Key),
    /// A key goes up.
    KeyUp(Key),
    /// Text is typed, whatever the keyboard has keys for.
    Text(String),
}
