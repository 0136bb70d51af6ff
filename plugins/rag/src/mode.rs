//! How passages are found.

use schemars::JsonSchema;
use serde::Deserialize;

/// How passages are found.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Full text and meaning together.
    Hybrid,
    /// By meaning, with an embedding model.
    Dense,
    /// By the words that query and passage share.
    Text,
}

impl Mode {
    /// Its name, as callers write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Dense => "dense",
            Self::Text => "text",
        }
    }
}
