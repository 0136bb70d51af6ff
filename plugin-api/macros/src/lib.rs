//! The attribute macros #[backend] and #[tool].
