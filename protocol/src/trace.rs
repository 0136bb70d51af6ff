//! The trace that a request belongs to.
//!
//! It is the trace id of a W3C `traceparent` header when there is one, else what the body says, else
//! a new one: [`TraceId::choose`]. The rest of trace context (parent span, flags, `tracestate`) is
//! not kept.

use std::{
    borrow::Cow,
    cell::RefCell,
    fmt,
    hash::{BuildHasher, RandomState},
};

/// The longest `trace_id` that is taken from a body; a longer one is no identifier.
const MAX_GIVEN: usize = 256;

/// The identifier of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceId<'a>(Repr<'a>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Repr<'a> {
    Hex(Hex),
    Given(Cow<'a, str>),
}

/// 32 digits. Text that is aligned is checked eight bytes at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(8))]
struct Hex([u8; 32]);

impl<'a> TraceId<'a> {
    /// Picks a request's trace by the rule of the protocol.
    ///
    /// A malformed header, or an empty or overlong body field, counts as absent: tracing never
    /// fails a request.
    pub fn choose(traceparent: Option<&str>, given: Option<Cow<'a, str>>) -> Self {
        traceparent
            .and_then(Self::from_traceparent)
            .or_else(|| given.and_then(Self::from_given))
            .unwrap_or_else(Self::generate)
    }

    /// The trace id of a W3C `traceparent` header, when the header is well formed.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.trim().splitn(4, '-');
        let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
        let (flags, rest) = parts.next()?.split_at_checked(2)?;
        // Version 00 ends after its flags; later versions may go on after another dash.
        let ends_well = rest.is_empty() || (version != "00" && rest.starts_with('-'));
        let well_formed = is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_hex(parent, 16)
            && is_hex(flags, 2)
            && [trace, parent]
                .iter()
                .all(|id| id.bytes().any(|b| b != b'0'));
        (ends_well && well_formed)
            .then(|| trace.as_bytes().try_into().ok())
            .flatten()
            .map(|hex| Self(Repr::Hex(Hex(hex))))
    }

    fn from_given(given: Cow<'a, str>) -> Option<Self> {
        (!given.is_empty() && given.len() <= MAX_GIVEN).then_some(Self(Repr::Given(given)))
    }

    /// A new trace id: 16 random bytes.
    pub fn generate() -> Self {
        let mut digits = [b'0'; 32];
        // Sixteen bytes have as many digits.
        let _ = hex::encode_to_slice(random_bytes(), &mut digits);
        Self(Repr::Hex(Hex(digits)))
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // The constructors put ASCII digits there and nothing else.
            Repr::Hex(Hex(digits)) => str::from_utf8(digits).unwrap_or_default(),
            Repr::Given(given) => given,
        }
    }

    /// The same trace, independent of the request's body.
    pub fn into_owned(self) -> TraceId<'static> {
        TraceId(match self.0 {
            Repr::Hex(hex) => Repr::Hex(hex),
            Repr::Given(given) => Repr::Given(Cow::Owned(given.into_owned())),
        })
    }
}

impl fmt::Display for TraceId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    // The standard allows lower case only.
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Sixteen bytes from a pool that each thread fills with one system call for 128 identifiers.
fn random_bytes() -> [u8; 16] {
    thread_local! {
        static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [[0; 16]; 128], left: 0 }) };
    }
    POOL.with_borrow_mut(Pool::take)
}

struct Pool {
    bytes: [[u8; 16]; 128],
    left: usize,
}

impl Pool {
    fn take(&mut self) -> [u8; 16] {
        if self.left == 0 {
            if getrandom::fill(self.bytes.as_flattened_mut()).is_err() {
                return hashed_bytes();
            }
            self.left = self.bytes.len();
        }
        self.left -= 1;
        self.bytes[self.left]
    }
}

/// Identifiers for a system without a random source: unique within the process, which is what counts.
fn hashed_bytes() -> [u8; 16] {
    let part = || RandomState::new().hash_one(0);
    ((u128::from(part()) << 64) | u128::from(part())).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_well_formed_header_wins_over_the_body() {
        let header = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let trace = TraceId::choose(Some(&header), Some("mine".into()));
        assert_eq!(trace.as_str(), TRACE);
    }

    #[test]
    fn malformed_headers_fall_back_to_the_body() {
        for header in [
            String::new(),
            TRACE.to_owned(),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("00-{TRACE}-00f067aa0ba902b7-0"),
        ] {
            let trace = TraceId::choose(Some(&header), Some("mine".into()));
            assert_eq!(trace.as_str(), "mine", "for {header:?}");
        }
    }

    #[test]
    fn a_later_version_may_carry_more() {
        let header = format!("01-{TRACE}-00f067aa0ba902b7-01-more");
        assert_eq!(TraceId::from_traceparent(&header).unwrap().as_str(), TRACE);
    }

    #[test]
    fn without_either_a_new_one_is_made_each_time() {
        let long = "x".repeat(MAX_GIVEN + 1);
        let made: std::collections::HashSet<_> = (0..200)
            .map(|_| TraceId::choose(None, Some(Cow::Borrowed(&long))).to_string())
            .collect();
        assert_eq!(made.len(), 200);
        assert!(made.iter().all(|id| is_hex(id, 32)));
    }

    #[test]
    fn a_system_without_a_random_source_still_tells_traces_apart() {
        assert_ne!(hashed_bytes(), hashed_bytes());
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(header in "\\PC{0,80}") {
            let _ = TraceId::from_traceparent(&header);
        }
    }
}
