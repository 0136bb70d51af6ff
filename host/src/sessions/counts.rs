//! How many sessions there are in which state, for whoever watches the server.

use std::{collections::BTreeMap, sync::Arc};

use super::{Sessions, Slot};

/// The sessions of each backend, by state. Those that were made for one call are not among them.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<Arc<str>, States>);

/// The sessions of one backend, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// On their way.
    pub creating: usize,
    /// Waiting for a call.
    pub active: usize,
    /// With a call inside.
    pub in_use: usize,
    /// Of no use since a tool panicked in them.
    pub poisoned: usize,
    /// On their way out.
    pub closing: usize,
}

impl States {
    /// All of them.
    pub const fn total(&self) -> usize {
        self.creating + self.active + self.in_use + self.poisoned + self.closing
    }
}

impl Counts {
    /// The sessions of this backend.
    pub fn of(&self, backend: &str) -> States {
        self.0.get(backend).copied().unwrap_or_default()
    }
}

impl Sessions {
    /// Counts the sessions, one shard of the map after the other: calls go on meanwhile.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.map.each(|name, slot| {
            let states = counts.0.entry(Arc::clone(name)).or_default();
            *match slot {
                Slot::Creating(..) => &mut states.creating,
                Slot::Closing(..) => &mut states.closing,
                Slot::Active(session) if session.is_poisoned() => &mut states.poisoned,
                Slot::Active(session) if session.gate.inside() > 0 => &mut states.in_use,
                Slot::Active(_) => &mut states.active,
            } += 1;
        });
        counts
    }
}
