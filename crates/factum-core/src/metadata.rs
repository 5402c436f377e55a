//! A stream's metadata: what the last event of `$$NAME` says, and which events that hides.
//!
//! The keys are KurrentDB's. What is not understood is kept as it was written.

use crate::{Invalid, Revision, StreamName, Timestamp, system::DELETED_BEFORE};
use nojson::{RawJson, RawJsonValue};
use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

/// The metadata of a stream.
///
/// ```
/// use factum_core::StreamMetadata;
/// let metadata = StreamMetadata::from_json(br#"{"$maxCount": 2, "team": ["a"]}"#)?;
/// assert_eq!(metadata.max_count, Some(2));
/// assert_eq!(metadata.to_json(), r#"{"$maxCount":2,"team":["a"]}"#);
/// # Ok::<(), factum_core::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMetadata {
    /// `$tb`: events before this revision are hidden. At most 2^63 − 1, which means deleted.
    pub truncate_before: Option<u64>,
    /// `$maxCount`: only this many of the last events are visible. At least 1.
    pub max_count: Option<u64>,
    /// `$maxAge`: events recorded longer ago than this are hidden, in seconds. At least 1.
    pub max_age_s: Option<u64>,
    /// All other keys, each with its value as JSON text.
    pub other: BTreeMap<String, String>,
}

impl StreamMetadata {
    /// Reads a JSON object. Empty bytes are an empty object.
    pub fn from_json(json: &[u8]) -> Result<Self, Invalid> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let text = std::str::from_utf8(json).map_err(|_| invalid("it is not UTF-8"))?;
        let parsed = RawJson::parse(text).map_err(|error| invalid(format!("not JSON: {error}")))?;
        let members = parsed.value().to_object();
        let members = members.map_err(|_| invalid("it must be a JSON object, `{…}`"))?;
        let mut metadata = Self::default();
        for (key, value) in members {
            let key = key.to_unquoted_string_str();
            let key = key.map_err(|error| invalid(format!("a key is not readable: {error}")))?;
            metadata.set(&key, value)?;
        }
        Ok(metadata)
    }

    fn set(&mut self, key: &str, value: RawJsonValue<'_, '_>) -> Result<(), Invalid> {
        match key {
            "$tb" => self.truncate_before = Some(number(key, value, 0)?),
            "$maxCount" => self.max_count = Some(number(key, value, 1)?),
            "$maxAge" => self.max_age_s = Some(number(key, value, 1)?),
            _ => {
                self.other.insert(key.to_owned(), value.as_raw_str().to_owned());
            }
        }
        Ok(())
    }

    /// Writes a JSON object, the store's own keys first.
    #[must_use]
    pub fn to_json(&self) -> String {
        let own = [
            ("$tb", self.truncate_before),
            ("$maxCount", self.max_count),
            ("$maxAge", self.max_age_s),
        ];
        let own = own.into_iter().filter_map(|(key, value)| Some((key, value?.to_string())));
        let other = self.other.iter().map(|(key, value)| (key.as_str(), value.clone()));
        let mut json = String::from("{");
        for (index, (key, value)) in own.chain(other).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(json, "{comma}{}:{value}", nojson::Json(key)).expect("a String takes all");
        }
        json + "}"
    }

    /// Whether all events so far are hidden by a soft delete.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.truncate_before == Some(DELETED_BEFORE)
    }

    /// The first revision that is visible by `$tb` and `$maxCount`, when `last` is the last.
    #[must_use]
    pub fn first_visible(&self, last: Revision) -> Revision {
        let by_count = self.max_count.map_or(0, |count| (last.0 + 1).saturating_sub(count));
        Revision(by_count.max(self.truncate_before.unwrap_or(0)))
    }

    /// Whether an event recorded then is hidden by `$maxAge` now. As recorded times ascend, the
    /// hidden events of a stream are its first ones.
    #[must_use]
    pub fn is_expired(&self, recorded_at: Timestamp, now: Timestamp) -> bool {
        self.max_age_s.is_some_and(|age_s| recorded_at.plus_seconds(age_s) < now)
    }

    /// The same metadata, of a deleted stream.
    #[must_use]
    pub fn deleted(&self) -> Self {
        Self { truncate_before: Some(DELETED_BEFORE), ..self.clone() }
    }

    /// The same metadata, of a stream that goes on at a revision after it was deleted.
    #[must_use]
    pub fn reopened(&self, at: Revision) -> Self {
        Self { truncate_before: Some(at.0), ..self.clone() }
    }

    /// The metadata that a metadata stream itself has: its last event counts.
    #[must_use]
    pub fn of_metadata_stream() -> Self {
        Self { max_count: Some(1), ..Self::default() }
    }

    /// What a stream has before anybody set anything.
    #[must_use]
    pub fn initial(stream: &StreamName) -> Self {
        if stream.is_metadata() { Self::of_metadata_stream() } else { Self::default() }
    }
}

fn invalid(why: impl Into<Cow<'static, str>>) -> Invalid {
    Invalid::Metadata { why: why.into() }
}

fn number(key: &str, value: RawJsonValue<'_, '_>, least: u64) -> Result<u64, Invalid> {
    let text = value.as_raw_str();
    let number = text.parse().ok().filter(|number| (least..=DELETED_BEFORE).contains(number));
    number.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        invalid(format!("`{key}` is {shown}: a whole number from {least} to {DELETED_BEFORE}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_survive_and_known_ones_are_typed() {
        let json = r#"{"$acl":{"$r":["a"]},"$maxAge":60,"ke\"y":null,"$tb":3}"#;
        let metadata = StreamMetadata::from_json(json.as_bytes()).unwrap();
        assert_eq!((metadata.max_age_s, metadata.truncate_before), (Some(60), Some(3)));
        let again = StreamMetadata::from_json(metadata.to_json().as_bytes()).unwrap();
        assert_eq!(again, metadata);
        assert_eq!(metadata.other["ke\"y"], "null");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let deep = "[".repeat(100_000);
        let bad = [
            "[]",
            "1",
            "{",
            "{\"$maxAge\":0}",
            "{\"$maxAge\":-1}",
            "{\"$maxCount\":0}",
            "{\"$tb\":-1}",
            "{\"$tb\":9223372036854775808}",
            "{\"$tb\":\"1\"}",
            "{\"$tb\":1.5}",
            &deep,
        ];
        for json in bad {
            let got = StreamMetadata::from_json(json.as_bytes());
            assert!(matches!(got, Err(Invalid::Metadata { .. })), "{json:.40}");
        }
        assert!(StreamMetadata::from_json(b"\xff").is_err());
    }

    #[test]
    fn ten_thousand_keys_are_fine() {
        let keys: Vec<String> = (0..10_000).map(|n| format!("\"k{n}\":{n}")).collect();
        let json = format!("{{{}}}", keys.join(","));
        assert_eq!(StreamMetadata::from_json(json.as_bytes()).unwrap().other.len(), 10_000);
    }

    #[test]
    fn count_and_truncation_hide_the_first_events() {
        let of = |tb, count| StreamMetadata {
            truncate_before: tb,
            max_count: count,
            ..StreamMetadata::default()
        };
        for (metadata, first) in [
            (of(None, None), 0),
            (of(Some(3), None), 3),
            (of(None, Some(2)), 8),
            (of(Some(9), Some(2)), 9),
        ] {
            assert_eq!(metadata.first_visible(Revision(9)), Revision(first));
        }
        assert_eq!(of(None, Some(u64::MAX)).first_visible(Revision(9)), Revision(0));
    }

    #[test]
    fn age_counts_from_recording_and_never_overflows() {
        let aged = |age| StreamMetadata { max_age_s: Some(age), ..StreamMetadata::default() };
        let at = |s: i64| Timestamp(s * 1_000_000_000);
        assert!(!aged(10).is_expired(at(0), at(10)));
        assert!(aged(10).is_expired(at(0), Timestamp(at(10).0 + 1)));
        assert!(!aged(u64::MAX).is_expired(at(5), Timestamp(i64::MAX)));
    }
}
