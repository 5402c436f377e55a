//! Arguments that are more than a text: how they are read.

use factum::{
    AsOf, Expected, Position, Revision,
    log::packed::{Compression, LEVEL_DEFAULT, LEVELS},
};
use std::{path::PathBuf, str::FromStr, time::Duration};

/// What an append expects of its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expect {
    Any,
    Of(Expected),
}

impl Expect {
    pub(crate) fn expected(self) -> Option<Expected> {
        match self {
            Self::Any => None,
            Self::Of(expected) => Some(expected),
        }
    }
}

impl FromStr for Expect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "any" => Self::Any,
            "none" => Self::Of(Expected::NoStream),
            "exists" => Self::Of(Expected::Exists),
            number => {
                let revision = number.parse().map_err(
                    |_| "it is any, none, exists, or the revision of the last event, such as 3",
                )?;
                Self::Of(Expected::At(Revision(revision)))
            }
        })
    }
}

/// A segment: the position of its first event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentArg(pub(crate) Position);

impl FromStr for SegmentArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.rsplit('/').next().unwrap_or(text);
        let digits = name.strip_suffix(".log").unwrap_or(name);
        match digits.parse() {
            Ok(base) if base > 0 => Ok(Self(Position(base))),
            _ => Err("it is the position of its first event, or its file's name, such as \
                      00000000000000000001.log"
                .to_owned()),
        }
    }
}

/// Where to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum From {
    Start,
    End,
    At(u64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            number => number
                .parse()
                .map(Self::At)
                .map_err(|_| "it is start, end, or a whole number from 0".to_owned()),
        }
    }
}

/// A moment of recording, or a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AsOfArg(pub(crate) AsOf);

impl FromStr for AsOfArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(position) = text.parse() {
            return Ok(Self(AsOf::Position(Position(position))));
        }
        let moment = crate::time::moment(text);
        moment
            .map(|moment| Self(AsOf::Recorded(moment)))
            .map_err(|error| format!("{error}, or a position, such as 42"))
    }
}

/// Bytes that are given on the command line, or that it points to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Payload {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl FromStr for Payload {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Self::File(path.into()),
            None if text == "-" => Self::Stdin,
            None => Self::Text(text.to_owned()),
        })
    }
}

/// How often to look: not so often that looking is what the server does.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_hours(1);
    let interval = crate::time::span(text)?;
    match (LEAST..=MOST).contains(&interval) {
        true => Ok(interval),
        false => Err("it is from 100ms to 1h".to_owned()),
    }
}

/// A time in whole seconds: `90s`, `12h`, `7d`, or `0`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    match days {
        Some(days) => days.checked_mul(24 * 3600).ok_or_else(|| "it is too long".to_owned()),
        None => crate::time::span(text).map(|span| span.as_secs()),
    }
}

/// Bytes: a whole number above 0, as [`size`] has it.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    size(text)
        .ok()
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "it is a whole number above 0, such as 500k or 20M".to_owned())
}

/// A size: `4096`, `500MiB`, `10GiB`, or in thousands: `500k`, `20M`, `10GB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "k" | "kB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "T" | "TB" => 1_000_000_000_000,
        _ => return Err("the unit is one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB".to_owned()),
    };
    let number: Option<u64> = number.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| "it is a whole number with its unit, such as 10GiB".to_owned())
}

/// How segments are compressed: `none`, `zstd`, or `zstd:LEVEL`.
pub(crate) fn compression(text: &str) -> Result<Compression, String> {
    let wrong = || {
        let (least, most) = (LEVELS.start(), LEVELS.end());
        format!("it is zstd, zstd:LEVEL with a level from {least} to {most}, or none")
    };
    let level = match text.split_once(':') {
        None if text == "none" => return Ok(Compression::None),
        None if text == "zstd" => LEVEL_DEFAULT,
        Some(("zstd", level)) => level.parse().map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    LEVELS.contains(&level).then_some(Compression::Zstd { level }).ok_or_else(wrong)
}

/// Bytes a second, as a size, or `off`: 0.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    if text == "off" { Ok(0) } else { size(text).map_err(|why| format!("{why}, or off")) }
}

/// The character between cells: one byte.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        b"\\t" => Ok(b'\t'),
        _ => Err("it is one character, such as ; or \\t for a tab".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_bytes_have_units() {
        assert_eq!(["0", "90s", "12h", "7d"].map(seconds), [0, 90, 43_200, 604_800].map(Ok));
        assert!(seconds("7").is_err() && seconds("-1d").is_err() && seconds("d").is_err());
        assert_eq!(
            ["1", "500k", "20M", "1G"].map(bytes),
            [1, 500_000, 20_000_000, 1_000_000_000].map(Ok)
        );
        assert!(bytes("0").is_err() && bytes("99999999999G").is_err() && bytes("x").is_err());
    }

    #[test]
    fn an_as_of_is_a_position_or_a_moment() {
        let parse = |text| AsOfArg::from_str(text).map(|arg| arg.0);
        assert_eq!(parse("42"), Ok(AsOf::Position(Position(42))));
        assert!(matches!(parse("2024-01-01T00:00:00Z"), Ok(AsOf::Recorded(_))));
        assert!(parse("2024-01-01").unwrap_err().contains("no zone"));
    }

    #[test]
    fn a_payload_may_be_a_file_or_standard_input() {
        let parse = |text| Payload::from_str(text).unwrap();
        assert_eq!(parse("@a.json"), Payload::File("a.json".into()));
        assert_eq!(parse("-"), Payload::Stdin);
        assert_eq!(parse("-1"), Payload::Text("-1".into()));
    }

    #[test]
    fn sizes_have_a_unit() {
        for (text, expected) in [("0", 0), ("7B", 7), ("10GiB", 10 << 30), ("2 MB", 2_000_000)] {
            assert_eq!(size(text), Ok(expected));
        }
        for text in ["", "GiB", "1.5GiB", "-1", "1 parsec", "99999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_compression_has_a_level_that_there_is() {
        assert_eq!(compression("none"), Ok(Compression::None));
        assert_eq!(compression("zstd"), Ok(Compression::Zstd { level: 3 }));
        assert_eq!(compression("zstd:22"), Ok(Compression::Zstd { level: 22 }));
        for bad in ["", "lz4", "zstd:", "zstd:0", "zstd:23", "zstd:-5", "zstd:x", "none:3"] {
            assert!(compression(bad).is_err_and(|why| why.contains("zstd:LEVEL")), "{bad}");
        }
    }

    #[test]
    fn a_rate_may_be_off() {
        assert_eq!((rate("off"), rate("0"), rate("2MiB")), (Ok(0), Ok(0), Ok(2 << 20)));
        assert!(rate("slow").unwrap_err().ends_with(", or off"));
    }

    #[test]
    fn a_delimiter_is_one_character() {
        assert_eq!((delimiter(";"), delimiter("\\t")), (Ok(b';'), Ok(b'\t')));
        for bad in ["", "ab", "ü", "\""] {
            assert!(delimiter(bad).is_err());
        }
    }
}
