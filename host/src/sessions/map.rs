//! Who has which session: a sharded map, so that one worker's look-up never waits for another's.

use std::{borrow::Cow, sync::Arc};

use dashmap::DashMap;

use super::Session;
use crate::{failure::Failure, flight::Flight};

/// A worker, and the key whose worker it is: another key's worker of the same name is another worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkerKey<'a>(Cow<'a, str>);

impl<'a> WorkerKey<'a> {
    /// The worker `worker` of the caller with this key's name.
    pub fn new(owner: Option<&str>, worker: &'a str) -> Self {
        match owner {
            None => Self(Cow::Borrowed(worker)),
            // A worker's name has no control characters, so the parts cannot run into each other.
            Some(owner) => Self(Cow::Owned(format!("{worker}\0{owner}"))),
        }
    }

    /// The name of the key whose worker it is.
    pub fn owner(&self) -> Option<&str> {
        self.0.split_once('\0').map(|(_, owner)| owner)
    }

    /// A key that owns its text.
    pub fn into_owned(self) -> WorkerKey<'static> {
        WorkerKey(Cow::Owned(self.0.into_owned()))
    }

    /// The worker's name.
    pub fn worker(&self) -> &str {
        self.0.split('\0').next().unwrap_or_default()
    }
}

/// What a worker has of one resource type.
#[derive(Clone)]
pub enum Slot {
    /// A session on its way.
    Creating(Flight<Result<Arc<Session>, Failure>>),
    /// A session.
    Active(Arc<Session>),
    /// A session that is going away.
    Closing(Flight<()>),
}

#[derive(Default)]
struct Worker {
    /// By resource type; a worker has few, so a list beats a map in both time and memory.
    slots: Vec<(Arc<str>, Slot)>,
    /// How many sessions of each type the worker has had.
    numbers: Vec<(Arc<str>, u32)>,
}

/// The sharded map. No method waits, and none hands out a lock.
#[derive(Default)]
pub(super) struct Map(DashMap<Box<str>, Worker>);

impl Map {
    pub(super) fn workers(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&self, key: &WorkerKey<'_>, resource_type: &str) -> Option<Slot> {
        let worker = self.0.get(&*key.0)?;
        worker.slot(resource_type).cloned()
    }

    pub(super) fn sessions(&self, key: &WorkerKey<'_>) -> Vec<Arc<Session>> {
        let Some(worker) = self.0.get(&*key.0) else {
            return Vec::new();
        };
        let active = worker.slots.iter().filter_map(|(_, slot)| match slot {
            Slot::Active(session) => Some(Arc::clone(session)),
            Slot::Creating(_) | Slot::Closing(_) => None,
        });
        active.collect()
    }

    pub(super) fn types(&self, key: &WorkerKey<'_>) -> Vec<Arc<str>> {
        let worker = self.0.get(&*key.0);
        let slots = worker.iter().flat_map(|worker| &worker.slots);
        slots.map(|(name, _)| Arc::clone(name)).collect()
    }

    pub(super) fn all(&self) -> Vec<(WorkerKey<'static>, Arc<str>)> {
        let keys = self.0.iter().flat_map(|worker| {
            let key = WorkerKey(Cow::Owned(worker.key().to_string()));
            let types: Vec<_> = worker
                .slots
                .iter()
                .map(|(name, _)| Arc::clone(name))
                .collect();
            types.into_iter().map(move |name| (key.clone(), name))
        });
        keys.collect()
    }

    /// Replaces the worker's slot by what `decide` makes of it; `decide` must not block.
    ///
    /// `decide` gets the slot that is there, how many the worker has, and the number that a new
    /// session would have; it returns what to put there (nothing: leave it) and an answer.
    pub(super) fn decide<T>(
        &self,
        key: &WorkerKey<'_>,
        resource_type: &Arc<str>,
        decide: impl FnOnce(Option<&Slot>, usize, u32) -> (Option<Slot>, T),
    ) -> T {
        let mut worker = self.0.entry((*key.0).into()).or_default();
        let number = worker.number(resource_type) + 1;
        let (slot, answer) = decide(worker.slot(resource_type), worker.slots.len(), number);
        let empty = match slot {
            Some(slot) => {
                if matches!(slot, Slot::Creating(_)) {
                    worker.count(resource_type, number);
                }
                worker.put(resource_type, slot);
                false
            }
            None => worker.slots.is_empty(),
        };
        drop(worker);
        if empty {
            self.forget_if_empty(key);
        }
        answer
    }

    /// Puts `slot` in the place of the one that `is_mine` recognises.
    pub(super) fn replace(
        &self,
        key: &WorkerKey<'_>,
        resource_type: &str,
        is_mine: impl FnOnce(&Slot) -> bool,
        slot: Slot,
    ) -> bool {
        let Some(mut worker) = self.0.get_mut(&*key.0) else {
            return false;
        };
        let place = worker
            .slots
            .iter_mut()
            .find(|(name, _)| &**name == resource_type);
        match place {
            Some((_, old)) if is_mine(old) => {
                *old = slot;
                true
            }
            _ => false,
        }
    }

    /// Empties the slot, and forgets the worker when it was the last.
    pub(super) fn clear(&self, key: &WorkerKey<'_>, resource_type: &str) {
        if let Some(mut worker) = self.0.get_mut(&*key.0) {
            worker.slots.retain(|(name, _)| &**name != resource_type);
        }
        self.forget_if_empty(key);
    }

    fn forget_if_empty(&self, key: &WorkerKey<'_>) {
        self.0
            .remove_if(&*key.0, |_, worker| worker.slots.is_empty());
    }
}

impl Worker {
    fn slot(&self, resource_type: &str) -> Option<&Slot> {
        let mut slots = self.slots.iter();
        slots.find_map(|(name, slot)| (&**name == resource_type).then_some(slot))
    }

    fn number(&self, resource_type: &str) -> u32 {
        let mut numbers = self.numbers.iter();
        numbers
            .find_map(|(name, number)| (&**name == resource_type).then_some(*number))
            .unwrap_or(0)
    }

    fn put(&mut self, resource_type: &Arc<str>, slot: Slot) {
        match self
            .slots
            .iter_mut()
            .find(|(name, _)| name == resource_type)
        {
            Some((_, old)) => *old = slot,
            None => self.slots.push((Arc::clone(resource_type), slot)),
        }
    }

    fn count(&mut self, resource_type: &Arc<str>, number: u32) {
        match self
            .numbers
            .iter_mut()
            .find(|(name, _)| name == resource_type)
        {
            Some((_, last)) => *last = number,
            None => self.numbers.push((Arc::clone(resource_type), number)),
        }
    }
}
