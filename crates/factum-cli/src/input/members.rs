//! The members of a JSON object, each value as the text it is: nothing is re-printed.
//!
//! Shared by the readers of JSON lines and of CloudEvents.

use super::Fields;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON object's members, in order.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Parses an object; the error is for people.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            if serde_json::from_str::<&RawValue>(text).is_ok() && !error.is_data() {
                return error.to_string();
            }
            if error.is_data() { error.to_string() } else { format!("it is not JSON: {error}") }
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The text of a member; `None` where it is missing or null.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, String> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let text = serde_json::from_str(value.get());
        text.map_err(|_| format!("`{key}` is {}, and must be a text", shown(value)))
    }

    /// Columns for templates: every member that is text, a number, true, false or null, those of
    /// inner objects with a dot (`customer.id`).
    pub(super) fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        flatten("", self, &mut fields, 0);
        fields
    }
}

/// How deep inner objects are looked into for columns.
const DEPTH_MAX: usize = 8;

fn flatten(prefix: &str, members: &Members<'_>, fields: &mut Fields, depth: usize) {
    for (key, value) in members.iter() {
        let name = format!("{prefix}{key}");
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'{') if depth < DEPTH_MAX => {
                if let Ok(inner) = Members::parse(text) {
                    flatten(&format!("{name}."), &inner, fields, depth + 1);
                }
            }
            Some(b'[' | b'{') => {}
            Some(b'"') => {
                fields.push(name, serde_json::from_str::<String>(text).unwrap_or_default())
            }
            Some(b'n') => fields.push(name, ""),
            _ => fields.push(name, text),
        }
    }
}

/// The beginning of a value, for an error.
pub(super) fn shown(value: &RawValue) -> String {
    const SHOWN_MAX: usize = 40;
    let mut text: String = value.get().chars().take(SHOWN_MAX).collect();
    if text.len() < value.get().len() {
        text.push('…');
    }
    text
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object, `{…}`")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, _>()? {
                    if members.iter().any(|(other, _)| *other == key) {
                        return Err(M::Error::custom(format!("the key `{key}` occurs twice")));
                    }
                    members.push((key, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Members)
    }
}
