//! Marten's table of events (`mt_events`): what is in which column. Which of the columns are there
//! depends on its version and settings (its docs: *Event Store Schema*, *Metadata*).

use super::members::Members;
use factum::{Bytes, Uuid};
use serde_json::{Map, Value};

/// The table, in Marten's own schema or another.
pub(crate) const TABLE: &str = "mt_events";
/// The order in which events were written.
pub(crate) const ORDER: &str = "seq_id";
/// The payload.
pub(crate) const DATA: &str = "data";

/// The tenant of who has none.
const NO_TENANT: &str = "*DEFAULT*";

/// Its metadata, as ours: headers, tenant, correlation and causation. Its ids of the latter are any
/// text, ours are UUIDs: others are kept under a name of their own.
pub(super) fn metadata(row: &Members<'_>) -> Result<Bytes, String> {
    let mut all = match row.get("headers").map(|headers| headers.get()) {
        None | Some("null") => Map::new(),
        Some(headers) => serde_json::from_str::<Map<String, Value>>(headers)
            .map_err(|_| "its headers are no JSON object".to_owned())?,
    };
    for (column, ours, other) in [
        ("correlation_id", "$correlationId", "martenCorrelationId"),
        ("causation_id", "$causationId", "martenCausationId"),
    ] {
        if let Some(id) = row.text(column)? {
            let name = if Uuid::parse_str(&id).is_ok() { ours } else { other };
            all.insert(name.to_owned(), id.into());
        }
    }
    if let Some(tenant) = row.text("tenant_id")?.filter(|tenant| tenant != NO_TENANT) {
        all.insert("tenant".to_owned(), tenant.into());
    }
    if all.is_empty() {
        return Ok(Bytes::new());
    }
    Ok(Value::Object(all).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(row: &str) -> Result<String, String> {
        let bytes = metadata(&Members::parse(row).unwrap())?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn columns_become_metadata_where_they_say_something() {
        assert_eq!(of(r#"{"tenant_id":"*DEFAULT*","headers":null}"#).unwrap(), "");
        let id = "6a4b2a9e-0c3f-4b0a-9d55-5f3f0d4f0a11";
        let row = format!(
            r#"{{"headers":{{"a":1}},"correlation_id":"{id}","causation_id":"00-ab",
                "tenant_id":"x"}}"#
        );
        let expected = format!(
            r#"{{"$correlationId":"{id}","a":1,"martenCausationId":"00-ab","tenant":"x"}}"#
        );
        let sorted: std::collections::BTreeMap<String, Value> =
            serde_json::from_str(&of(&row).unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&sorted).unwrap(), expected);
        assert!(of(r#"{"headers":[1]}"#).unwrap_err().contains("no JSON object"));
    }
}
