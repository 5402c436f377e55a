//! A table of events in somebody's database: each row a JSON object, as the database gives it.
//!
//! Apart from how the rows come ([`super::postgres`]), so that it is tested without a server. What
//! must hold: the order of the rows is the order of the events, and bytes stay bytes.

use super::{
    Fault, Place, Record, marten,
    members::{Members, shown},
};
use factum::{Bytes, ContentType};
use serde_json::value::RawValue;

/// Which columns an event is made of, besides those that templates name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TableColumns {
    /// The payload; the whole row, where there is none.
    pub(crate) data: Option<String>,
    pub(crate) metadata: Metadata,
}

/// Where an event's metadata is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Metadata {
    /// It has none.
    #[default]
    None,
    /// In this column.
    Column(String),
    /// In several, as Marten has it.
    Marten,
}

impl TableColumns {
    /// The record of a row.
    pub(super) fn record(&self, number: u64, row: &str) -> Result<Record, Fault> {
        let place = Place { what: "row", number, line: None };
        self.fill(place, row).map_err(|why| Fault::record(place, why))
    }

    fn fill(&self, place: Place, row: &str) -> Result<Record, String> {
        let members = Members::parse(row)?;
        let mut fields = members.fields();
        let is_object = |value: &RawValue| value.get().starts_with(['{', '[']);
        for (name, _) in members.iter().filter(|(_, value)| is_object(value)) {
            fields.push(name, "");
        }
        let mut record = Record::json(place, fields, Vec::new());
        (record.data, record.content_type) = match &self.data {
            None => (row.to_owned().into(), ContentType::Json),
            Some(column) => payload(column, present(&members, column)?)?,
        };
        record.metadata = match &self.metadata {
            Metadata::None => Bytes::new(),
            Metadata::Column(column) => match present(&members, column)? {
                nothing if nothing.get() == "null" => Bytes::new(),
                value => payload(column, value)?.0,
            },
            Metadata::Marten => marten::metadata(&members)?,
        };
        record.is_ordered = true;
        Ok(record)
    }
}

fn present<'a>(members: &Members<'a>, column: &str) -> Result<&'a RawValue, String> {
    members.get(column).ok_or_else(|| {
        let names: Vec<&str> = members.iter().map(|(name, _)| name).collect();
        format!("there is no column `{column}`; there are `{}`", names.join("`, `"))
    })
}

/// JSON as it is, or JSON in a text; bytes, which PostgreSQL shows as `\x` and digits.
fn payload(column: &str, value: &RawValue) -> Result<(Bytes, ContentType), String> {
    let json = value.get();
    if json == "null" {
        return Ok(("{}".into(), ContentType::Json));
    }
    if !json.starts_with('"') {
        return Ok((json.to_owned().into(), ContentType::Json));
    }
    let text: String = serde_json::from_str(json).map_err(|error| error.to_string())?;
    if let Some(digits) = text.strip_prefix("\\x") {
        let bytes =
            hex(digits).ok_or_else(|| format!("`{column}` is no bytes: {}", shown(value)))?;
        return Ok((bytes.into(), ContentType::Binary));
    }
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(_) => Ok((text.into(), ContentType::Json)),
        Err(_) => Err(format!("`{column}` is a text that is no JSON: {}", shown(value))),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Columns;

    fn columns(data: &str, metadata: &str) -> TableColumns {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let metadata = named(metadata).map_or(Metadata::None, Metadata::Column);
        TableColumns { data: named(data), metadata }
    }

    #[test]
    fn a_row_is_an_event_and_its_columns_are_for_templates() {
        let row = r#"{"id":7,"payload":{"customer":"ann","n":1.50},"meta":null,"kind":"placed"}"#;
        let record = columns("payload", "meta").record(3, row).unwrap();
        assert_eq!(&record.data[..], br#"{"customer":"ann","n":1.50}"#);
        assert_eq!((record.metadata.len(), record.is_ordered), (0, true));
        let fields = ["id", "kind", "payload.customer"].map(|name| record.fields.get(name));
        assert_eq!(fields, [Some("7"), Some("placed"), Some("ann")]);
        let whole = columns("", "").record(3, row).unwrap();
        assert_eq!(&whole.data[..], row.as_bytes());
    }

    #[test]
    fn text_that_is_json_is_json_and_bytes_are_bytes() {
        let row = r#"{"a":"{\"x\": 1}","b":"\\x00ff","c":null}"#;
        let of = |column| columns(column, "").record(1, row).unwrap();
        assert_eq!(
            (&of("a").data[..], of("a").content_type),
            (&br#"{"x": 1}"#[..], ContentType::Json)
        );
        assert_eq!((&of("b").data[..], of("b").content_type), (&[0, 255][..], ContentType::Binary));
        assert_eq!(&of("c").data[..], b"{}");
    }

    #[test]
    fn what_is_wrong_names_the_row_and_the_column() {
        for (row, why) in [
            (r#"{"b":1}"#, "row 9: there is no column `a`; there are `b`"),
            (r#"{"a":"hello"}"#, "`a` is a text that is no JSON"),
            (r#"{"a":"\\x0"}"#, "`a` is no bytes"),
        ] {
            let error = columns("a", "").record(9, row).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
