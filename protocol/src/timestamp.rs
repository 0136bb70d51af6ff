//! Points in time as the wire carries them: RFC 3339, in UTC, with a `Z`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use std::{cell::Cell, fmt, time::SystemTime};
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

/// Always six digits of a second: parsers in the wild accept three or six, not "as many as needed".
const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A point in time, written to the microsecond. Kept as the system's clock has it: most are never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since 1970, rounded down.
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// The present.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Whole seconds since the beginning of 1970, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since the beginning of 1970; before that, zero.
    pub fn unix_nanos(self) -> u64 {
        let nanos = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos);
        u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
    }

    /// The time as it is written: its parts up to the second, and the digits of the second.
    fn text(self) -> Option<[u8; LENGTH]> {
        thread_local! {
            /// Worked out once a second and thread: there are several times for each call.
            static LAST: Cell<(i64, [u8; SECONDS])> = const { Cell::new((i64::MAX, [0; SECONDS])) };
        }
        let (mut second, mut date) = LAST.get();
        if second != self.seconds {
            let time = OffsetDateTime::from_unix_timestamp(self.seconds).ok()?;
            // Of years with more digits nothing is ever said here.
            let whole: [u8; LENGTH] = time.format(FORMAT).ok()?.into_bytes().try_into().ok()?;
            (second, date) = (self.seconds, *whole.first_chunk()?);
            LAST.set((second, date));
        }
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        text[..SECONDS].copy_from_slice(&date);
        let mut micros = self.nanos / 1000;
        for digit in text[SECONDS..LENGTH - 1].iter_mut().rev() {
            // A digit of a number below ten.
            *digit = b'0' + u8::try_from(micros % 10).unwrap_or_default();
            micros /= 10;
        }
        Some(text)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let (seconds, nanos) = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => (i64::try_from(since.as_secs()).ok(), since.subsec_nanos()),
            Err(before) => {
                let time = OffsetDateTime::from(SystemTime::UNIX_EPOCH) - before.duration();
                (Some(time.unix_timestamp()), time.nanosecond())
            }
        };
        Self {
            seconds: seconds.unwrap_or(i64::MAX),
            nanos,
        }
    }
}

/// As long as `2026-01-31T12:00:00.123456Z`, and that without the digits of the second.
const LENGTH: usize = 27;
const SECONDS: usize = 20;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text().ok_or(fmt::Error)?;
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text();
        let text = text.as_ref().and_then(|text| str::from_utf8(text).ok());
        serializer.serialize_str(text.ok_or_else(|| S::Error::custom("no time to be written"))?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(|time| Self {
                seconds: time.unix_timestamp(),
                nanos: time.nanosecond(),
            })
            .map_err(|error| D::Error::custom(format!("not an RFC 3339 time: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_is_written_in_utc_with_a_z_and_six_digits() {
        let time =
            Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500));
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.500000Z");
    }

    #[test]
    fn times_are_right_within_a_second_and_over_its_end() {
        for nanos in [0, 999_999_999, 1_000_000_000, 1_500_001_000] {
            let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            let time = start + Duration::from_nanos(nanos);
            let expected = OffsetDateTime::from(time).format(FORMAT).unwrap();
            assert_eq!(Timestamp::from(time).to_string(), expected);
        }
    }

    #[test]
    fn a_time_before_1970_is_written_too() {
        let time = Timestamp::from(SystemTime::UNIX_EPOCH - Duration::from_millis(500));
        assert_eq!(time.to_string(), "1969-12-31T23:59:59.500000Z");
        assert_eq!(time.unix_nanos(), 0);
    }

    #[test]
    fn a_time_with_an_offset_is_read_as_utc() {
        let time: Timestamp = serde_json::from_str(r#""2023-11-15T00:13:20+02:00""#).unwrap();
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.000000Z");
    }
}
