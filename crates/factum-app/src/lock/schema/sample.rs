//! Payloads that fit a schema: what is kept of each version beside its shape, so that a test can
//! read them with the code of any later release.
//!
//! Drawn without chance, so that the same shape has the same samples.

use super::expand::{expand, kind};
use serde_json::{Map, Number, Value};
use std::cell::Cell;

/// How many alternatives of one value are drawn, at most.
const ALTERNATIVES_MAX: usize = 8;
/// How deep values are nested, at most: types may hold themselves.
const DEPTH_MAX: usize = 8;
/// How many values are tried for a sample, at most.
const TRIES_MAX: u32 = 10_000;
/// How many items of a list are drawn, where it asks for many.
const ITEMS_MAX: u64 = 64;

/// Some that fit, each another: every variant and every `null` of the first few, and one with as
/// little as may be.
pub(in crate::lock) fn samples(schema: &Value) -> Vec<Value> {
    let least = (0, true);
    let full = (0..ALTERNATIVES_MAX).map(|nth| (nth, false));
    let mut all: Vec<Value> = Vec::new();
    for (nth, least) in full.chain([least]) {
        let draw = Draw { root: schema, nth, least, tries: Cell::new(TRIES_MAX) };
        let drawn = draw.value(schema, DEPTH_MAX).filter(|one| !all.contains(one));
        all.extend(drawn);
    }
    all
}

struct Draw<'a> {
    root: &'a Value,
    /// Which of the alternatives, around.
    nth: usize,
    least: bool,
    tries: Cell<u32>,
}

impl Draw<'_> {
    /// `None` where it would be too deep.
    fn value(&self, schema: &Value, depth: usize) -> Option<Value> {
        self.tries.set(self.tries.get().checked_sub(1)?);
        let depth = depth.checked_sub(1)?;
        let all = expand(self.root, schema);
        let around = all.iter().cycle().skip(self.nth).take(all.len());
        around.into_iter().find_map(|one| self.one(one, depth))
    }

    fn one(&self, schema: &Value, depth: usize) -> Option<Value> {
        if let Some(value) = schema.get("const") {
            return Some(value.clone());
        }
        if *schema == Value::Bool(false) {
            return None;
        }
        Some(match kind(schema) {
            Some("null") => Value::Null,
            Some("boolean") => Value::Bool(self.nth.is_multiple_of(2)),
            Some("integer") => integer(schema),
            Some("number") => Number::from_f64(float(schema))?.into(),
            Some("array") => self.array(schema, depth)?,
            Some("object") => self.object(schema, depth)?,
            _ => text(schema).into(),
        })
    }

    fn object(&self, schema: &Value, depth: usize) -> Option<Value> {
        let names = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| names.is_some_and(|names| names.iter().any(|n| n == name));
        let mut object = Map::new();
        for (name, field) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            if self.least && !is_required(name) {
                continue;
            }
            match self.value(field, depth) {
                Some(value) => drop(object.insert(name.clone(), value)),
                None if is_required(name) => return None,
                None => {}
            }
        }
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|one| one.is_object());
        let others = others.or_else(|| patterns.and_then(|patterns| patterns.values().next()));
        if let Some(others) = others.filter(|_| object.is_empty() && !self.least) {
            // The keys of a map may be numbers.
            object.extend(self.value(others, depth).map(|value| ("1".to_owned(), value)));
        }
        Some(Value::Object(object))
    }

    fn array(&self, schema: &Value, depth: usize) -> Option<Value> {
        let prefix = schema.get("prefixItems").and_then(Value::as_array).into_iter().flatten();
        let mut all = prefix.map(|one| self.value(one, depth)).collect::<Option<Vec<_>>>()?;
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(ITEMS_MAX);
        let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(ITEMS_MAX);
        let wanted = if self.least { least } else { least.max(1).min(most) };
        let Some(items) = schema.get("items").filter(|one| **one != Value::Bool(false)) else {
            return Some(all.into());
        };
        while (all.len() as u64) < wanted {
            match self.value(items, depth) {
                Some(item) => all.push(item),
                None if (all.len() as u64) < least => return None,
                None => break,
            }
        }
        Some(all.into())
    }
}

/// 1, where it may be.
fn integer(schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|one| one + 1));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|one| one - 1));
    let value = least.map_or(1, |least| least.max(1));
    most.map_or(value, |most| most.min(value)).into()
}

/// 0.5, where it may be: it is the same in every format.
fn float(schema: &Value) -> f64 {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let value = bound("minimum").map_or(0.5, |least| least.max(0.5));
    bound("maximum").map_or(value, |most| most.min(value))
}

fn text(schema: &Value) -> String {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("uuid") => "00000000-0000-4000-8000-000000000001",
        Some("date-time") => "2026-03-15T12:00:00Z",
        Some("date") => "2026-03-15",
        Some("time") => "12:00:00Z",
        Some("uri" | "uri-reference") => "https://example.org/",
        Some("email") => "somebody@example.org",
        Some("ip" | "ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        _ => "text",
    };
    let bound = |key: &str, usual: u64| schema.get(key).and_then(Value::as_u64).unwrap_or(usual);
    let (least, most) = (bound("minLength", 0).min(ITEMS_MAX), bound("maxLength", ITEMS_MAX));
    let length = (text.len() as u64).max(least).min(most);
    text.chars().cycle().take(usize::try_from(length).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::schema_of;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Way {
        Cash,
        Card { digits: [u8; 4] },
        Both(Box<Way>, Box<Way>),
    }

    #[derive(Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
    struct Whole {
        way: Way,
        letter: char,
        small: i8,
        share: f32,
        id: uuid::Uuid,
        at: factum_core::Timestamp,
        note: Option<String>,
        #[serde(default)]
        tags: BTreeSet<String>,
        parts: Vec<Whole>,
        counts: BTreeMap<u32, bool>,
        pair: (u32, Option<bool>),
    }

    /// Each fits its type, and together they have every variant.
    #[test]
    fn what_is_drawn_is_read() {
        let schema = crate::lock::canonical(schema_of::<Whole>().as_value());
        let drawn = samples(&schema);
        let read = drawn.iter().map(|one| serde_json::from_value(one.clone()));
        let read: Vec<Whole> = read.collect::<Result<_, _>>().unwrap();
        assert_eq!(drawn, samples(&schema), "the same each time");
        let has = |is: fn(&Whole) -> bool| assert!(read.iter().any(is), "{drawn:#?}");
        has(|one| one.way == Way::Cash);
        has(|one| matches!(one.way, Way::Card { .. }));
        has(|one| matches!(one.way, Way::Both(..)));
        has(|one| one.note.is_some() && !one.counts.is_empty());
        has(|one| one.pair.1.is_some());
        has(|one| one.pair.1.is_none());
        has(|one| one.tags.is_empty() && one.parts.is_empty());
        has(|one| !one.parts.is_empty());
    }
}
