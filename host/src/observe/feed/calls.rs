//! The calls that run, and the latest that ended: per few threads, in place, without an allocation.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{CallView, short::Short};
use crate::{
    catalog::Tool,
    dispatch::Call,
    observe::{
        record::{CallRecord, End, Front, shown},
        sharded::Sharded,
    },
};

/// How many calls that ended are remembered, all shards together.
const RECENT: usize = 256;

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

#[derive(Default)]
struct Shard {
    count: u64,
    /// Freed slots are used again, so that a call's place stays while it runs.
    running: Vec<Option<Entry>>,
    free: Vec<usize>,
    recent: VecDeque<Entry>,
}

#[derive(Clone)]
struct Entry {
    id: u64,
    started: Instant,
    front: Front,
    tool: Short<80>,
    backend: Short<32>,
    worker: Short<64>,
    key: Short<KEY>,
    session: Short<96>,
    trace: Short<64>,
    end: Option<Ended>,
}

#[derive(Clone)]
struct Ended {
    elapsed: Duration,
    code: Option<i32>,
    message: Option<Box<str>>,
}

impl Calls {
    pub(super) fn started(&self, call: &Call<'_>, started: Instant) -> Place {
        let shards = self.0.len() as u64;
        let (index, shard) = self.0.mine();
        let mut shard = lock(shard);
        shard.count += 1;
        // Numbers of different shards never meet, so that no counter is shared.
        let id = shard.count * shards + index as u64;
        let entry = Entry {
            id,
            started,
            front: call.front,
            tool: Short::new(shown(call.action)),
            backend: Short::new(""),
            worker: Short::new(call.worker),
            key: Short::new(call.caller.owner().unwrap_or_default()),
            session: Short::new(""),
            trace: Short::new(call.trace),
            end: None,
        };
        let slot = if let Some(slot) = shard.free.pop() {
            shard.running[slot] = Some(entry);
            slot
        } else {
            shard.running.push(Some(entry));
            shard.running.len() - 1
        };
        Place {
            shard: index,
            slot,
            id,
        }
    }

    pub(super) fn is_of(&self, place: &Place, tool: &Tool) {
        if let Some(entry) = &mut lock(self.0.at(place.shard)).running[place.slot] {
            entry.tool = Short::new(&tool.name);
            entry.backend = Short::new(&tool.backend.name);
        }
    }

    pub(super) fn view(&self, place: &Place) -> CallView {
        let shard = lock(self.0.at(place.shard));
        let entry = shard.running[place.slot].clone();
        drop(shard);
        entry.map(|entry| entry.view()).unwrap_or_default()
    }

    /// Moves a call from those that run to those that ended; what it looked like, if that is wanted.
    pub(super) fn ended(
        &self,
        place: &Place,
        record: &CallRecord<'_>,
        wanted: bool,
    ) -> Option<CallView> {
        let most = RECENT / self.0.len();
        let ended = Ended {
            elapsed: record.elapsed,
            code: record.end.code(),
            message: message(&record.end),
        };
        let mut shard = lock(self.0.at(place.shard));
        let mut entry = shard.running[place.slot].take()?;
        shard.free.push(place.slot);
        if let Some(session) = record.session {
            entry.session = Short::new(&session.id);
        }
        entry.end = Some(ended);
        let view = wanted.then(|| entry.clone());
        if shard.recent.len() == most {
            shard.recent.pop_front();
        }
        shard.recent.push_back(entry);
        drop(shard);
        view.map(|entry| entry.view())
    }

    pub(super) fn running(&self) -> Vec<CallView> {
        let mut entries = self.entries(|shard| shard.running.iter().flatten().cloned().collect());
        entries.sort_by_key(|entry| entry.started);
        entries.iter().map(Entry::view).collect()
    }

    pub(super) fn recent(&self) -> Vec<CallView> {
        let mut entries = self.entries(|shard| shard.recent.iter().cloned().collect());
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.ended()));
        entries.iter().map(Entry::view).collect()
    }

    fn entries(&self, of: impl Fn(&Shard) -> Vec<Entry>) -> Vec<Entry> {
        self.0.iter().flat_map(|shard| of(&lock(shard))).collect()
    }
}

impl Entry {
    fn ended(&self) -> Option<Instant> {
        self.end.as_ref().map(|end| self.started + end.elapsed)
    }

    fn view(&self) -> CallView {
        let age = self.started.elapsed();
        let started = SystemTime::now().checked_sub(age);
        let end = self.end.as_ref();
        CallView {
            id: self.id,
            front: self.front,
            tool: self.tool.as_str().to_owned(),
            backend: self.backend.some(),
            worker: self.worker.as_str().to_owned(),
            key: self.key.some(),
            session: self.session.some(),
            trace: self.trace.as_str().to_owned(),
            started: started.map(Into::into),
            elapsed_ms: end.map_or(age, |end| end.elapsed).as_secs_f64() * 1e3,
            running: end.is_none(),
            code: end.and_then(|end| end.code),
            message: end.and_then(|end| end.message.as_deref().map(str::to_owned)),
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
            events: None,
        };
        let place = calls.started(&call, Instant::now());
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
