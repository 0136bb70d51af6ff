//! What happened around a tool's work and belongs into the next answer: dialogs, new and closed tabs, downloads, requests
//! that the server's rules refused.

use sandbox_plugin_api::prelude::*;

use super::Download;
use crate::config::DialogAnswer;

/// A page that opens dialogs without end must not fill the memory.
const MAX_DIALOGS: usize = 32;
/// A dialog's text, in characters.
const MAX_MESSAGE: usize = 2000;

/// What to tell.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Notes {
    /// Dialogs that pages opened, and what they were answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dialogs: Vec<Dialog>,
    /// How many more dialogs there were.
    #[serde(skip_serializing_if = "is_zero")]
    more_dialogs: u64,
    /// The numbers of tabs that pages opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    opened_tabs: Vec<u32>,
    /// How many pop-ups were closed at once, because the session or the server has as many tabs as it may.
    #[serde(skip_serializing_if = "is_zero")]
    refused_tabs: u64,
    /// Downloads that began or ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) downloads: Vec<Download>,
    /// Hosts that the page asked for and the server's rules refuse, or that do not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) blocked: Vec<String>,
}

/// A dialog that a page opened.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Dialog {
    /// `alert`, `confirm`, `prompt` or `beforeunload`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Its text.
    pub(super) message: String,
    /// What it was answered.
    pub(super) answer: DialogAnswer,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Notes {
    pub(super) fn dialog(&mut self, mut dialog: Dialog) {
        if self.dialogs.len() == MAX_DIALOGS {
            self.more_dialogs += 1;
            return;
        }
        if let Some((end, _)) = dialog.message.char_indices().nth(MAX_MESSAGE) {
            dialog.message.truncate(end);
        }
        self.dialogs.push(dialog);
    }

    pub(super) fn opened(&mut self, tab: u32) {
        self.opened_tabs.push(tab);
    }

    pub(super) const fn refused_tab(&mut self) {
        self.refused_tabs += 1;
    }

    /// Whether there is nothing to tell.
    pub(crate) const fn is_empty(&self) -> bool {
        self.dialogs.is_empty()
            && self.opened_tabs.is_empty()
            && self.refused_tabs == 0
            && self.downloads.is_empty()
            && self.blocked.is_empty()
    }
}
