//! Who has which session: a sharded map, so that one worker's look-up never waits for another's.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use dashmap::DashMap;

use super::{Coming, Session};
use crate::{failure::Failure, flight::Flight};

/// A worker, and the key whose worker it is: another key's worker of the same name is another worker.
#[derive(Clone)]
pub struct WorkerKey<'a>(Text<'a>);

/// Borrowed for a look-up, shared by all that keeps it.
#[derive(Clone)]
enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

impl<'a> WorkerKey<'a> {
    /// The worker `worker` of the caller with this key's name.
    pub fn new(owner: Option<&str>, worker: &'a str) -> Self {
        Self(match owner {
            None => Text::Borrowed(worker),
            // A worker's name has no control characters, so the parts cannot run into each other.
            Some(owner) => Text::Shared(format!("{worker}\0{owner}").into()),
        })
    }

    /// The name of the key whose worker it is.
    pub fn owner(&self) -> Option<&str> {
        self.as_str().split_once('\0').map(|(_, owner)| owner)
    }

    /// A key that can be kept.
    pub fn into_owned(self) -> WorkerKey<'static> {
        WorkerKey(Text::Shared(self.shared()))
    }

    /// The worker's name.
    pub fn worker(&self) -> &str {
        self.as_str().split('\0').next().unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        match &self.0 {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }

    fn shared(self) -> Arc<str> {
        match self.0 {
            Text::Borrowed(text) => text.into(),
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for WorkerKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for WorkerKey<'_> {}

impl Hash for WorkerKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for WorkerKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What a worker has of one resource type.
#[derive(Clone)]
pub enum Slot {
    /// A session on its way.
    Creating(Arc<Coming>, Flight<Result<Arc<Session>, Failure>>),
    /// A session.
    Active(Arc<Session>),
    /// A session that is going away.
    Closing(Arc<Session>, Flight<()>),
}

/// What a worker has, by resource type: few, so a list beats a map in both time and memory.
#[derive(Default)]
struct Worker(Vec<Entry>);

struct Entry {
    resource_type: Arc<str>,
    /// How many sessions of this type the worker has had.
    made: u32,
    slot: Option<Slot>,
}

/// The sharded map. No method waits, and none hands out a lock.
#[derive(Default)]
pub(super) struct Map(DashMap<Arc<str>, Worker>);

impl Map {
    pub(super) fn workers(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&self, key: &WorkerKey<'_>, resource_type: &str) -> Option<Slot> {
        let worker = self.0.get(key.as_str())?;
        worker.entry(resource_type)?.slot.clone()
    }

    /// What the worker has, by resource type.
    pub(super) fn slots(&self, key: &WorkerKey<'_>) -> Vec<(Arc<str>, Slot)> {
        let worker = self.0.get(key.as_str());
        let slots = worker.iter().flat_map(|worker| worker.slots());
        slots
            .map(|(name, slot)| (Arc::clone(name), slot.clone()))
            .collect()
    }

    /// Looks at everything there is, one shard after the other.
    pub(super) fn each(&self, mut look: impl FnMut(&Arc<str>, &Slot)) {
        for worker in &self.0 {
            for (name, slot) in worker.slots() {
                look(name, slot);
            }
        }
    }

    /// Shows every session that is there and not on its way in or out. `look` must not block.
    pub(super) fn each_active(&self, mut look: impl FnMut(&Arc<Session>)) {
        for worker in &self.0 {
            for (_, slot) in worker.slots() {
                if let Slot::Active(session) = slot {
                    look(session);
                }
            }
        }
    }

    pub(super) fn all(&self) -> Vec<(WorkerKey<'static>, Arc<str>)> {
        let keys = self.0.iter().flat_map(|worker| {
            let key = WorkerKey(Text::Shared(Arc::clone(worker.key())));
            let types: Vec<_> = worker.slots().map(|(name, _)| Arc::clone(name)).collect();
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
        let mut worker = self.0.entry(key.clone().shared()).or_default();
        let owned = worker.slots().count();
        let entry = worker.entry(resource_type);
        let number = entry.map_or(0, |entry| entry.made) + 1;
        let there = entry.and_then(|entry| entry.slot.as_ref());
        let (slot, answer) = decide(there, owned, number);
        if let Some(slot) = slot {
            worker.put(resource_type, number, slot);
        }
        let empty = worker.is_empty();
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
        let Some(mut worker) = self.0.get_mut(key.as_str()) else {
            return false;
        };
        let place = worker
            .entry_mut(resource_type)
            .and_then(|entry| entry.slot.as_mut());
        match place {
            Some(old) if is_mine(old) => {
                *old = slot;
                true
            }
            _ => false,
        }
    }

    /// Empties the slot, and forgets the worker when it was the last.
    pub(super) fn clear(&self, key: &WorkerKey<'_>, resource_type: &str) {
        if let Some(mut worker) = self.0.get_mut(key.as_str())
            && let Some(entry) = worker.entry_mut(resource_type)
        {
            entry.slot = None;
        }
        self.forget_if_empty(key);
    }

    fn forget_if_empty(&self, key: &WorkerKey<'_>) {
        self.0
            .remove_if(key.as_str(), |_, worker| worker.is_empty());
    }
}

impl Worker {
    fn entry(&self, resource_type: &str) -> Option<&Entry> {
        let mut entries = self.0.iter();
        entries.find(|entry| &*entry.resource_type == resource_type)
    }

    fn entry_mut(&mut self, resource_type: &str) -> Option<&mut Entry> {
        let mut entries = self.0.iter_mut();
        entries.find(|entry| &*entry.resource_type == resource_type)
    }

    fn slots(&self) -> impl Iterator<Item = (&Arc<str>, &Slot)> {
        let entries = self.0.iter();
        entries.filter_map(|entry| Some((&entry.resource_type, entry.slot.as_ref()?)))
    }

    fn is_empty(&self) -> bool {
        self.slots().next().is_none()
    }

    fn put(&mut self, resource_type: &Arc<str>, number: u32, slot: Slot) {
        let creating = matches!(slot, Slot::Creating(..));
        if let Some(entry) = self.entry_mut(resource_type) {
            if creating {
                entry.made = number;
            }
            entry.slot = Some(slot);
            return;
        }
        // Most workers have one: four places, as a list begins with, would be most of what they cost.
        self.0.reserve_exact(1);
        self.0.push(Entry {
            resource_type: Arc::clone(resource_type),
            made: u32::from(creating) * number,
            slot: Some(slot),
        });
    }
}
