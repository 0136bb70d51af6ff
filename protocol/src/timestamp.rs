//! Points in time as the wire carries them: RFC 3339, in UTC, with a `Z`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{cell::Cell, fmt, time::SystemTime};
use time::{
    OffsetDateTime, UtcOffset,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

/// Always six digits of a second: parsers in the wild accept three or six, not "as many as needed".
const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// A point in time, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// The present.
    pub fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    /// The same instant as a date and time.
    pub const fn as_datetime(self) -> OffsetDateTime {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(time.into())
    }
}

/// As long as `2026-01-31T12:00:00.`.
const SECONDS: usize = 20;

impl fmt::Display for Timestamp {
    /// Date and seconds are worked out once a second and thread: there are several of these for each call.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        thread_local! {
            static LAST: Cell<(i64, [u8; SECONDS])> = const { Cell::new((i64::MAX, [0; SECONDS])) };
        }
        let now = self.0.unix_timestamp();
        let (mut second, mut text) = LAST.get();
        if second != now {
            let whole = self.0.format(FORMAT).map_err(|_| fmt::Error)?;
            let Some((seconds, _)) = whole.as_bytes().split_first_chunk() else {
                return f.write_str(&whole);
            };
            (second, text) = (now, *seconds);
            LAST.set((second, text));
        }
        let mut rest = *b"000000Z";
        let mut micros = self.0.microsecond();
        for digit in rest[..6].iter_mut().rev() {
            // A digit of a number below ten.
            *digit = b'0' + u8::try_from(micros % 10).unwrap_or_default();
            micros /= 10;
        }
        for part in [&text[..], &rest] {
            f.write_str(str::from_utf8(part).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map(|time| Self(time.to_offset(UtcOffset::UTC)))
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
            let time = Timestamp::from(start + Duration::from_nanos(nanos));
            assert_eq!(time.to_string(), time.0.format(FORMAT).unwrap());
        }
    }

    #[test]
    fn a_time_with_an_offset_is_read_as_utc() {
        let time: Timestamp = serde_json::from_str(r#""2023-11-15T00:13:20+02:00""#).unwrap();
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.000000Z");
    }
}
