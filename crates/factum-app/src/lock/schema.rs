//! Whether everything that fits an old JSON Schema can be read by who has a new one.
//!
//! Decided for the schemas that structs have, and on the safe side: what is not understood counts
//! as wrong unless it is unchanged. A reader lets unknown fields be, as serde does.

mod expand;
mod numbers;
mod object;
mod sample;

use expand::{expand, name};
use serde_json::Value;

pub(super) use sample::samples;

/// What an old fact may hold and a new reader does not take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Narrowed {
    /// The path of the field.
    pub(super) field: String,
    /// What is wrong.
    pub(super) what: String,
    /// What is safe instead, besides a new version.
    pub(super) safe: Option<String>,
}

/// Everything that fits `old` and not `new`.
pub(super) fn narrowed(old: &Value, new: &Value) -> Vec<Narrowed> {
    let mut walk = Walk { old, new, seen: Vec::new(), found: Vec::new() };
    walk.schema(old, new, "");
    walk.found
}

/// A walk through both.
struct Walk<'a> {
    /// The roots, which have the definitions.
    old: &'a Value,
    new: &'a Value,
    /// What is being compared, or was: a type may hold itself.
    seen: Vec<(Value, Value)>,
    found: Vec<Narrowed>,
}

impl Walk<'_> {
    fn report(&mut self, field: &str, what: String, safe: Option<&str>) {
        let safe = safe.map(str::to_owned);
        self.found.push(Narrowed { field: field.to_owned(), what, safe });
    }

    fn schema(&mut self, old: &Value, new: &Value, field: &str) {
        let olds = expand(self.old, old);
        let news = expand(self.new, new);
        match (olds.as_slice(), news.as_slice()) {
            ([old], [new]) => self.alternative(old, new, field),
            _ => olds.iter().for_each(|old| self.one_of(old, &news, field)),
        }
    }

    /// An old alternative must fit one of the new.
    fn one_of(&mut self, old: &Value, news: &[Value], field: &str) {
        if news.iter().any(|new| self.trial(old, new, field).is_empty()) {
            return;
        }
        let called = name(old);
        let mut same = news.iter().filter(|new| name(new) == called);
        if let (Some(new), None) = (same.next(), same.next()) {
            let found = self.trial(old, new, field);
            self.found.extend(found);
            return;
        }
        let (what, safe) = match called.as_str() {
            "null" => (
                "may be absent in old facts, and must be there now".to_owned(),
                "keep it an `Option`",
            ),
            called => (
                format!("was {called} in some facts, which is not among what it may be now"),
                "keep that variant, with its stored name (`#[serde(rename = \"…\")]`)",
            ),
        };
        self.report(field, what, Some(safe));
    }

    fn trial(&self, old: &Value, new: &Value, field: &str) -> Vec<Narrowed> {
        let seen = self.seen.clone();
        let mut walk = Walk { old: self.old, new: self.new, seen, found: Vec::new() };
        walk.alternative(old, new, field);
        walk.found
    }

    /// Both without alternatives of their own.
    fn alternative(&mut self, old: &Value, new: &Value, field: &str) {
        match (old, new) {
            (_, Value::Bool(true)) | (Value::Bool(false), _) => {}
            (_, Value::Bool(false)) => self.report(field, "can be nothing any more".into(), None),
            _ if !expand::restricts(new) => {}
            (Value::Bool(true), _) => {
                let what = format!("was anything, and is {} now", name(new));
                self.report(field, what, None);
            }
            _ => self.kind(old, new, field),
        }
    }

    fn kind(&mut self, old: &Value, new: &Value, field: &str) {
        if self.seen.iter().any(|(one, other)| (one, other) == (old, new)) {
            return;
        }
        if expand::kind(new) == Some("object") {
            self.seen.push((old.clone(), new.clone()));
        }
        if let Some(wanted) = new.get("const") {
            if old.get("const") != Some(wanted) {
                self.report(field, format!("was {}, and is {wanted} now", name(old)), None);
            }
            return;
        }
        let (was, is) = (expand::kind(old), expand::kind(new));
        let fits = match (was, is) {
            (_, None) => true,
            (Some("integer"), Some("number")) => true,
            (was, is) => was == is,
        };
        if !fits {
            self.report(field, format!("was {}, and is {} now", name(old), name(new)), None);
            return;
        }
        match is {
            Some("object") => self.object(old, new, field),
            Some("array") => self.array(old, new, field),
            Some("integer" | "number") => self.number(old, new, field),
            _ => self.text(old, new, field),
        }
        self.unknown(old, new, field);
    }

    fn array(&mut self, old: &Value, new: &Value, field: &str) {
        let each = format!("{field}[]");
        match (old.get("prefixItems"), new.get("prefixItems")) {
            (Some(Value::Array(olds)), Some(Value::Array(news))) if olds.len() == news.len() => {
                for (old, new) in olds.iter().zip(news) {
                    self.schema(old, new, &each);
                }
            }
            (None, None) => {}
            _ => {
                self.report(field, "has another number of elements".into(), None);
                return;
            }
        }
        match (old.get("items"), new.get("items")) {
            (Some(old), Some(new)) => self.schema(old, new, &each),
            (None, Some(new)) => self.schema(&Value::Bool(true), new, &each),
            (_, None) => {}
        }
        self.bounds(old, new, field);
    }

    /// A string, a truth value, or nothing.
    fn text(&mut self, old: &Value, new: &Value, field: &str) {
        // A value that is written in the schema has no format; that it fits cannot be told.
        let wanted = new.get("format");
        if wanted.is_some() && old.get("format") != wanted {
            self.report(field, format!("was {}, and is {} now", name(old), name(new)), None);
        }
        self.bounds(old, new, field);
    }

    /// Keywords that are not understood must be as they were.
    fn unknown(&mut self, old: &Value, new: &Value, field: &str) {
        let Value::Object(keywords) = new else { return };
        for (key, value) in keywords {
            if !expand::UNDERSTOOD.contains(&key.as_str()) && old.get(key) != Some(value) {
                self.report(field, format!("has another `{key}` in its schema"), None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
