//! Reading fields leniently: `null` as absent, and text without a copy.

use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Reads `null` as the default.
pub(super) fn as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads `null` as `true`, for switches that are on unless told otherwise.
pub(super) fn as_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(true))
}

/// The default of such a switch.
pub(super) fn yes() -> bool {
    true
}

/// Reads optional text and borrows it from the body where it has no escapes.
///
/// serde borrows a bare `Cow<str>` when told to, but not one inside an `Option`.
pub(super) fn borrowed_text<'de, D>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    Ok(Option::<Text<'de>>::deserialize(deserializer)?.map(|text| text.0))
}
