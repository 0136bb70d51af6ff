//! The bash backend: a shell per session.
