//! The answers that are kept: by key, for a time, up to a number and a size. The oldest go first.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use http::HeaderValue;
use sandbox_protocol::TraceId;
use tokio::sync::{Notify, watch};

use super::{Kept, sent::Sent};
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
    /// Whether a key that stands for nothing may have stood for something.
    forgot: bool,
}

struct Entry {
    number: u64,
    /// Of the request; of none, where it was given up before it came.
    digest: Option<[u8; 32]>,
    state: State,
}

enum State {
    Running(Arc<watch::Sender<Option<Kept>>>, Arc<Notify>),
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
    /// Nothing that is known here, and this request may not be run.
    Unknown,
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

    pub(super) fn find(self: &Arc<Self>, name: &str, digest: [u8; 32], sent: Sent) -> Found {
        let mut inner = self.lock();
        inner.forget(&self.limits);
        self.counters().stand(inner.order.len(), inner.bytes);
        if let Some(entry) = inner.entries.get(name) {
            return match &entry.state {
                _ if entry.digest.is_some_and(|own| own != digest) => Found::Another,
                State::Running(waiting, _) => Found::Running(waiting.subscribe()),
                State::Answered(kept) => Found::Answered(kept.clone()),
            };
        }
        if sent == Sent::Again || (sent == Sent::Here && inner.forgot) {
            return Found::Unknown;
        }
        let (sender, receiver) = watch::channel(None);
        let (sender, abandoned) = (Arc::new(sender), Arc::new(Notify::new()));
        let state = State::Running(Arc::clone(&sender), Arc::clone(&abandoned));
        inner.insert(name, Some(digest), state);
        let place = Place {
            store: Arc::clone(self),
            name: name.into(),
            sender,
            abandoned,
            answered: false,
        };
        Found::New(place, receiver)
    }

    /// Has the request cancelled that a key stands for. If it has not come yet, it is answered with `gone` when it does.
    pub(super) fn abandon(&self, name: &str, gone: Kept) -> Found {
        let mut inner = self.lock();
        let found = match inner.entries.get(name).map(|entry| &entry.state) {
            Some(State::Answered(kept)) => Found::Answered(kept.clone()),
            Some(State::Running(waiting, abandoned)) => {
                abandoned.notify_one();
                Found::Running(waiting.subscribe())
            }
            None => {
                inner.insert(name, None, State::Answered(gone.clone()));
                inner.answered(name, cost(name, &gone));
                Found::Answered(gone)
            }
        };
        inner.forget(&self.limits);
        self.counters().stand(inner.order.len(), inner.bytes);
        found
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self) -> &Counters {
        &self.observers.kept
    }
}

impl Inner {
    fn insert(&mut self, name: &str, digest: Option<[u8; 32]>, state: State) {
        self.last += 1;
        let entry = Entry {
            number: self.last,
            digest,
            state,
        };
        self.entries.insert(name.into(), entry);
    }

    /// Counts the answer that the entry of this name has now, and what it takes.
    fn answered(&mut self, name: &str, cost: usize) {
        if let Some(entry) = self.entries.get(name) {
            self.bytes += cost;
            self.order
                .push_back((Instant::now(), entry.number, name.into()));
        }
    }

    /// Forgets what is too old, and the oldest of what is too much.
    fn forget(&mut self, limits: &Idempotency) {
        while let Some((at, ..)) = self.order.front() {
            let too_much = self.order.len() > limits.max_answers || self.bytes > limits.max_bytes;
            if !too_much && at.elapsed() < limits.ttl {
                return;
            }
            if let Some((_, number, name)) = self.order.pop_front() {
                self.forgot = true;
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
    abandoned: Arc<Notify>,
    answered: bool,
}

impl Place {
    /// Those who wait.
    pub(super) fn waiting(&self) -> &watch::Sender<Option<Kept>> {
        &self.sender
    }

    /// Waits until nobody wants the answer any more.
    pub(super) async fn abandoned(&self) {
        self.abandoned.notified().await;
    }

    /// Gives an answer to those who wait, and keeps one for those who come later.
    pub(super) fn answer(mut self, now: Kept, later: Kept) {
        self.answered = true;
        let mut inner = self.store.lock();
        if let Some(entry) = inner.entries.get_mut(&*self.name) {
            let cost = cost(&self.name, &later);
            entry.state = State::Answered(later);
            inner.answered(&self.name, cost);
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
        let Found::New(place, _) = store.find(name, [0; 32], Sent::First) else {
            panic!("{name} is there already");
        };
        place.answer(kept(size), kept(size));
    }

    fn is_kept(store: &Arc<Store>, name: &str) -> bool {
        matches!(store.find(name, [0; 32], Sent::First), Found::Answered(_))
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
        let Found::New(place, _) = store.find("b", [0; 32], Sent::First) else {
            panic!("it is there already");
        };
        assert!(matches!(
            store.find("b", [0; 32], Sent::First),
            Found::Running(_)
        ));
        assert!(matches!(
            store.find("b", [1; 32], Sent::First),
            Found::Another
        ));
        drop(place);
        assert!(matches!(
            store.find("b", [1; 32], Sent::First),
            Found::New(..)
        ));
    }

    #[test]
    fn what_was_sent_before_runs_only_where_nothing_can_have_been_forgotten() {
        let limits = Idempotency {
            max_answers: 1,
            ..Idempotency::default()
        };
        let store = store(limits);
        let find = |name, sent| store.find(name, [0; 32], sent);
        assert!(matches!(find("a", Sent::Again), Found::Unknown));
        assert!(matches!(find("a", Sent::Here), Found::New(..)));
        answer(&store, "b", 1);
        answer(&store, "c", 1);
        assert!(matches!(find("b", Sent::Here), Found::Unknown));
        assert!(matches!(find("b", Sent::First), Found::New(..)));
    }

    #[test]
    fn what_is_given_up_before_it_comes_is_answered_when_it_does() {
        let store = store(Idempotency::default());
        assert!(matches!(store.abandon("a", kept(1)), Found::Answered(_)));
        assert!(is_kept(&store, "a"));
    }
}
