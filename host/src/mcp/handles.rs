//! Handles: the names by which clients of this front come back to their sessions.
//!
//! A handle is a random number and a proof that this server gave it to the holder of this key. Nothing is
//! remembered about it, so clients that vanish leave nothing behind. The older generation of the protocol
//! carries it in the header `Mcp-Session-Id`, the newer one in the argument `session_id` of a tool.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use dashmap::DashSet;
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
    /// The secret has been taken in already.
    prover: Sha256,
    /// Those that were given back, read by every call.
    ended: DashSet<u64>,
    /// The same, the oldest first.
    order: Mutex<VecDeque<u64>>,
}

impl Default for Handles {
    fn default() -> Self {
        let mut secret = [0; 32];
        // Without random numbers, no handle is given either; see `issue`.
        let _ = getrandom::fill(&mut secret);
        Self {
            prover: Sha256::new().chain_update(secret),
            ended: DashSet::default(),
            order: Mutex::default(),
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
        let given = text.len() == 32 && bool::from(right) && !self.ended.contains(&number);
        given.then(|| Handle {
            number,
            text: text.into(),
        })
    }

    /// From now on the handle is not known any more.
    pub(super) fn end(&self, handle: &Handle) {
        if !self.ended.insert(handle.number) {
            return;
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back(handle.number);
        if order.len() > REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    /// What only this server can work out. All inputs but the last have a fixed length, so no text can be moved
    /// from one to the other, and a part of the digest is too little to go on from.
    fn proof(&self, number: u64, owner: Option<&str>) -> u64 {
        // No key's name is empty, so nobody's handles are like those of a key.
        let digest = (self.prover.clone())
            .chain_update(number.to_be_bytes())
            .chain_update(owner.unwrap_or_default())
            .finalize();
        let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_be_bytes(*first)
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
        let order = handles.order.lock().unwrap();
        assert_eq!((handles.ended.len(), order.len()), (REMEMBERED, REMEMBERED));
    }
}
