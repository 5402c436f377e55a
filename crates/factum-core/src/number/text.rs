//! Moments as text: RFC 3339, with the offset that every moment needs.

use super::Timestamp;
use std::{fmt, str::FromStr, time::SystemTime};

/// A text that is no moment. Write it as RFC 3339 with an offset: `2026-03-15T18:00:00+01:00`.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("{text:?} is no moment ({why}): write it with an offset, as 2026-03-15T18:00:00+01:00")]
pub struct InvalidTimestamp {
    /// As given.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// ```
/// use factum_core::Timestamp;
/// let at: Timestamp = "2026-03-15T18:00:00+01:00".parse()?;
/// assert_eq!(at.to_string(), "2026-03-15T17:00:00Z");
/// assert!("2026-03-15T18:00:00".parse::<Timestamp>().is_err(), "no zone is named");
/// # Ok::<(), factum_core::number::InvalidTimestamp>(())
/// ```
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let wrong = |why: String| InvalidTimestamp { text: text.to_owned(), why };
        let moment = text.parse::<jiff::Timestamp>().map_err(|error| wrong(error.to_string()))?;
        Self::try_from(moment).map_err(|_| wrong("before 1677 or after 2262".to_owned()))
    }
}

/// RFC 3339 in UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        jiff::Timestamp::from(*self).fmt(f)
    }
}

impl From<Timestamp> for jiff::Timestamp {
    fn from(at: Timestamp) -> Self {
        Self::from_nanosecond(i128::from(at.0)).expect("64 bits of nanoseconds are in range")
    }
}

/// Fails before 1677 and after 2262.
impl TryFrom<jiff::Timestamp> for Timestamp {
    type Error = std::num::TryFromIntError;

    fn try_from(at: jiff::Timestamp) -> Result<Self, Self::Error> {
        i64::try_from(at.as_nanosecond()).map(Self)
    }
}

/// Fails before 1677 and after 2262.
impl TryFrom<SystemTime> for Timestamp {
    type Error = std::num::TryFromIntError;

    fn try_from(at: SystemTime) -> Result<Self, Self::Error> {
        match at.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).map(Self),
            Err(before) => i64::try_from(before.duration().as_nanos()).map(|nanos| Self(-nanos)),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn text_and_moment_are_one() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("1969-12-31T23:59:59.5Z", -500_000_000),
            ("2262-04-11T23:47:16.854775807Z", i64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(nanos)));
            assert_eq!(Timestamp(nanos).to_string(), text);
        }
        for wrong in ["", "2026-03-15", "2026-03-15T18:00:00", "2300-01-01T00:00:00Z"] {
            let error = wrong.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.contains("with an offset"), "{error}");
        }
    }

    #[test]
    fn a_time_of_the_system_is_a_moment() {
        let minute = std::time::Duration::from_secs(60);
        let after = Timestamp::try_from(SystemTime::UNIX_EPOCH + minute).unwrap();
        let before = Timestamp::try_from(SystemTime::UNIX_EPOCH - minute).unwrap();
        assert_eq!((after, before), (Timestamp(60_000_000_000), Timestamp(-60_000_000_000)));
    }
}
