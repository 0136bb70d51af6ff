//! Sentence embeddings: from a model folder of sentence-transformers to vectors, and the arithmetic
//! of comparing vectors.
//!
//! Read [`Model`] first. `folder` knows what such a folder holds, `tokens` cuts texts, `tensors`
//! reads weights, `transformer` is the network, `cpu` and, with the feature of this name, `gpu` run its
//! layers, `linear` and `math` are their arithmetic, `int8` compares many vectors with one. A crate of its own, because arithmetic is optimised in debug builds too.
//! Knows nothing of indexes and plugins.
//!
//! The network is written out here, and not run by an inference crate: it is one kind of network, of
//! a few hundred lines; a short question takes a fraction of the time; and the folder is read as it
//! stands, without a conversion or a library to install.
#![forbid(unsafe_code)]
#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the vector instructions that the processor has"
)]

mod cpu;
mod error;
mod folder;
#[cfg(feature = "gpu")]
mod gpu;
mod int8;
mod linear;
mod math;
mod model;
mod tensors;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;
mod tokens;
mod transformer;
#[cfg(test)]
mod variant_tests;

pub use error::ModelError;
pub use int8::{Int8, dot_products};
pub use model::{Device, Identity, Model};
pub use tokens::{Kind, Tokens};
