//! Points in time as the wire carries them: RFC 3339, in UTC, with a `Z`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use std::{cell::Cell, fmt, time::SystemTime};
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

/// What stands before the fraction of a second.
const WHOLE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].");

/// A point in time, written to the microsecond: parsers in the wild accept three digits or six, not "as many as
/// needed". Kept as the system's clock has it: most are never written.
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

    /// Puts the time as it is written behind `line`.
    ///
    /// # Errors
    ///
    /// For a year of other than four digits, of which nothing is ever said here; `line` is then as it was.
    pub fn push_to(self, line: &mut String) -> fmt::Result {
        thread_local! {
            /// Up to the point, worked out once a second and thread: there are several times for each call. Without a
            /// destructor, so that threads on their way out can still write times.
            static LAST: Cell<Option<(i64, [u8; WHOLE_LENGTH])>> = const { Cell::new(None) };
        }
        let whole = match LAST.get() {
            Some((second, whole)) if second == self.seconds => whole,
            _ => {
                let whole = self.whole().ok_or(fmt::Error)?;
                LAST.set(Some((self.seconds, whole)));
                whole
            }
        };
        line.push_str(str::from_utf8(&whole).map_err(|_| fmt::Error)?);
        // All six digits are wanted: those of 1000007 without the one.
        let micros = 1_000_000 + self.nanos / 1000;
        line.push_str(&itoa::Buffer::new().format(micros)[1..]);
        line.push('Z');
        Ok(())
    }

    /// What stands before the fraction of a second, for a year of four digits.
    fn whole(self) -> Option<[u8; WHOLE_LENGTH]> {
        let time = OffsetDateTime::from_unix_timestamp(self.seconds).ok()?;
        time.format(WHOLE).ok()?.into_bytes().try_into().ok()
    }

    fn text(self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(LENGTH);
        self.push_to(&mut text)?;
        Ok(text)
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

/// As long as `2026-01-31T12:00:00.123456Z`, and that up to the point.
const LENGTH: usize = 27;
const WHOLE_LENGTH: usize = 20;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text()?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text().map_err(S::Error::custom)?)
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
        const EXPECTED: &[BorrowedFormatItem<'_>] = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
        );
        for nanos in [0, 999_999_999, 1_000_000_000, 1_500_001_000] {
            let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            let time = start + Duration::from_nanos(nanos);
            let expected = OffsetDateTime::from(time).format(EXPECTED).unwrap();
            assert_eq!(Timestamp::from(time).to_string(), expected);
        }
    }

    #[test]
    fn a_year_without_four_digits_is_not_written_and_spoils_nothing() {
        for seconds in [i64::MAX, i64::MIN, -62_200_000_000] {
            let mut line = "time: ".to_owned();
            assert!(Timestamp { seconds, nanos: 7 }.push_to(&mut line).is_err());
            assert_eq!(line, "time: ");
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
