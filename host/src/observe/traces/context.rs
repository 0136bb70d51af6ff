//! Which trace a call belongs to, which span it is, and whether anybody wants to know.

use std::cell::Cell;

use sandbox_protocol::TraceId;
use sha2::{Digest, Sha256};

/// The length of a `traceparent`: `00-`, 32 digits, `-`, 16 digits, `-01`.
const LENGTH: usize = 55;

/// Where the trace id and the parent's span id stand in it.
const TRACE: std::ops::Range<usize> = 3..35;
const SPAN: std::ops::Range<usize> = 36..52;

/// The span of a call that is traced.
#[derive(Clone, Debug)]
pub struct SpanContext {
    trace: [u8; 16],
    span: [u8; 8],
    parent: Option<[u8; 8]>,
    derived: bool,
    text: [u8; LENGTH],
}

impl SpanContext {
    /// The span of a call in this trace, or nothing when it is not to be traced.
    ///
    /// A caller who sent a `traceparent` has decided; of the others the part `sample` is taken, always the
    /// same traces, so that all spans of one are kept or none.
    pub(super) fn begin(trace: &str, traceparent: Option<&str>, sample: f64) -> Option<Self> {
        let parent = traceparent.and_then(parent_of);
        let given = unhex::<16>(trace);
        let trace = given.unwrap_or_else(|| derived(trace));
        let wanted = match parent {
            Some((_, sampled)) => sampled,
            None => is_sampled(trace, sample),
        };
        if !wanted {
            return None;
        }
        let span = next_span();
        Some(Self {
            trace,
            span,
            parent: parent.map(|(parent, _)| parent),
            derived: given.is_none(),
            text: text_of(trace, span),
        })
    }

    pub(super) fn trace(&self) -> &[u8] {
        &self.trace
    }

    pub(super) fn span(&self) -> &[u8] {
        &self.span
    }

    pub(super) fn parent(&self) -> Option<&[u8]> {
        self.parent.as_ref().map(<[u8; 8]>::as_slice)
    }

    /// Whether the trace's id was made of a text that is none.
    pub(super) const fn is_derived(&self) -> bool {
        self.derived
    }

    /// The `traceparent` for whatever happens inside the call.
    pub fn traceparent(&self) -> &str {
        str::from_utf8(&self.text).unwrap_or_default()
    }
}

/// The trace and the span that a `traceparent` names.
pub(super) fn ids(traceparent: &str) -> Option<([u8; 16], [u8; 8])> {
    let trace = unhex::<16>(traceparent.get(TRACE)?)?;
    Some((trace, unhex::<8>(traceparent.get(SPAN)?)?))
}

/// The caller's span, and whether it is kept.
fn parent_of(header: &str) -> Option<([u8; 8], bool)> {
    TraceId::from_traceparent(header)?;
    let header = header.trim();
    let flags = unhex::<1>(header.get(53..55)?)?;
    Some((unhex::<8>(&header[SPAN])?, flags[0] & 1 == 1))
}

/// A trace's place between 0 and 1 is as random as its id.
#[expect(
    clippy::cast_precision_loss,
    reason = "a fraction of all traces, roughly"
)]
fn is_sampled(trace: [u8; 16], sample: f64) -> bool {
    let mut low = [0; 8];
    low.copy_from_slice(&trace[8..]);
    (u64::from_be_bytes(low) as f64) < sample * (u64::MAX as f64) || sample >= 1.0
}

/// The id of a trace that its client named in its own way.
fn derived(name: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let mut trace = [0; 16];
    trace.copy_from_slice(&digest[..16]);
    trace
}

/// An id that no other span has. They need not be unpredictable: a counter is spread over the range by the
/// finaliser of `splitmix64`, from a random start per thread.
fn next_span() -> [u8; 8] {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(start());
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // Zero stands for no span.
    (mixed ^ (mixed >> 31)).max(1).to_be_bytes()
}

fn start() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(0))
}

fn text_of(trace: [u8; 16], span: [u8; 8]) -> [u8; LENGTH] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    // Both have their room.
    let _ = hex::encode_to_slice(trace, &mut text[TRACE]);
    let _ = hex::encode_to_slice(span, &mut text[SPAN]);
    text
}

pub(super) fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_callers_decision_is_followed() {
        let header = |flags: &str| format!("00-{TRACE_ID}-00f067aa0ba902b7-{flags}");
        let kept = SpanContext::begin(TRACE_ID, Some(&header("01")), 0.0).unwrap();
        assert_eq!(
            kept.parent(),
            Some(&[0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7][..])
        );
        assert!(kept.traceparent().starts_with(&format!("00-{TRACE_ID}-")));
        assert!(TraceId::from_traceparent(kept.traceparent()).is_some());
        assert!(SpanContext::begin(TRACE_ID, Some(&header("00")), 1.0).is_none());
    }

    #[test]
    fn without_one_the_part_is_taken_that_is_configured() {
        let taken = (0..2000)
            .filter(|_| SpanContext::begin(TraceId::generate().as_str(), None, 0.25).is_some());
        assert!((300..700).contains(&taken.count()));
        assert!(SpanContext::begin(TRACE_ID, None, 0.0).is_none());
        assert!(SpanContext::begin(TRACE_ID, Some("nonsense"), 1.0).is_some());
    }

    #[test]
    fn a_name_that_is_no_id_always_stands_for_the_same_one() {
        let one = SpanContext::begin("my trace", None, 1.0).unwrap();
        let two = SpanContext::begin("my trace", None, 1.0).unwrap();
        assert_eq!(one.trace(), two.trace());
        assert_ne!(one.span(), two.span());
        assert!(one.is_derived());
    }
}
