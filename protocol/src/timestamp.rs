//! Points in time as the wire carries them: RFC 3339, in UTC, with a `Z`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, time::SystemTime};
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

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(FORMAT).map_err(|_| fmt::Error)?)
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
    fn a_time_with_an_offset_is_read_as_utc() {
        let time: Timestamp = serde_json::from_str(r#""2023-11-15T00:13:20+02:00""#).unwrap();
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.000000Z");
    }
}
