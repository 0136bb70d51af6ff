//! A gate that counts who is inside, and that can be closed: what keeps a thing in use from being taken away.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sandbox_plugin_api::sharded::Apart;
use tokio::sync::Notify;

/// Set once the gate is closed; the bits below count.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Counts who is inside. Entering and leaving take no lock.
#[derive(Debug, Default)]
pub struct Gate {
    state: AtomicUsize,
    empty: Notify,
}

impl Gate {
    /// Enters, unless the gate is closed. Every success needs one [`leave`](Self::leave).
    pub fn enter(&self) -> bool {
        if self.state.fetch_add(1, Ordering::AcqRel) & CLOSED == 0 {
            return true;
        }
        self.leave();
        false
    }

    /// Leaves; the last one out of a closed gate wakes those who wait for that.
    pub fn leave(&self) {
        if self.state.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1 {
            self.empty.notify_waiters();
        }
    }

    /// Closes the gate; `true` for the one call that did it.
    pub fn close(&self) -> bool {
        self.state.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0
    }

    /// Whether the gate is closed.
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.state.load(Ordering::Acquire) & !CLOSED
    }

    /// Waits until a closed gate is empty.
    pub async fn emptied(&self) {
        loop {
            // Registered before the look, so that a leave in between is not missed.
            let left = self.empty.notified();
            if self.inside() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// One who is inside, for things that are shared by `Arc`.
#[derive(Debug)]
pub struct Pass(Arc<Apart<Gate>>);

impl Pass {
    /// Enters, unless the gate is closed.
    pub fn enter(gate: &Arc<Apart<Gate>>) -> Option<Self> {
        gate.enter().then(|| Self(Arc::clone(gate)))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_lets_nobody_in_and_tells_when_it_is_empty() {
        let gate = Arc::<Apart<Gate>>::default();
        let pass = Pass::enter(&gate).unwrap();
        assert!(gate.close());
        assert!(!gate.close(), "only one call closes");
        assert!(Pass::enter(&gate).is_none());
        assert_eq!(gate.inside(), 1);
        let emptied = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.emptied().await }
        });
        drop(pass);
        emptied.await.unwrap();
    }
}
