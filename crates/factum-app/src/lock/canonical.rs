//! The one form of a JSON Schema: what is said for readers is left out, and keys are in order, so
//! that two shapes are equal exactly where their texts are.

use serde_json::{Map, Value};

/// Keywords that say nothing about which payloads fit.
pub(super) const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$comment",
    "title",
    "description",
    "examples",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// A schema in canonical form.
pub(crate) fn canonical(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => {
            let mut sorted: Vec<_> = keywords.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            let kept = sorted.into_iter().filter(|(key, _)| !ANNOTATIONS.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), keyword(key, value))).collect())
        }
        other => other.clone(),
    }
}

fn keyword(key: &str, value: &Value) -> Value {
    match (key, value) {
        // Here the keys are names of fields or types, which may be called like a keyword.
        ("properties" | "$defs" | "patternProperties", Value::Object(named)) => {
            let mut sorted: Vec<_> = named.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            let named = sorted.into_iter().map(|(name, schema)| (name.clone(), canonical(schema)));
            Value::Object(named.collect::<Map<_, _>>())
        }
        // Sets, whose order means nothing.
        ("required" | "enum" | "type" | "x-aliases", Value::Array(set)) => {
            let mut set = set.clone();
            set.sort_by_key(Value::to_string);
            Value::Array(set)
        }
        ("const" | "enum", value) => value.clone(),
        (_, Value::Array(schemas)) => Value::Array(schemas.iter().map(canonical).collect()),
        (_, schema) => canonical(schema),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_for_readers_is_left_out_and_fields_are_not() {
        let schema = json!({
            "title": "T", "required": ["b", "a"],
            "properties": { "title": { "description": "d", "type": "string" }, "b": true },
        });
        let expect = r#"{"properties":{"b":true,"title":{"type":"string"}},"required":["a","b"]}"#;
        assert_eq!(canonical(&schema).to_string(), expect);
    }
}
