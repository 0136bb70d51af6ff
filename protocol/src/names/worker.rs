//! The name that a worker gives itself.

use std::{borrow::Borrow, fmt, sync::Arc};

/// A worker's name: not empty, not too long, without control characters. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(Arc<str>);

/// Why a name is no worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWorkerId {
    /// Neither the body nor the header has one.
    #[error("`worker_id` is missing: give it in the body, or in the header X-Worker-ID")]
    Missing,
    /// It is empty.
    #[error("`worker_id` is empty")]
    Empty,
    /// It is longer than [`WorkerId::MAX_BYTES`].
    #[error("`worker_id` is {0} bytes long; at most {max} are allowed", max = WorkerId::MAX_BYTES)]
    TooLong(usize),
    /// It has a control character, which would garble logs.
    #[error("`worker_id` has a control character")]
    ControlCharacter,
}

impl WorkerId {
    /// The longest name in bytes: room for any identifier, too little to waste a server's memory with.
    pub const MAX_BYTES: usize = 256;

    /// Takes a name that keeps the rules.
    ///
    /// # Errors
    ///
    /// See [`BadWorkerId`].
    pub fn new(name: &str) -> Result<Self, BadWorkerId> {
        Self::check(name).map(|name| Self(name.into()))
    }

    /// Whether a name keeps the rules, without keeping the name.
    ///
    /// # Errors
    ///
    /// See [`BadWorkerId`].
    pub fn check(name: &str) -> Result<&str, BadWorkerId> {
        match name.len() {
            0 => Err(BadWorkerId::Empty),
            bytes if bytes > Self::MAX_BYTES => Err(BadWorkerId::TooLong(bytes)),
            _ if name.chars().any(char::is_control) => Err(BadWorkerId::ControlCharacter),
            _ => Ok(name),
        }
    }

    /// The name from the body, else the one from the header.
    ///
    /// # Errors
    ///
    /// See [`BadWorkerId`].
    pub fn choose<'a>(
        body: Option<&'a str>,
        header: impl FnOnce() -> Option<&'a str>,
    ) -> Result<&'a str, BadWorkerId> {
        Self::check(body.or_else(header).ok_or(BadWorkerId::Missing)?)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for WorkerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for WorkerId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_wins_over_the_header() {
        assert_eq!(WorkerId::choose(Some("b"), || Some("h")), Ok("b"));
        assert_eq!(WorkerId::choose(None, || Some("h")), Ok("h"));
        assert_eq!(WorkerId::choose(None, || None), Err(BadWorkerId::Missing));
        assert_eq!(
            WorkerId::choose(Some(""), || Some("h")),
            Err(BadWorkerId::Empty)
        );
    }

    #[test]
    fn names_that_would_do_harm_are_refused() {
        assert_eq!(WorkerId::new("a\nb"), Err(BadWorkerId::ControlCharacter));
        let long = "x".repeat(257);
        assert_eq!(WorkerId::new(&long), Err(BadWorkerId::TooLong(257)));
        assert_eq!(WorkerId::new(&long[1..]).unwrap().as_str(), &long[1..]);
        assert_eq!(WorkerId::new("工人 1").unwrap().as_str(), "工人 1");
    }
}
