//! The calls that run, and the latest that ended: per few threads, in place, without an allocation.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use sandbox_plugin_api::sharded::Sharded;

use super::{CallView, texts::Texts};
use crate::{
    catalog::Tool,
    dispatch::Call,
    observe::record::{CallRecord, End, Front, shown},
};

/// How many calls that ended are shown, and how many of a shard are remembered for that.
const RECENT: usize = 256;
const KEPT: usize = 128;

/// As much of a failure's message as is remembered.
const MESSAGE: usize = 300;

/// As much of a key's name as is remembered: names as long as this may stand for longer ones.
pub const KEY: usize = 32;

/// Where a running call is kept.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    shard: usize,
    slot: usize,
    id: u64,
}

impl Place {
    /// The call's number.
    pub const fn id(&self) -> u64 {
        self.id
    }
}

/// Running and recent calls.
#[derive(Default)]
pub(super) struct Calls(Sharded<Mutex<Shard>>);

/// A call keeps its slot while it runs, and afterwards until enough others have ended: nothing of it is ever moved.
#[derive(Default)]
struct Shard {
    count: u64,
    slots: Vec<Entry>,
    /// The slots of calls that nobody remembers.
    free: Vec<usize>,
    /// The slots of calls that ended, the oldest first.
    recent: VecDeque<usize>,
}

#[derive(Clone)]
struct Entry {
    id: u64,
    started: Instant,
    front: Front,
    texts: Texts<{ MOST.len() }, ROOM>,
    state: State,
}

/// The texts of a call in their order: the session is known last.
const TOOL: usize = 0;
const BACKEND: usize = 1;
const WORKER: usize = 2;
const KEY_NAME: usize = 3;
const TRACE: usize = 4;
const SESSION: usize = 5;

/// As much of each as is remembered, in bytes, and what that comes to.
const MOST: [usize; 6] = [80, 32, 64, KEY, 64, 96];
const ROOM: usize = {
    let [tool, backend, worker, key, trace, session] = MOST;
    tool + backend + worker + key + trace + session
};

#[derive(Clone)]
enum State {
    Free,
    Running,
    Ended {
        elapsed: Duration,
        code: Option<i32>,
        message: Option<Box<str>>,
    },
}

impl Calls {
    /// A call of this tool began, or of none.
    pub(super) fn started(&self, call: &Call<'_>, tool: Option<&Tool>) -> Place {
        let shards = self.0.len() as u64;
        let (index, shard) = self.0.mine();
        let shard = &mut *lock(shard);
        shard.count += 1;
        // Numbers of different shards never meet, so that no counter is shared.
        let id = shard.count * shards + index as u64;
        let slot = shard.free.pop().unwrap_or_else(|| {
            shard.slots.push(Entry::free(call.started));
            shard.slots.len() - 1
        });
        let entry = &mut shard.slots[slot];
        entry.id = id;
        entry.started = call.started;
        entry.front = call.front;
        let action = || shown(call.action);
        let texts = [
            tool.map_or_else(action, |tool| &tool.name),
            tool.map_or("", |tool| &tool.backend.name),
            call.worker,
            call.caller.owner().unwrap_or_default(),
            call.trace,
        ];
        entry.texts.clear();
        for (text, most) in texts.into_iter().zip(MOST) {
            entry.texts.push(text, most);
        }
        entry.state = State::Running;
        Place {
            shard: index,
            slot,
            id,
        }
    }

    pub(super) fn view(&self, place: &Place) -> CallView {
        let entry = lock(self.0.at(place.shard)).slots[place.slot].clone();
        entry.view()
    }

    /// Counts a call that ran among those that ended; what it looks like then, if that is wanted.
    pub(super) fn ended(
        &self,
        place: &Place,
        record: &CallRecord<'_>,
        wanted: bool,
    ) -> Option<CallView> {
        let state = State::Ended {
            elapsed: record.elapsed,
            code: record.end.code(),
            message: message(&record.end),
        };
        let mut shard = lock(self.0.at(place.shard));
        let entry = &mut shard.slots[place.slot];
        if let Some(session) = record.session {
            entry.texts.push(&session.id, MOST[SESSION]);
        }
        entry.state = state;
        let view = wanted.then(|| entry.clone());
        shard.remember(place.slot);
        drop(shard);
        view.map(|entry| entry.view())
    }

    pub(super) fn running(&self) -> Vec<CallView> {
        let mut entries = self.entries(|entry| matches!(entry.state, State::Running));
        entries.sort_by_key(|entry| entry.started);
        entries.iter().map(Entry::view).collect()
    }

    pub(super) fn recent(&self) -> Vec<CallView> {
        let mut entries = self.entries(|entry| matches!(entry.state, State::Ended { .. }));
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.ended()));
        entries.truncate(RECENT);
        entries.iter().map(Entry::view).collect()
    }

    fn entries(&self, are_wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let of = |shard: &Mutex<Shard>| -> Vec<Entry> {
            let shard = lock(shard);
            let wanted = shard.slots.iter().filter(|entry| are_wanted(entry));
            wanted.cloned().collect()
        };
        self.0.iter().flat_map(of).collect()
    }
}

impl Shard {
    /// Remembers a call that ended, and forgets the oldest when there are too many.
    fn remember(&mut self, slot: usize) {
        self.recent.push_back(slot);
        if self.recent.len() > KEPT
            && let Some(oldest) = self.recent.pop_front()
        {
            self.slots[oldest].state = State::Free;
            self.free.push(oldest);
        }
    }
}

impl Entry {
    /// What a slot holds before its first call.
    fn free(now: Instant) -> Self {
        Self {
            id: 0,
            started: now,
            front: Front::default(),
            texts: Texts::new(),
            state: State::Free,
        }
    }

    fn ended(&self) -> Option<Instant> {
        match self.state {
            State::Ended { elapsed, .. } => Some(self.started + elapsed),
            State::Free | State::Running => None,
        }
    }

    fn view(&self) -> CallView {
        let age = self.started.elapsed();
        let started = SystemTime::now().checked_sub(age);
        let (elapsed, code, message) = match &self.state {
            State::Ended {
                elapsed,
                code,
                message,
            } => (*elapsed, *code, message.as_deref()),
            State::Free | State::Running => (age, None, None),
        };
        CallView {
            id: self.id,
            front: self.front,
            tool: self.texts.get(TOOL).to_owned(),
            backend: self.texts.some(BACKEND),
            worker: self.texts.get(WORKER).to_owned(),
            key: self.texts.some(KEY_NAME),
            session: self.texts.some(SESSION),
            trace: self.texts.get(TRACE).to_owned(),
            started: started.map(Into::into),
            elapsed_ms: elapsed.as_secs_f64() * 1e3,
            running: matches!(self.state, State::Running),
            code,
            message: message.map(str::to_owned),
        }
    }
}

fn message(end: &End<'_>) -> Option<Box<str>> {
    match end {
        End::Answered { message, .. } if !message.is_empty() => {
            Some(message[..message.floor_char_boundary(MESSAGE)].into())
        }
        _ => None,
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Caller;

    fn run(calls: &Calls, worker: &str, code: i32) {
        let caller = Caller::default();
        let call = Call {
            caller: &caller,
            worker,
            action: "echo:say",
            params: None,
            timeout: None,
            trace: "trace",
            front: Front::Http,
            parent: Default::default(),
            started: Instant::now(),
            events: None,
        };
        let place = calls.started(&call, None);
        assert!(calls.running().iter().any(|call| call.worker == worker));
        let record = CallRecord {
            id: place.id(),
            trace: "trace",
            front: Front::Http,
            key: None,
            peer: None,
            worker,
            action: "echo:say",
            tool: None,
            session: None,
            params: None,
            elapsed: Duration::from_millis(3),
            ended: Default::default(),
            end: End::Answered {
                code,
                message: if code == 0 { "" } else { "broken" }.into(),
                bytes: 0,
            },
        };
        calls.ended(&place, &record, false);
    }

    #[test]
    fn a_call_runs_and_then_is_remembered_until_others_took_its_place() {
        let calls = Calls::default();
        run(&calls, "first", 2001);
        let seen = calls.recent();
        assert_eq!(
            (seen[0].code, seen[0].message.as_deref()),
            (Some(2001), Some("broken"))
        );
        assert!(calls.running().is_empty());
        for _ in 0..RECENT {
            run(&calls, "other", 0);
        }
        let seen = calls.recent();
        assert!(seen.len() <= RECENT && seen.iter().all(|call| call.worker == "other"));
        let mut ids: Vec<_> = seen.iter().map(|call| call.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), seen.len(), "numbers are unique");
    }
}
