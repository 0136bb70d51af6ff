//! Milliseconds since the server started: what sessions count their time in.

use std::time::{Duration, Instant, SystemTime};

use sandbox_protocol::Timestamp;

/// A monotonic clock that can also say what time it was.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall: SystemTime,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of this many milliseconds after the start.
    pub fn instant(&self, ms: u64) -> Instant {
        // A time to live of many years is as good as none.
        const FAR: Duration = Duration::from_hours(100 * 365 * 24);
        self.start + Duration::from_millis(ms).min(FAR)
    }

    /// The time of day of this many milliseconds after the start.
    pub fn at(&self, ms: u64) -> Timestamp {
        const FAR: Duration = Duration::from_hours(1000 * 365 * 24);
        (self.wall + Duration::from_millis(ms).min(FAR)).into()
    }
}
