//! The answers that are kept: by key, for a time, up to a number and a size. The oldest go first.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use http::HeaderValue;
use sandbox_protocol::TraceId;
use tokio::sync::watch;

use super::Kept;
use crate::{config::Idempotency, observe::Kept as Counters, observe::Observers};

/// The answers of one server. Only requests that have a key meet at its lock, and none waits under it.
pub(in crate::http) struct Store {
    /// Names this server among those that a client may meet at one address, one after the other.
    pub(super) instance: HeaderValue,
    limits: Idempotency,
    observers: Arc<Observers>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Box<str>, Entry>,
    /// Answered entries in the order in which they were answered, each with its number.
    order: VecDeque<(Instant, u64, Box<str>)>,
    bytes: usize,
    last: u64,
}

struct Entry {
    number: u64,
    digest: [u8; 32],
    state: State,
}

enum State {
    Running(Arc<watch::Sender<Option<Kept>>>),
    Answered(Kept),
}

/// What a key stands for.
pub(super) enum Found {
    /// Nothing yet: this request is the first.
    New(Place, watch::Receiver<Option<Kept>>),
    /// The same request, which runs.
    Running(watch::Receiver<Option<Kept>>),
    /// The same request, and its answer.
    Answered(Kept),
    /// Another request.
    Another,
}

impl Store {
    pub(in crate::http) fn new(limits: Idempotency, observers: Arc<Observers>) -> Arc<Self> {
        let name = TraceId::generate().to_string();
        Arc::new(Self {
            // Digits are visible characters.
            instance: name
                .try_into()
                .unwrap_or(HeaderValue::from_static("unnamed")),
            limits,
            observers,
            inner: Mutex::default(),
        })
    }

    pub(super) fn find(self: &Arc<Self>, name: &str, digest: [u8; 32]) -> Found {
        let mut inner = self.lock();
        inner.forget(&self.limits);
        self.counters().stand(inner.order.len(), inner.bytes);
        if let Some(entry) = inner.entries.get(name) {
            return match &entry.state {
                _ if entry.digest != digest => Found::Another,
                State::Running(waiting) => Found::Running(waiting.subscribe()),
                State::Answered(kept) => Found::Answered(kept.clone()),
            };
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        inner.last += 1;
        let entry = Entry {
            number: inner.last,
            digest,
            state: State::Running(Arc::clone(&sender)),
        };
        inner.entries.insert(name.into(), entry);
        let place = Place {
            store: Arc::clone(self),
            name: name.into(),
            sender,
            answered: false,
        };
        Found::New(place, receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self) -> &Counters {
        &self.observers.kept
    }
}

impl Inner {
    /// Forgets what is too old, and the oldest of what is too much.
    fn forget(&mut self, limits: &Idempotency) {
        while let Some((at, ..)) = self.order.front() {
            let too_much = self.order.len() > limits.max_answers || self.bytes > limits.max_bytes;
            if !too_much && at.elapsed() < limits.ttl {
                return;
            }
            if let Some((_, number, name)) = self.order.pop_front() {
                self.remove(&name, number);
            }
        }
    }

    fn remove(&mut self, name: &str, number: u64) {
        if self
            .entries
            .get(name)
            .is_some_and(|entry| entry.number == number)
            && let Some(entry) = self.entries.remove(name)
            && let State::Answered(kept) = entry.state
        {
            self.bytes -= cost(name, &kept);
        }
    }
}

/// What an entry takes, the bookkeeping included.
fn cost(name: &str, kept: &Kept) -> usize {
    const BOOKKEEPING: usize = 512;
    2 * name.len() + kept.size() + BOOKKEEPING
}

/// The place of a request that runs. Dropped without an answer, it is as if it had never come.
pub(super) struct Place {
    store: Arc<Store>,
    name: Box<str>,
    sender: Arc<watch::Sender<Option<Kept>>>,
    answered: bool,
}

impl Place {
    /// Those who wait.
    pub(super) fn waiting(&self) -> &watch::Sender<Option<Kept>> {
        &self.sender
    }

    /// Gives an answer to those who wait, and keeps one for those who come later.
    pub(super) fn answer(mut self, now: Kept, later: Kept) {
        self.answered = true;
        let mut inner = self.store.lock();
        inner.bytes += cost(&self.name, &later);
        if let Some(entry) = inner.entries.get_mut(&*self.name) {
            entry.state = State::Answered(later);
            let number = entry.number;
            inner
                .order
                .push_back((Instant::now(), number, self.name.clone()));
        }
        inner.forget(&self.store.limits);
        self.store.counters().stand(inner.order.len(), inner.bytes);
        drop(inner);
        self.sender.send_replace(Some(now));
    }

    /// Gives an answer to those who wait; who comes later runs anew.
    pub(super) fn answer_for_now(mut self, now: Kept) {
        self.leave();
        self.sender.send_replace(Some(now));
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.store.lock().entries.remove(&*self.name);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn store(limits: Idempotency) -> Arc<Store> {
        Store::new(limits, Arc::default())
    }

    fn kept(size: usize) -> Kept {
        Kept {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from(vec![b'x'; size]),
        }
    }

    fn answer(store: &Arc<Store>, name: &str, size: usize) {
        let Found::New(place, _) = store.find(name, [0; 32]) else {
            panic!("{name} is there already");
        };
        place.answer(kept(size), kept(size));
    }

    fn is_kept(store: &Arc<Store>, name: &str) -> bool {
        matches!(store.find(name, [0; 32]), Found::Answered(_))
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_too_large() {
        let limits = Idempotency {
            max_answers: 2,
            max_bytes: 100_000,
            ..Idempotency::default()
        };
        let store = store(limits);
        for name in ["a", "b", "c"] {
            answer(&store, name, 1);
        }
        assert!(!is_kept(&store, "a") && is_kept(&store, "c"));
        answer(&store, "large", 99_000);
        assert!(!is_kept(&store, "c") && is_kept(&store, "large"));
    }

    #[test]
    fn time_passes_and_what_never_answered_leaves_nothing() {
        let limits = Idempotency {
            ttl: Duration::ZERO,
            ..Idempotency::default()
        };
        let store = store(limits);
        answer(&store, "a", 1);
        assert!(!is_kept(&store, "a"));
        let Found::New(place, _) = store.find("b", [0; 32]) else {
            panic!("it is there already");
        };
        assert!(matches!(store.find("b", [0; 32]), Found::Running(_)));
        assert!(matches!(store.find("b", [1; 32]), Found::Another));
        drop(place);
        assert!(matches!(store.find("b", [1; 32]), Found::New(..)));
    }
}
