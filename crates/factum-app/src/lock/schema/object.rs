//! Structs and maps.

use super::Walk;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A struct or a map, taken apart.
struct Object<'a> {
    fields: Option<&'a Map<String, Value>>,
    required: BTreeSet<&'a str>,
    /// What the values of a map are, where it is one.
    others: Option<&'a Value>,
    patterns: Option<&'a Map<String, Value>>,
}

impl<'a> Object<'a> {
    fn of(schema: &'a Value) -> Self {
        let names = schema.get("required").and_then(Value::as_array);
        Self {
            fields: schema.get("properties").and_then(Value::as_object),
            required: names.into_iter().flatten().filter_map(Value::as_str).collect(),
            others: schema.get("additionalProperties").filter(|one| **one != Value::Bool(false)),
            patterns: schema.get("patternProperties").and_then(Value::as_object),
        }
    }

    fn fields(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.fields.into_iter().flatten()
    }

    /// The field that reads this name: its own, or one with that alias.
    fn reader(&self, name: &str) -> Option<&'a Value> {
        let own = self.fields.and_then(|fields| fields.get(name));
        own.or_else(|| self.fields().find(|(_, one)| aliases(one).any(|a| a == name)).map(|f| f.1))
    }
}

/// The other names that a field is read by.
fn aliases(field: &Value) -> impl Iterator<Item = &str> {
    field.get("x-aliases").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

impl Walk<'_> {
    pub(super) fn object(&mut self, old: &Value, new: &Value, field: &str) {
        let (old, new) = (Object::of(old), Object::of(new));
        for (name, was) in old.fields() {
            let path = join(field, name);
            match new.reader(name).or(new.others) {
                Some(is) => {
                    if was.get("x-personal").is_some() && is.get("x-personal").is_none() {
                        let what = "is not personal any more, and facts have it encrypted";
                        self.report(&path, what.to_owned(), Some("keep `#[personal]` on it"));
                    }
                    self.schema(was, is, &path);
                }
                None => self.report(
                    &path,
                    "is gone, and facts have it".to_owned(),
                    Some(
                        "keep it, as an `Option` where new facts have none; under another name in \
                         Rust with `#[serde(rename = \"…\")]`, or read by its old one with \
                         `#[serde(alias = \"…\")]`",
                    ),
                ),
            }
        }
        self.required(&old, &new, field);
        self.map(&old, &new, field);
    }

    fn required(&mut self, old: &Object<'_>, new: &Object<'_>, field: &str) {
        for name in &new.required {
            let is = new.reader(name);
            let mut names = is.into_iter().flat_map(aliases).chain([*name]);
            if names.any(|one| old.required.contains(one)) {
                continue;
            }
            let what = match old.reader(name) {
                Some(_) => "is missing in some facts, and must be there now",
                None => "is new, and facts do not have it",
            };
            let safe = "`#[serde(default)]` on it, or an `Option`";
            self.report(&join(field, name), what.to_owned(), Some(safe));
        }
    }

    /// What a map holds.
    fn map(&mut self, old: &Object<'_>, new: &Object<'_>, field: &str) {
        let each = format!("{field}{{}}");
        let olds = old.patterns.into_iter().flatten();
        for (pattern, was) in olds {
            let same = new.patterns.and_then(|patterns| patterns.get(pattern));
            match same.or(new.others) {
                Some(is) => self.schema(was, is, &each),
                None => self.report(field, "is a map with other keys now".to_owned(), None),
            }
        }
        match (old.others, new.others) {
            (Some(was), Some(is)) => self.schema(was, is, &each),
            (Some(_), None) => self.report(field, "is no map any more".to_owned(), None),
            (None, _) => {}
        }
    }
}

fn join(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}
