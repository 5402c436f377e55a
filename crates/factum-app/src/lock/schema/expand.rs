//! Schemas without their shortcuts: references followed, alternatives as a list.

use crate::lock::canonical::ANNOTATIONS;
use serde_json::{Map, Value, json};

/// Keywords that the comparison looks at.
pub(super) const UNDERSTOOD: &[&str] = &[
    "$defs",
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "type",
    // A set is read from any list.
    "uniqueItems",
    "x-aliases",
    "x-personal",
];

/// How deep alternatives, or references to references, may be nested.
const DEPTH_MAX: usize = 32;

/// What a reference names.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut found = schema;
    for _ in 0..DEPTH_MAX {
        let Some(reference) = found.get("$ref").and_then(Value::as_str) else { break };
        let target = reference.strip_prefix('#').and_then(|path| root.pointer(path));
        // A reference to nowhere fits nothing that can be told.
        found = target.unwrap_or(&Value::Bool(false));
    }
    found
}

/// Whether it says anything about which values fit.
pub(super) fn restricts(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => keywords.keys().any(|key| {
            !ANNOTATIONS.contains(&key.as_str())
                && !["$defs", "x-aliases", "x-personal"].contains(&key.as_str())
        }),
        other => *other == Value::Bool(false),
    }
}

/// Its alternatives, each merged with what holds for all of them.
pub(super) fn expand(root: &Value, schema: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    expand_into(root, schema, DEPTH_MAX, &mut all);
    all
}

fn expand_into(root: &Value, schema: &Value, depth: usize, all: &mut Vec<Value>) {
    let schema = resolve(root, schema);
    let Value::Object(keywords) = schema else {
        all.push(schema.clone());
        return;
    };
    if depth == 0 {
        return;
    }
    let mut rest = keywords.clone();
    let mut again = |schema: Value| expand_into(root, &schema, depth - 1, all);
    if let Some(Value::Array(parts)) = rest.remove("allOf") {
        let parts = parts.iter().map(|part| resolve(root, part));
        return again(Value::Object(parts.fold(rest, merge)));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(alternatives)) = rest.remove(key) {
            for one in &alternatives {
                again(Value::Object(merge(rest.clone(), resolve(root, one))));
            }
            return;
        }
    }
    if let Some(Value::Array(values)) = rest.remove("enum") {
        values.into_iter().for_each(|value| again(json!({ "const": value })));
        return;
    }
    if let Some(Value::Array(types)) = rest.get("type").cloned() {
        for kind in types {
            if kind == "null" {
                again(json!({ "type": "null" }));
                continue;
            }
            let mut one = rest.clone();
            one.insert("type".to_owned(), kind);
            again(Value::Object(one));
        }
        return;
    }
    all.push(Value::Object(rest));
}

/// Both at once.
fn merge(mut whole: Map<String, Value>, part: &Value) -> Map<String, Value> {
    let Value::Object(part) = part else { return whole };
    for (key, value) in part {
        match (whole.get_mut(key), value) {
            (Some(Value::Object(fields)), Value::Object(more)) if key == "properties" => {
                fields.extend(more.clone());
            }
            (Some(Value::Array(names)), Value::Array(more)) if key == "required" => {
                names.extend(more.clone());
            }
            _ => {
                whole.insert(key.clone(), value.clone());
            }
        }
    }
    whole
}

/// Its type: as it says, or of the one value that it is.
pub(super) fn kind(schema: &Value) -> Option<&str> {
    match schema.get("const") {
        Some(Value::Null) => Some("null"),
        Some(Value::Bool(_)) => Some("boolean"),
        Some(Value::Number(number)) if number.is_f64() => Some("number"),
        Some(Value::Number(_)) => Some("integer"),
        Some(Value::String(_)) => Some("string"),
        Some(Value::Array(_)) => Some("array"),
        Some(Value::Object(_)) => Some("object"),
        None if schema.get("properties").is_some() => Some("object"),
        None => schema.get("type").and_then(Value::as_str),
    }
}

/// What it is called: a variant by its name, otherwise its type.
pub(super) fn name(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    let no_fields = Map::new();
    let fields = schema.get("properties").and_then(Value::as_object).unwrap_or(&no_fields);
    if let Some(tag) = fields.values().find_map(|field| field.get("const")) {
        return tag.to_string();
    }
    let required = schema.get("required").and_then(Value::as_array);
    let mut names = fields.keys();
    if let (Some(only), None, Some(1)) = (names.next(), names.next(), required.map(Vec::len)) {
        return format!("\"{only}\"");
    }
    let kind = kind(schema).unwrap_or("anything");
    match schema.get("format").and_then(Value::as_str) {
        Some(format) => format!("{kind} ({format})"),
        None => kind.to_owned(),
    }
}
