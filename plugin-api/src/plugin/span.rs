//! The spans that a plugin makes with `tracing` while it works for a call that is traced.

use std::{
    hash::{BuildHasher, RandomState},
    time::SystemTime,
};

use super::host;
use crate::{
    abi::{Slice, SpanRecord},
    context::OperationState,
};

/// Where the trace id and the span id stand in a `traceparent`, and how long it is.
const TRACE: std::ops::Range<usize> = 3..35;
const SPAN: std::ops::Range<usize> = 36..52;
const LENGTH: usize = 55;

/// A span that is open.
#[derive(Debug)]
pub(super) struct Traced {
    traceparent: String,
    parent: String,
    start_ns: u64,
}

impl Traced {
    /// A span inside another one, or else inside the operation; nothing when nobody wants spans of it.
    pub(super) fn begin(inside: Option<&Self>, operation: Option<&OperationState>) -> Option<Self> {
        let outer = inside
            .map(|outer| outer.traceparent.as_str())
            .or_else(|| operation.map(|operation| operation.ids.traceparent()))?;
        if !host::takes_spans() || !is_wanted(outer) {
            return None;
        }
        // Ids need to be unique, not secret: the hasher's keys differ each time.
        let id = RandomState::new().hash_one(0_u8).max(1);
        Some(Self {
            traceparent: format!("00-{}-{id:016x}-01", outer.get(TRACE)?),
            parent: outer.get(SPAN)?.to_owned(),
            start_ns: now(),
        })
    }

    /// It has ended.
    pub(super) fn end(&self, name: &str, target: &str, fields: &str) {
        let slice = |text: &str| Slice::new(text.as_bytes());
        host::span(&SpanRecord {
            size: size_of::<SpanRecord>(),
            start_ns: self.start_ns,
            end_ns: now(),
            traceparent: slice(&self.traceparent),
            parent: slice(&self.parent),
            name: slice(name),
            target: slice(target),
            fields: slice(fields),
        });
    }
}

/// Whether the last digit of the flags is odd.
fn is_wanted(traceparent: &str) -> bool {
    let flags = traceparent.as_bytes().get(LENGTH - 1);
    flags.is_some_and(|digit| {
        char::from(*digit)
            .to_digit(16)
            .is_some_and(|flags| flags & 1 == 1)
    })
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
