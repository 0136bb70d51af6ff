//! Handles: the names by which clients of this front come back to their sessions.
//!
//! A handle is a random number and a proof that this server gave it to the holder of this key. Nothing is
//! remembered about it, so clients that vanish leave nothing behind. The older generation of the protocol
//! carries it in the header `Mcp-Session-Id`, the newer one in the argument `session_id` of a tool.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::failure::{Failure, internal};

/// How many handles that were given back are remembered. One that is forgotten names a worker without
/// sessions, as if nobody had used it yet.
const REMEMBERED: usize = 10_000;

/// A handle that this server gave to whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    number: u64,
    /// What the client shows.
    pub(super) text: Box<str>,
}

impl Handle {
    /// The worker that it stands for, which is no secret: it is in logs.
    pub(super) fn worker(&self) -> String {
        format!("mcp-{:016x}", self.number)
    }

    /// Tells handles apart.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

/// Gives handles and knows them again.
pub(super) struct Handles {
    secret: [u8; 32],
    ended: Mutex<Ended>,
}

#[derive(Default)]
struct Ended {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Default for Handles {
    fn default() -> Self {
        let mut secret = [0; 32];
        // Without random numbers, no handle is given either; see `issue`.
        let _ = getrandom::fill(&mut secret);
        Self {
            secret,
            ended: Mutex::default(),
        }
    }
}

impl Handles {
    /// A new handle for the holder of this key.
    pub(super) fn issue(&self, owner: Option<&str>) -> Result<Handle, Failure> {
        let number = getrandom::u64().map_err(|error| {
            tracing::error!(%error, "the operating system gives no random numbers");
            internal()
        })?;
        let text = format!("{number:016x}{:016x}", self.proof(number, owner));
        Ok(Handle {
            number,
            text: text.into(),
        })
    }

    /// The handle that the holder of this key shows, if this server gave it to them.
    pub(super) fn check(&self, text: &str, owner: Option<&str>) -> Option<Handle> {
        let (number, proof) = text.split_at_checked(16)?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let number = hex(number)?;
        let right = self.proof(number, owner).ct_eq(&hex(proof)?);
        let ended = || self.lock().known.contains(&number);
        (text.len() == 32 && bool::from(right) && !ended()).then(|| Handle {
            number,
            text: text.into(),
        })
    }

    /// From now on the handle is not known any more.
    pub(super) fn end(&self, handle: &Handle) {
        let mut ended = self.lock();
        if !ended.known.insert(handle.number) {
            return;
        }
        ended.order.push_back(handle.number);
        if ended.order.len() > REMEMBERED
            && let Some(oldest) = ended.order.pop_front()
        {
            ended.known.remove(&oldest);
        }
    }

    /// What only this server can work out. All inputs but the last have a fixed length, and of that one
    /// only the digest goes in, so no text can be moved from one to the other.
    fn proof(&self, number: u64, owner: Option<&str>) -> u64 {
        // No key's name is empty, so nobody's handles are like those of a key.
        let owner = Sha256::digest(owner.unwrap_or_default());
        let digest = Sha256::new()
            .chain_update(self.secret)
            .chain_update(number.to_be_bytes())
            .chain_update(owner)
            .finalize();
        let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_be_bytes(*first)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_known_to_its_server_and_for_its_key_alone() {
        let (ours, theirs) = (Handles::default(), Handles::default());
        let handle = ours.issue(Some("ann")).unwrap();
        assert_eq!(ours.check(&handle.text, Some("ann")), Some(handle.clone()));
        for other in [Some("bob"), None] {
            assert_eq!(ours.check(&handle.text, other), None);
        }
        assert_eq!(theirs.check(&handle.text, Some("ann")), None);
        for forged in ["", "é", "0", &"0".repeat(32), &format!("{}0", handle.text)] {
            assert_eq!(ours.check(forged, Some("ann")), None);
        }
    }

    #[test]
    fn a_handle_that_was_given_back_is_not_known_and_few_are_remembered() {
        let handles = Handles::default();
        let first = handles.issue(None).unwrap();
        handles.end(&first);
        handles.end(&first);
        assert_eq!(handles.check(&first.text, None), None);
        for _ in 0..REMEMBERED {
            handles.end(&handles.issue(None).unwrap());
        }
        let ended = handles.lock();
        assert_eq!(
            (ended.known.len(), ended.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
