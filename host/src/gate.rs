//! A gate that counts who is inside, and that can be closed: what keeps a thing in use from being taken away.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sandbox_plugin_api::sharded::Apart;
use tokio::sync::Notify;

/// Set once the gate is closed.
const CLOSED: u64 = 1;

/// The bits that count who is inside begin here.
const ONE: u64 = 1 << 1;

/// The bits that count who ever came in begin here, and overflow into nothing.
const CAME: u64 = 1 << 32;

/// All bits that count who is inside.
const INSIDE: u64 = CAME - ONE;

/// Counts who is inside. Entering and leaving take no lock.
#[derive(Debug, Default)]
pub struct Gate {
    state: AtomicU64,
    empty: Notify,
}

impl Gate {
    /// Enters, unless the gate is closed. Every success needs one [`leave`](Self::leave).
    pub fn enter(&self) -> bool {
        if self.state.fetch_add(ONE | CAME, Ordering::AcqRel) & CLOSED == 0 {
            return true;
        }
        self.leave();
        false
    }

    /// Enters beside somebody who is inside, though the gate may have closed meanwhile.
    fn join(&self) {
        self.state.fetch_add(ONE | CAME, Ordering::AcqRel);
    }

    /// Leaves; the last one out of a closed gate wakes those who wait for that.
    pub fn leave(&self) {
        let before = self.state.fetch_sub(ONE, Ordering::AcqRel);
        if before & (INSIDE | CLOSED) == ONE | CLOSED {
            self.empty.notify_waiters();
        }
    }

    /// Closes the gate; `true` for the one call that did it.
    pub fn close(&self) -> bool {
        self.state.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0
    }

    /// Closes the gate if nobody is inside and `may` says so, and nobody has come in while it was asked, not even to
    /// leave again; `true` for the one call that did it.
    pub fn close_if_idle(&self, may: impl FnOnce() -> bool) -> bool {
        let idle = self.state.load(Ordering::Acquire);
        let close = || {
            let closed = idle | CLOSED;
            let state = &self.state;
            state.compare_exchange(idle, closed, Ordering::AcqRel, Ordering::Relaxed)
        };
        idle & (INSIDE | CLOSED) == 0 && may() && close().is_ok()
    }

    /// Whether the gate is closed.
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        let inside = (self.state.load(Ordering::Acquire) & INSIDE) / ONE;
        usize::try_from(inside).unwrap_or(usize::MAX)
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

/// For a part of what the first is for.
impl Clone for Pass {
    fn clone(&self) -> Self {
        self.0.join();
        Self(Arc::clone(&self.0))
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
        let part = pass.clone();
        assert_eq!(gate.inside(), 2, "who is inside is not alone");
        drop(part);
        let emptied = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.emptied().await }
        });
        drop(pass);
        emptied.await.unwrap();
    }

    #[test]
    fn a_gate_that_is_used_is_not_idle_even_when_its_user_left_again() {
        let gate = Gate::default();
        let comes_and_goes = || {
            assert!(gate.enter());
            gate.leave();
            true
        };
        assert!(!gate.close_if_idle(comes_and_goes));
        assert!(!gate.close_if_idle(|| false));
        assert!(gate.enter() && !gate.close_if_idle(|| true));
        gate.leave();
        assert!(gate.close_if_idle(|| true) && gate.is_closed());
        assert!(!gate.close_if_idle(|| true), "only one call closes");
    }
}
