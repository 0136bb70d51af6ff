//! What the tools answer.
#![expect(clippy::struct_field_names, reason = "the names are the protocol's")]

use sandbox_plugin_api::prelude::*;

use crate::page::{Cut, Download, Notes, TabInfo};

/// An answer, and what happened around it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Noted<T> {
    #[serde(flatten)]
    pub(crate) answer: T,
    #[serde(flatten)]
    pub(crate) notes: Notes,
}

/// The size of a picture; the picture is `image`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Pictured {
    /// Width and height of the picture.
    pub(crate) size: [u32; 2],
    /// Whether the page is taller than the picture.
    pub(crate) truncated: bool,
}

/// A click that took.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Clicked {
    /// What was clicked: the selector, the ref, or the place.
    pub(crate) clicked: Value,
    /// The page's address afterwards.
    pub(crate) url: String,
}

/// Text that was typed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Typed {
    /// The text.
    pub(crate) typed: String,
    /// What the element holds now.
    pub(crate) value: String,
    /// The page's address afterwards.
    pub(crate) url: String,
}

/// A key that was pressed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Pressed {
    /// The key.
    pub(crate) key: String,
    /// The page's address afterwards.
    pub(crate) url: String,
}

/// Options that are chosen.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Chosen {
    /// The values of all chosen options.
    pub(crate) selected: Vec<String>,
}

/// The result of a script.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Evaluated {
    /// Its result as JSON.
    pub(crate) result: Value,
}

/// The text of a page.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PageText {
    /// The text, in the formats text and markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// The source, in the format html.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) html: Option<String>,
    #[serde(flatten)]
    pub(crate) cut: Cut,
}

/// The accessibility tree.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Snapped {
    /// One element a line, indented, with its `ref`.
    pub(crate) snapshot: String,
    /// The page's address.
    pub(crate) url: String,
    pub(crate) title: String,
    #[serde(flatten)]
    pub(crate) cut: Cut,
}

/// An element that is as it was waited for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// Always true: in vain is an error.
    pub(crate) found: bool,
}

/// The tabs of a session.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TabList {
    pub(crate) tabs: Vec<TabInfo>,
}

/// The downloads of a session.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DownloadList {
    /// All downloads, the oldest first.
    pub(crate) list: Vec<Download>,
}
