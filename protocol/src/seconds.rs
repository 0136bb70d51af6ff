//! Durations as the wire carries them: a number of seconds, perhaps with a fraction.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Unexpected, Visitor},
};
use std::{fmt, time::Duration};

/// A positive number of seconds, as in `timeout` and `ttl`.
///
/// More than [`Seconds::MAX`] counts as that much: callers write huge numbers to say "for ever",
/// and clocks cannot add them.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Seconds(f64);

impl Seconds {
    /// The longest duration there is: a thousand million seconds, about 31 years.
    pub const MAX: Self = Self(1e9);

    /// Takes a number of seconds that is above zero.
    ///
    /// # Errors
    ///
    /// When the number is zero, negative, or not a number.
    pub fn new(seconds: f64) -> Result<Self, NotSeconds> {
        if seconds > 0.0 {
            Ok(Self(seconds.min(Self::MAX.0)))
        } else {
            Err(NotSeconds(seconds))
        }
    }

    /// The same as a [`Duration`].
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }

    /// The number itself.
    pub const fn as_f64(self) -> f64 {
        self.0
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        // A zero duration means "at once"; the smallest positive one says the same.
        Self(duration.as_secs_f64().clamp(1e-9, Self::MAX.0))
    }
}

/// The number is no number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("expected a number of seconds above 0, found {0}")]
pub struct NotSeconds(pub f64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(NumberOfSeconds)
    }
}

struct NumberOfSeconds;

impl Visitor<'_> for NumberOfSeconds {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Seconds, E> {
        Seconds::new(number).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Seconds, E> {
        self.visit_f64(Duration::from_secs(number).as_secs_f64())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Seconds, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(
                Unexpected::Signed(number),
                &"a number above 0",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_kept_and_for_ever_fits_a_duration() {
        let read = |text| serde_json::from_str::<Seconds>(text).unwrap().duration();
        assert_eq!(read("0.25"), Duration::from_millis(250));
        assert_eq!(read("3"), Duration::from_secs(3));
        assert_eq!(read("1e300"), Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn zero_and_less_are_refused() {
        for text in ["0", "-1", "-1e-9", "0.0"] {
            let error = serde_json::from_str::<Seconds>(text).unwrap_err();
            assert!(error.to_string().contains("above 0"), "{error}");
        }
    }
}
