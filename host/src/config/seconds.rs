//! Durations as the file writes them: seconds, perhaps fractional. Owns the conversion and its bounds.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serializer};

/// A hundred years. Longer times are typing errors, and far longer ones overflow the clock.
const LONGEST: f64 = 3_155_760_000.0;

/// For the schema alone: `#[schemars(with = "Seconds")]`.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(super) struct Seconds(
    #[expect(dead_code, reason = "only its schema is used")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 3_155_760_000_u64))]
    f64,
);

pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    let seconds = time.as_secs_f64();
    // Whole seconds are written as they were read.
    if time.subsec_nanos() == 0 {
        to.serialize_u64(time.as_secs())
    } else {
        to.serialize_f64(seconds)
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(from)?;
    checked(seconds).ok_or_else(|| serde::de::Error::custom("not a time in seconds"))
}

fn checked(seconds: f64) -> Option<Duration> {
    let bounded = seconds > 0.0 && seconds <= LONGEST;
    bounded
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

/// The same for times that may be left out.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Duration, Serializer, checked};

    #[expect(clippy::ref_option, reason = "serde hands the field by reference")]
    pub(in crate::config) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, to),
            None => to.serialize_none(),
        }
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        Ok(seconds.and_then(checked))
    }
}
