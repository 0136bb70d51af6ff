//! The rag backend: retrieval over a corpus on disk.
//!
//! Read `backend` first: the tools and their limits. Below it, `index` is the index on disk,
//! `text` what a text's terms and passages are, `corpus` and `document` what goes in, and `batcher`
//! where questions get their vectors from the model, which is a crate of its own. Only `backend`,
//! `answers`, `batch`, `config` and `failure` know that this is a plugin.
#![forbid(unsafe_code)]

mod answers;
mod backend;
mod batch;
mod batcher;
mod config;
mod corpus;
mod cutting;
mod document;
mod failure;
mod former;
mod index;
mod library;
mod mode;
pub mod offline;
mod qdrant;
mod queries;
mod room;
mod text;

pub use answers::{
    BatchAnswer, BatchError, BatcherStats, DeleteAnswer, IndexAnswer, IndexStats, NewDocument,
    SearchAnswer, StatsAnswer,
};
pub use backend::Rag;
pub use config::Config;
pub use mode::Mode;

sandbox_plugin_api::export!(Rag);
