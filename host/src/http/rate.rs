//! How often a key or an address may ask: a token bucket each, kept as one number.
//!
//! A bucket is the time at which it will be full again (the "generic cell rate algorithm"): taking a
//! token moves that time on, and a bucket whose time has passed is as good as none, so it is forgotten.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::DashMap;

use crate::config::RateLimit;

/// How many buckets are kept: a few megabytes. When more addresses ask at the same time, the newcomers
/// share one.
const MAX_BUCKETS: usize = 65_536;

/// How often full buckets are looked for at most: a look visits all of them.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// Whose bucket it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// The key of this name.
    Key(Arc<str>),
    /// An address, or the network that one subscriber has.
    Address(IpAddr),
    /// Those for whom there was no room.
    Others,
}

impl Who {
    /// The bucket of this address.
    pub(super) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            // A subscriber has 2^64 addresses in version 6: they count as one.
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// All buckets.
pub(super) struct Rate {
    start: Instant,
    /// What one token costs.
    token: u64,
    /// How far ahead of the present a bucket may be.
    burst: u64,
    buckets: DashMap<Who, u64>,
    forgotten: AtomicU64,
}

impl Rate {
    pub(super) fn new(limit: &RateLimit) -> Self {
        let token = nanoseconds(limit.per / limit.requests.max(1)).max(1);
        Self {
            start: Instant::now(),
            token,
            burst: token.saturating_mul(u64::from(limit.burst.max(1)) - 1),
            buckets: DashMap::new(),
            forgotten: AtomicU64::new(0),
        }
    }

    /// Takes a token, or says how long it will be until there is one.
    pub(super) fn take(&self, who: &Who) -> Result<(), Duration> {
        self.take_at(who, nanoseconds(self.start.elapsed()), MAX_BUCKETS)
    }

    fn take_at(&self, who: &Who, now: u64, room: usize) -> Result<(), Duration> {
        if let Some(mut full) = self.buckets.get_mut(who) {
            return self.take_from(&mut full, now);
        }
        self.forget(now, room);
        let who = if self.buckets.len() < room {
            who
        } else {
            &Who::Others
        };
        let mut full = self.buckets.entry(who.clone()).or_insert(now);
        self.take_from(&mut full, now)
    }

    fn take_from(&self, full: &mut u64, now: u64) -> Result<(), Duration> {
        let ahead = full.saturating_sub(now);
        if ahead > self.burst {
            return Err(Duration::from_nanos(ahead - self.burst));
        }
        *full = now.saturating_add(ahead).saturating_add(self.token);
        Ok(())
    }

    /// Forgets full buckets when there are many.
    fn forget(&self, now: u64, room: usize) {
        if self.buckets.len() < room {
            return;
        }
        let last = self.forgotten.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= nanoseconds(FORGET_EVERY);
        let mine = due
            && self
                .forgotten
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            self.buckets.retain(|_, full| *full > now);
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(requests: u32, burst: u32) -> Rate {
        Rate::new(&RateLimit {
            requests,
            per: Duration::from_secs(1),
            burst,
        })
    }

    fn address(last: u8) -> Who {
        Who::at(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate_holds() {
        let rate = rate(10, 3);
        let take = |now| rate.take_at(&address(1), now, 10);
        for _ in 0..3 {
            take(SECOND).unwrap();
        }
        assert_eq!(take(SECOND), Err(Duration::from_millis(100)));
        take(SECOND + SECOND / 10).unwrap();
        take(SECOND + SECOND / 10).unwrap_err();
        rate.take_at(&address(2), SECOND, 10).unwrap();
    }

    #[test]
    fn full_buckets_are_forgotten_and_newcomers_share_when_there_is_no_room() {
        let rate = rate(1, 1);
        for last in 0..4 {
            rate.take_at(&address(last), 2 * SECOND, 4).unwrap();
        }
        rate.take_at(&address(4), 2 * SECOND, 4).unwrap();
        rate.take_at(&address(5), 2 * SECOND, 4).unwrap_err();
        assert_eq!(rate.buckets.len(), 5, "four, and the one that is shared");
        rate.take_at(&address(5), 9 * SECOND, 4).unwrap();
        assert_eq!(rate.buckets.len(), 1);
    }

    #[test]
    fn a_subscribers_network_is_one_address() {
        let at = |text: &str| Who::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
