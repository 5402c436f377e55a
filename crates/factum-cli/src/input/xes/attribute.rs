//! A typed attribute of XES, and the JSON value that it becomes.
//!
//! | XES | JSON |
//! |---|---|
//! | `string`, `date`, `id` | text, as it stands |
//! | `int`, `float` | a number, digit for digit where JSON allows it; text for `NaN` and `INF` |
//! | `boolean` | `true` or `false` |
//! | `list`, `container` | an array of objects with one member each: keys may repeat |
//! | with attributes inside | `{"value": …, "children": {…}}`, as pm4py has it |

use crate::json;
use quick_xml::{XmlVersion, events::BytesStart};

const KINDS: [&str; 8] = ["string", "date", "int", "float", "boolean", "id", "list", "container"];

/// Whether an element of this name is an attribute.
pub(super) fn is_kind(name: &str) -> bool {
    KINDS.contains(&name)
}

#[derive(Debug)]
pub(super) struct Attribute {
    kind: &'static str,
    key: String,
    value: Option<String>,
    /// What a list or a container holds.
    items: Vec<Attribute>,
    /// Attributes of the attribute.
    children: Vec<Attribute>,
}

impl Attribute {
    /// The attribute that an element begins. Its name must be a kind.
    pub(super) fn begin(element: &BytesStart<'_>) -> Result<Self, String> {
        let name = element.local_name();
        let kind = KINDS.into_iter().find(|kind| *kind == name.as_ref());
        let kind = kind.ok_or("it is no attribute")?;
        let (mut key, mut value) = (None, None);
        for xml in element.attributes() {
            let xml = xml.map_err(|error| format!("<{kind}>: {error}"))?;
            let text = xml.normalized_value(XmlVersion::Implicit1_0);
            let text = text.map_err(|error| format!("<{kind}>: {error}"))?.into_owned();
            match xml.key.local_name().as_ref() {
                "key" => key = Some(text),
                "value" => value = Some(text),
                _ => {}
            }
        }
        let key = key.ok_or_else(|| format!("<{kind}> has no `key`"))?;
        Ok(Self { kind, key, value, items: Vec::new(), children: Vec::new() })
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.kind, "list" | "container")
    }

    /// Takes in an attribute that stands inside this one: a list's with or without `<values>`
    /// around it, as newer and older files have it.
    pub(super) fn add(&mut self, inner: Self) {
        if self.is_list() { self.items.push(inner) } else { self.children.push(inner) }
    }

    /// The text of a column; `None` for what is no single value.
    pub(super) fn text(&self) -> Option<&str> {
        if self.is_list() { None } else { self.value.as_deref() }
    }

    /// The value as JSON; fails where it is not of its type.
    pub(super) fn to_json(&self) -> Result<String, String> {
        if self.is_list() {
            let items: Result<Vec<String>, String> = self.items.iter().map(Self::member).collect();
            let items = items?.into_iter().map(|member| format!("{{{member}}}"));
            return Ok(format!("[{}]", items.collect::<Vec<_>>().join(",")));
        }
        let value =
            self.value.as_deref().ok_or_else(|| format!("`{}` has no `value`", self.key))?;
        let value = self.typed(value)?;
        if self.children.is_empty() {
            return Ok(value);
        }
        let children: Result<Vec<String>, String> =
            self.children.iter().map(Self::member).collect();
        Ok(format!(r#"{{"value":{value},"children":{{{}}}}}"#, children?.join(",")))
    }

    fn member(&self) -> Result<String, String> {
        Ok(format!("{}:{}", json::string(&self.key), self.to_json()?))
    }

    fn typed(&self, value: &str) -> Result<String, String> {
        let bad = |what: &str| format!("`{}` is `{value}`, and must be {what}", self.key);
        match self.kind {
            "int" => integer(value).ok_or_else(|| bad("a whole number")),
            "float" => float(value).ok_or_else(|| bad("a number")),
            "boolean" => match value {
                "true" | "1" => Ok("true".to_owned()),
                "false" | "0" => Ok("false".to_owned()),
                _ => Err(bad("true or false")),
            },
            _ => Ok(json::string(value)),
        }
    }
}

fn integer(value: &str) -> Option<String> {
    let number: i64 = value.trim().parse().ok()?;
    Some(number.to_string())
}

fn float(value: &str) -> Option<String> {
    let value = value.trim();
    let number: f64 = value.parse().ok()?;
    if !number.is_finite() {
        return Some(json::string(value));
    }
    // What JSON cannot write in the same digits (`+1`, `.5`, `1.`) is written anew.
    let is_json = json::check(value.as_bytes()).is_ok();
    Some(if is_json { value.to_owned() } else { format!("{number:?}") })
}
