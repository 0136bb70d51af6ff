//! What the tools answer. The names are a contract with existing programs.

use serde::Serialize;
use serde_json::Value;

use crate::config::Kind;
use crate::desktop::{Button, View};
use crate::hands::Point;

/// What is said beside a picture.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    pub(crate) size: [u32; 2],
    pub(crate) session: String,
    pub(crate) accessibility_tree: Option<Value>,
}

/// What a desktop is.
#[derive(Debug, Serialize)]
pub(crate) struct About {
    pub(crate) session: String,
    pub(crate) provider: Kind,
    pub(crate) size: Point,
    pub(crate) vnc: Option<View>,
}

/// After a click.
#[derive(Debug, Serialize)]
pub(crate) struct Clicked {
    pub(crate) clicked: Point,
    pub(crate) button: Button,
}

/// Where the pointer is.
#[derive(Debug, Serialize)]
pub(crate) struct Position {
    pub(crate) position: Point,
}

/// After a drag.
#[derive(Debug, Serialize)]
pub(crate) struct Dragged {
    pub(crate) from: Point,
    pub(crate) to: Point,
}

/// After turning the wheel.
#[derive(Debug, Serialize)]
pub(crate) struct Scrolled {
    pub(crate) position: Point,
    pub(crate) clicks: i32,
}

/// A button that went down or up.
#[derive(Debug, Serialize)]
pub(crate) struct Pressed {
    pub(crate) button: Button,
}

/// After typing.
#[derive(Debug, Serialize)]
pub(crate) struct Typed {
    pub(crate) typed: String,
    pub(crate) length: usize,
}

/// A key that was tapped, or went down or up.
#[derive(Debug, Serialize)]
pub(crate) struct Keyed {
    pub(crate) key: String,
}

/// Keys that were pressed together.
#[derive(Debug, Serialize)]
pub(crate) struct Chord {
    pub(crate) keys: Vec<String>,
}

/// After a wait.
#[derive(Debug, Serialize)]
pub(crate) struct Waited {
    pub(crate) waited: f64,
}

/// A program that was started.
#[derive(Debug, Serialize)]
pub(crate) struct Launched {
    pub(crate) pid: u32,
}

/// A state that was kept or gone back to.
#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) ms: u128,
}

/// After a program of pyautogui calls.
#[derive(Debug, Serialize)]
pub(crate) struct Performed {
    pub(crate) commands: Vec<String>,
    pub(crate) results: Vec<Value>,
}
