//! Moments as text: parsed from the command line and from files, printed in RFC 3339.
//!
//! What must hold: a time without a zone is never guessed, and nothing is rounded.

use factum::Timestamp;
use jiff::{
    civil::DateTime,
    fmt::{strtime::BrokenDownTime, temporal::DateTimeParser},
    tz::TimeZone,
};
use std::{str::FromStr, time::Duration};

/// A text that is no moment. The user has to correct it, or say how to read it.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub(crate) enum TimeError {
    /// The text cannot be read.
    #[error("`{text}` is not a time{why}")]
    Unreadable {
        /// As it stands.
        text: String,
        /// What is wrong, or what would be right.
        why: String,
    },
    /// A civil time, and no zone to place it in.
    #[error(
        "the time `{text}` has no zone: name one with --time-zone, such as --time-zone Europe/Rome"
    )]
    NoZone {
        /// As it stands.
        text: String,
    },
    /// Before 1677 or after 2262.
    #[error("the time `{text}` is out of range: a store keeps 1677-09-21 to 2262-04-11")]
    OutOfRange {
        /// As it stands.
        text: String,
    },
}

/// How times are written in a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum TimeFormat {
    /// RFC 3339 and ISO 8601: `2005-03-23T00:00:00+01:00`, with a space too, or a date alone.
    #[default]
    Iso,
    /// Seconds since 1970, with decimals if need be.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A pattern in the manner of strptime: `%d/%m/%Y %H:%M`.
    Pattern(String),
}

impl FromStr for TimeFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "iso" => Ok(Self::Iso),
            "epoch-s" => Ok(Self::EpochSeconds),
            "epoch-ms" => Ok(Self::EpochMillis),
            pattern if pattern.contains('%') => Ok(Self::Pattern(pattern.to_owned())),
            _ => Err("it is `iso`, `epoch-s`, `epoch-ms`, or a pattern such as `%d/%m/%Y %H:%M`"
                .to_owned()),
        }
    }
}

/// Reads the times of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimeReader {
    pub(crate) format: TimeFormat,
    pub(crate) zone: Option<TimeZone>,
}

impl TimeReader {
    /// The moment that a text names.
    pub(crate) fn read(&self, text: &str) -> Result<Timestamp, TimeError> {
        let text = text.trim();
        let moment = match &self.format {
            TimeFormat::Iso => self.iso(text)?,
            TimeFormat::EpochSeconds => return epoch(text, 9),
            TimeFormat::EpochMillis => return epoch(text, 6),
            TimeFormat::Pattern(pattern) => self.pattern(pattern, text)?,
        };
        let nanos = i64::try_from(moment.as_nanosecond());
        nanos.map(Timestamp).map_err(|_| TimeError::OutOfRange { text: text.to_owned() })
    }

    fn iso(&self, text: &str) -> Result<jiff::Timestamp, TimeError> {
        static PARSER: DateTimeParser = DateTimeParser::new();
        if let Ok(moment) = PARSER.parse_timestamp(text) {
            return Ok(moment);
        }
        match PARSER.parse_datetime(text) {
            Ok(civil) => self.place(civil, text),
            Err(_) => {
                Err(unreadable(text, ": write 2024-05-31T12:00:00Z, or 2024-05-31 12:00:00+02:00"))
            }
        }
    }

    fn pattern(&self, pattern: &str, text: &str) -> Result<jiff::Timestamp, TimeError> {
        let parsed = BrokenDownTime::parse(pattern, text);
        let parsed =
            parsed.map_err(|error| unreadable(text, &format!(" like `{pattern}`: {error}")))?;
        if let Ok(moment) = parsed.to_timestamp() {
            return Ok(moment);
        }
        let civil = parsed.to_datetime().or_else(|_| parsed.to_date().map(|d| d.at(0, 0, 0, 0)));
        let civil =
            civil.map_err(|error| unreadable(text, &format!(" like `{pattern}`: {error}")))?;
        self.place(civil, text)
    }

    fn place(&self, civil: DateTime, text: &str) -> Result<jiff::Timestamp, TimeError> {
        let no_zone = || TimeError::NoZone { text: text.to_owned() };
        let zone = self.zone.as_ref().ok_or_else(no_zone)?;
        // In a gap or a fold of the clock: as RFC 5545 says, the later, or the first.
        let moment = zone.to_ambiguous_timestamp(civil).compatible();
        moment.map_err(|_| TimeError::OutOfRange { text: text.to_owned() })
    }
}

fn unreadable(text: &str, why: &str) -> TimeError {
    TimeError::Unreadable { text: text.to_owned(), why: why.to_owned() }
}

/// Nanoseconds from a decimal number whose unit is 10^`places` of them. No float on the way.
fn epoch(text: &str, places: usize) -> Result<Timestamp, TimeError> {
    let bad = || unreadable(text, ": a number since 1970 is asked for, such as 1717156800");
    let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > places {
        return Err(bad());
    }
    let number: i128 = format!("{whole}{fraction:0<places$}").parse().map_err(|_| bad())?;
    let nanos = i64::try_from(sign * number);
    nanos.map(Timestamp).map_err(|_| TimeError::OutOfRange { text: text.to_owned() })
}

/// A time zone by its IANA name, or a fixed offset such as `+01:00`.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).or_else(|_| {
        let offset = jiff::fmt::temporal::DateTimeParser::new().parse_time_zone(name);
        offset.map_err(|_| {
            format!(
                "there is no time zone `{name}`: write an IANA name such as Europe/Rome, or UTC"
            )
        })
    })
}

/// A moment on the command line: RFC 3339 with its zone.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    TimeReader::default().read(text).map_err(|error| match error {
        TimeError::NoZone { text } => {
            format!(
                "the time `{text}` has no zone: write it with one, such as {text}Z or {text}+02:00"
            )
        }
        other => other.to_string(),
    })
}

/// Now, to tell people how long ago something was.
#[allow(clippy::disallowed_methods, reason = "the one door of the command to the clock")]
pub(crate) fn now() -> Timestamp {
    let nanoseconds = jiff::Timestamp::now().as_nanosecond();
    Timestamp(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
}

/// A span of time that is given: `500ms`, `1s`, `2m`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let span = text.parse::<jiff::SignedDuration>().ok().filter(|_| !is_number);
    let span = span.and_then(|span| Duration::try_from(span).ok());
    span.ok_or_else(|| "it is a number with its unit, such as 500ms, 1s or 2m".to_owned())
}

/// In RFC 3339, in UTC, with the decimals that it has.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    instant(at).to_string()
}

/// For people: `2005-03-22 23:00:00Z`, to the millisecond.
pub(crate) fn readable(at: Timestamp) -> String {
    const NANOS_PER_MILLI: i64 = 1_000_000;
    let millis = jiff::Timestamp::from_millisecond(at.0.div_euclid(NANOS_PER_MILLI));
    millis.expect("64 bits of nanoseconds are in range").to_string().replacen('T', " ", 1)
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).expect("64 bits of nanoseconds are in range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: TimeFormat, zone_name: Option<&str>, text: &str, expect: Result<&str, &str>) {
        let reader = TimeReader { format, zone: zone_name.map(|name| zone(name).unwrap()) };
        let got = reader.read(text).map(rfc3339).map_err(|error| error.to_string());
        match expect {
            Ok(moment) => assert_eq!(got.as_deref(), Ok(moment), "{text}"),
            Err(part) => assert!(got.as_ref().is_err_and(|e| e.contains(part)), "{text}: {got:?}"),
        }
    }

    #[test]
    fn people_see_milliseconds() {
        for (nanos, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (1_999_999, "1970-01-01 00:00:00.001Z"),
            (-1, "1969-12-31 23:59:59.999Z"),
            (i64::MIN, "1677-09-21 00:12:43.145Z"),
        ] {
            assert_eq!(readable(Timestamp(nanos)), text);
        }
    }

    #[test]
    fn iso_with_a_zone_needs_nothing_else() {
        for (text, moment) in [
            ("2005-03-23 00:00:00+01:00", "2005-03-22T23:00:00Z"),
            ("2005-03-23T00:00:00.123456789Z", "2005-03-23T00:00:00.123456789Z"),
            ("2012-10-09T14:50:17+00:00", "2012-10-09T14:50:17Z"),
            (" 2012-10-09T14:50Z ", "2012-10-09T14:50:00Z"),
            ("2024-07-01T12:00:00+02:00[Europe/Rome]", "2024-07-01T10:00:00Z"),
        ] {
            check(TimeFormat::Iso, None, text, Ok(moment));
        }
    }

    #[test]
    fn iso_without_a_zone_needs_one_named() {
        for text in ["2005-03-23 00:00:00", "2005-03-23"] {
            check(TimeFormat::Iso, None, text, Err("--time-zone"));
            check(TimeFormat::Iso, Some("Europe/Rome"), text, Ok("2005-03-22T23:00:00Z"));
            check(TimeFormat::Iso, Some("+02:00"), text, Ok("2005-03-22T22:00:00Z"));
        }
        // The zone's rules on that day, not those of today; and a zone in the text wins.
        check(TimeFormat::Iso, Some("Europe/Rome"), "2005-07-22", Ok("2005-07-21T22:00:00Z"));
        check(
            TimeFormat::Iso,
            Some("Europe/Rome"),
            "2005-07-22T00:00Z",
            Ok("2005-07-22T00:00:00Z"),
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "yesterday", "2005-02-30", "2005-03-23T25:00:00Z", "1111528800", "23/03/2005"]
        {
            check(TimeFormat::Iso, Some("UTC"), text, Err("is not a time"));
        }
        check(TimeFormat::Iso, None, "1500-01-01T00:00:00Z", Err("out of range"));
        assert!(zone("Mars/Olympus").is_err());
    }

    #[test]
    fn epochs_are_exact_and_only_if_asked_for() {
        for (format, text, moment) in [
            (TimeFormat::EpochSeconds, "1111528800", "2005-03-22T22:00:00Z"),
            (TimeFormat::EpochSeconds, "1111528800.000000001", "2005-03-22T22:00:00.000000001Z"),
            (TimeFormat::EpochSeconds, "-1.5", "1969-12-31T23:59:58.5Z"),
            (TimeFormat::EpochMillis, "1111528800123", "2005-03-22T22:00:00.123Z"),
        ] {
            check(format, None, text, Ok(moment));
        }
        check(TimeFormat::EpochSeconds, None, "2005-03-23", Err("is not a time"));
        check(TimeFormat::EpochMillis, None, "1.0000001", Err("is not a time"));
        check(TimeFormat::EpochSeconds, None, "99999999999999", Err("out of range"));
    }

    #[test]
    fn patterns_read_what_others_write() {
        let pattern = |text: &str| TimeFormat::from_str(text).unwrap();
        let day = pattern("%d/%m/%Y %H:%M");
        check(day.clone(), Some("UTC"), "23/03/2005 07:05", Ok("2005-03-23T07:05:00Z"));
        check(day.clone(), None, "23/03/2005 07:05", Err("--time-zone"));
        check(day, Some("UTC"), "2005-03-23", Err("is not a time"));
        check(
            pattern("%Y%m%d %H%M%S %z"),
            None,
            "20050323 000000 +0100",
            Ok("2005-03-22T23:00:00Z"),
        );
        check(pattern("%d.%m.%Y"), Some("UTC"), "23.03.2005", Ok("2005-03-23T00:00:00Z"));
        assert!(TimeFormat::from_str("rfc").is_err());
    }
}
