//! The stream: what there is, then what happens, until the client or the server goes.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use sandbox_protocol::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{
    state::{Server, backends, sessions},
    view::View,
};
use crate::{
    http::front::Served,
    observe::feed::{Event, Subscription},
};

/// How many streams there may be: each costs the server something every second.
const MOST: usize = 64;

/// From how many sessions on they are looked at every tenth time only.
const MANY: usize = 2000;

/// How many running calls are told as a whole: those that run longest.
const RUNNING: usize = 200;

/// How often the state is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// After how many looks without a difference something is sent all the same: who is between may think that
/// nobody is there any more, and a client that went away is noticed when something is sent to it.
const SILENT: u32 = 15;

/// Counts the streams.
#[derive(Default)]
pub(in crate::http) struct Streams(Arc<AtomicUsize>);

impl Streams {
    /// A place for one more stream, given back when it is dropped.
    pub(super) fn take(&self) -> Option<Place> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.0));
        (before < MOST).then_some(place)
    }
}

pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The events for one client, as text.
pub(super) fn events(
    served: Arc<Served>,
    view: View,
    place: Place,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let listener = Listener::new(served, view, place);
    stream::unfold(listener, async |mut listener| {
        let text = listener.next().await?;
        Some((Ok(text), listener))
    })
}

struct Listener {
    served: Arc<Served>,
    view: View,
    live: Subscription,
    clock: Interval,
    /// Written, and not sent yet.
    ready: VecDeque<Bytes>,
    /// What was last said of each part of the state.
    said: [Vec<u8>; 3],
    silent: u32,
    looks: u32,
    /// Whether events were missed since the calls were last told as a whole.
    missed: bool,
    _place: Place,
}

impl Listener {
    fn new(served: Arc<Served>, view: View, place: Place) -> Self {
        let mut clock = interval(LOOK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Before anything is read, so that nothing falls between.
        let live = served.sandbox.observers.feed.subscribe();
        let mut listener = Self {
            served,
            view,
            live,
            clock,
            ready: VecDeque::new(),
            said: Default::default(),
            silent: 0,
            looks: 0,
            missed: true,
            _place: place,
        };
        listener.hello();
        listener
    }

    /// The next piece of text; `None` when the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                self.silent = 0;
                return Some(text);
            }
            tokio::select! {
                () = self.served.sandbox.called_off.cancelled() => return None,
                event = self.live.next() => self.heard(&*event?),
                _ = self.clock.tick() => self.look(),
            }
        }
    }

    fn hello(&mut self) {
        let sandbox = &self.served.sandbox;
        let hello = json!({
            "type": "hello",
            "title": sandbox.config.server.title,
            "version": env!("CARGO_PKG_VERSION"),
            "now": Timestamp::now(),
            "up_since": self.served.up_since,
            "operator": self.view.operator,
            "key": self.view.key.as_deref(),
        });
        self.tell(&hello);
    }

    fn heard(&mut self, event: &Event) {
        match event {
            Event::Missed { .. } => self.missed = true,
            event if self.view.shows(event) => self.tell(event),
            _ => {}
        }
    }

    /// Tells what is different from the last time.
    fn look(&mut self) {
        let first = self.said[0].is_empty();
        let served = Arc::clone(&self.served);
        let sandbox = &served.sandbox;
        self.differs(
            0,
            &json!({ "type": "server", "server": Server::of(sandbox) }),
        );
        let backends = backends(sandbox, &self.view);
        self.differs(1, &json!({ "type": "backends", "backends": backends }));
        // All of them are looked at to find the latest: among many, not every second.
        if first || sandbox.sessions.count() < MANY || self.looks.is_multiple_of(10) {
            let sessions = sessions(sandbox, &self.view);
            self.differs(2, &json!({ "type": "sessions", "sessions": sessions }));
        }
        if first && self.view.operator {
            let lines = sandbox.observers.feed.log_tail();
            self.tell(&json!({ "type": "log_tail", "lines": lines }));
        }
        if std::mem::take(&mut self.missed) {
            self.calls();
        }
        self.silent += 1;
        self.looks = self.looks.wrapping_add(1);
        if self.silent >= SILENT {
            self.ready
                .push_back(Bytes::from_static(b": still here\n\n"));
        }
    }

    /// Tells all calls that are known: the first time, and after some events were missed.
    fn calls(&mut self) {
        let feed = &self.served.sandbox.observers.feed;
        let mine = |calls: Vec<_>| -> Vec<_> {
            calls
                .into_iter()
                .filter(|call| self.view.shows_call(call))
                .collect()
        };
        let (mut running, recent) = (mine(feed.running()), mine(feed.recent()));
        running.truncate(RUNNING);
        self.tell(&json!({ "type": "calls", "running": running, "recent": recent }));
    }

    fn differs(&mut self, part: usize, value: &impl Serialize) {
        let written = serde_json::to_vec(value).unwrap_or_default();
        if written != self.said[part] {
            self.ready.push_back(framed(&written));
            self.said[part] = written;
        }
    }

    fn tell(&mut self, value: &impl Serialize) {
        match serde_json::to_vec(value) {
            Ok(written) => self.ready.push_back(framed(&written)),
            Err(error) => tracing::error!(%error, "an event cannot be written"),
        }
    }
}

/// An event as it travels; JSON of one line has no line breaks.
fn framed(json: &[u8]) -> Bytes {
    [b"data: ", json, b"\n\n"].concat().into()
}
