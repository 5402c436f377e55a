//! CloudEvents 1.0 in JSON: an event a line, or one array of them (the JSON batch format).
//!
//! What `factum export --format cloudevents` wrote gives back the events that they were. Of other
//! events the attributes that have no place of their own (source, extensions, …) become metadata:
//! `{"cloudEvent": {…}}`.

use super::{
    Fault, InputError, Place, Record, Records,
    file::{Bytes, RECORD_BYTES_MAX},
    jsonl::{Lines, decoded},
    members::{Members, shown},
};
use crate::{identity, json};
use factum::{ContentType, Uuid};
use serde_json::value::RawValue;
use std::io::{BufRead, Read};

/// The largest array that is read. Lines have no such limit.
const ARRAY_BYTES_MAX: u64 = 16 * RECORD_BYTES_MAX;

/// Extensions in which an export keeps what CloudEvents have no place for.
pub(crate) mod extension {
    pub(crate) const REVISION: &str = "factumrevision";
    pub(crate) const POSITION: &str = "factumposition";
    pub(crate) const TAGS: &str = "factumtags";
    pub(crate) const METADATA: &str = "factummetadata";
    pub(crate) const METADATA_BASE64: &str = "factummetadatabase64";
}

pub(super) fn records(mut bytes: Bytes) -> Records {
    let each: Box<dyn Iterator<Item = Result<Record, Fault>>> = match begins_array(&mut bytes) {
        Ok(true) => match array(bytes) {
            Ok(records) => Box::new(records.into_iter()),
            Err(fault) => Box::new(std::iter::once(Err(fault.into()))),
        },
        Ok(false) => Box::new(Lines::new(bytes).map(|line| {
            let (place, line) = line?;
            record(place, &line).map_err(|why| Fault::record(place, why))
        })),
        Err(error) => Box::new(std::iter::once(Err(InputError::Read(error).into()))),
    };
    Records { header: None, each }
}

/// Whether the first character that is no white space is `[`. Takes the white space before it.
fn begins_array(bytes: &mut Bytes) -> std::io::Result<bool> {
    // Lines are counted later: leave the ends of lines in front of an event alone.
    let buffer = bytes.fill_buf()?;
    Ok(buffer.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'['))
}

fn array(bytes: Bytes) -> Result<Vec<Result<Record, Fault>>, InputError> {
    let mut text = String::new();
    let malformed = |why: String| InputError::Malformed { at: "the array".to_owned(), why };
    let length = bytes.take(ARRAY_BYTES_MAX + 1).read_to_string(&mut text);
    if length.map_err(InputError::Read)? as u64 > ARRAY_BYTES_MAX {
        let why =
            format!("it has more than {ARRAY_BYTES_MAX} bytes: write an event a line instead");
        return Err(malformed(why));
    }
    let events: Vec<&RawValue> = serde_json::from_str(&text)
        .map_err(|error| malformed(format!("it is not JSON: {error}")))?;
    let each = events.into_iter().zip(1..).map(|(event, number)| {
        let place = Place { what: "event", number, line: None };
        record(place, event.get()).map_err(|why| Fault::record(place, why))
    });
    Ok(each.collect())
}

fn record(place: Place, text: &str) -> Result<Record, String> {
    let members = Members::parse(text)?;
    let version = required(&members, "specversion")?;
    if version != "1.0" {
        return Err(format!("`specversion` is {version}: only 1.0 is understood"));
    }
    required(&members, "type")?;
    let (source, id) = (required(&members, "source")?, required(&members, "id")?);
    let mut record = Record::json(place, members.fields(), Vec::new());
    (record.data, record.content_type) = data(&members)?;
    record.is_ordered = members.get(extension::POSITION).is_some();
    record.metadata =
        if record.is_ordered { own_metadata(&members)? } else { attributes(&members) };
    record.tags = tags(&members)?;
    record.id = Some(
        Uuid::parse_str(&id).unwrap_or_else(|_| identity::of_parts(&["cloudevent", &source, &id])),
    );
    Ok(record)
}

fn required(members: &Members<'_>, key: &str) -> Result<String, String> {
    let text = members.text(key)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("`{key}` is missing: a CloudEvent must have it"))
}

fn data(members: &Members<'_>) -> Result<(factum::Bytes, ContentType), String> {
    if let Some(text) = members.text("data_base64")? {
        return Ok((decoded("data_base64", &text)?, ContentType::Binary));
    }
    let Some(data) = members.get("data") else {
        return Ok((factum::Bytes::new(), ContentType::Json));
    };
    let content_type = members.text("datacontenttype")?;
    if content_type.as_deref().is_none_or(is_json) {
        let line = json::one_line(data.get().as_bytes()).ok_or("`data` is not JSON")?;
        return Ok((line.get().to_owned().into(), ContentType::Json));
    }
    let text: Result<String, _> = serde_json::from_str(data.get());
    let text = text.map_err(|_| {
        format!("`data` is {}, and must be a text where `datacontenttype` is not JSON", shown(data))
    })?;
    Ok((text.into(), ContentType::Binary))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn own_metadata(members: &Members<'_>) -> Result<factum::Bytes, String> {
    match members.text(extension::METADATA_BASE64)? {
        Some(text) => decoded(extension::METADATA_BASE64, &text),
        None => Ok(members.text(extension::METADATA)?.unwrap_or_default().into()),
    }
}

fn tags(members: &Members<'_>) -> Result<Vec<String>, String> {
    let Some(text) = members.text(extension::TAGS)? else {
        return Ok(Vec::new());
    };
    serde_json::from_str(&text)
        .map_err(|_| format!("`{}` is `{text}`, and must be a JSON list of texts", extension::TAGS))
}

/// What becomes an event's own, or says nothing.
const TAKEN: [&str; 6] = ["specversion", "type", "subject", "time", "data", "data_base64"];

fn attributes(members: &Members<'_>) -> factum::Bytes {
    let rest = members.iter().filter(|(key, _)| !TAKEN.contains(key));
    let rest: Vec<String> =
        rest.map(|(key, value)| format!("{}:{}", json::string(key), value.get())).collect();
    let object = format!(r#"{{"cloudEvent":{{{}}}}}"#, rest.join(","));
    json::one_line(object.as_bytes()).map_or(object.clone(), |line| line.get().to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Columns;
    use std::io::Cursor;

    fn read(file: &str) -> Vec<Result<Record, String>> {
        let records = records(Box::new(Cursor::new(file.as_bytes().to_vec())));
        records.each.map(|record| record.map_err(|fault| fault.to_string())).collect()
    }

    const EVENT: &str = concat!(
        r#"{"specversion":"1.0","id":"7","source":"/shop","type":"order.placed","#,
        r#""subject":"order-1","time":"2024-01-01T00:00:00Z","tenant":"a","data":{"total": 1.10}}"#
    );

    #[test]
    fn lines_and_an_array_are_the_same_events() {
        let lines = read(&format!("{EVENT}\n{EVENT}\n"));
        let array = read(&format!(" [{EVENT},\n{EVENT}]"));
        let bare = |record: &Result<Record, String>| {
            let place = Place { what: "", number: 0, line: None };
            Record { place, ..record.clone().unwrap() }
        };
        assert_eq!((lines.len(), array.len()), (2, 2));
        assert_eq!(bare(&lines[0]), bare(&array[1]));
        let record = bare(&lines[0]);
        assert_eq!(&record.data[..], br#"{"total":1.10}"#);
        assert_eq!(record.fields.get("subject"), Some("order-1"));
        assert_eq!(
            &record.metadata[..],
            br#"{"cloudEvent":{"id":"7","source":"/shop","tenant":"a"}}"#
        );
    }

    #[test]
    fn an_id_that_is_no_uuid_is_made_one_of_source_and_id() {
        let other = EVENT.replace("/shop", "/office");
        let events = read(&format!("{EVENT}\n{other}\n{EVENT}"));
        let id = |index: usize| events[index].as_ref().unwrap().id.unwrap();
        assert_eq!(id(0), id(2));
        assert_ne!(id(0), id(1));
    }

    #[test]
    fn data_that_is_not_json_is_bytes() {
        let text = EVENT
            .replace(r#""data":{"total": 1.10}"#, r#""datacontenttype":"text/plain","data":"hi""#);
        let base64 = EVENT.replace(r#""data":{"total": 1.10}"#, r#""data_base64":"/w==""#);
        let none = EVENT.replace(r#","data":{"total": 1.10}"#, "");
        let events = read(&[text, base64, none].join("\n"));
        let data = |index: usize| {
            let record = events[index].as_ref().unwrap();
            (record.data.to_vec(), record.content_type)
        };
        assert_eq!(data(0), (b"hi".to_vec(), ContentType::Binary));
        assert_eq!(data(1), (vec![0xff], ContentType::Binary));
        assert_eq!(data(2), (Vec::new(), ContentType::Json));
    }

    #[test]
    fn what_a_cloudevent_must_have_is_asked_for() {
        for (from, to, why) in [
            (r#""id":"7","#, "", "`id` is missing"),
            (r#""source":"/shop""#, r#""source":"""#, "`source` is missing"),
            ("\"1.0\"", "\"0.3\"", "only 1.0"),
            ("\"order.placed\"", "7", "`type` is 7, and must be a text"),
        ] {
            let error = read(&EVENT.replace(from, to)).remove(0).unwrap_err();
            assert!(error.starts_with("line 1: ") && error.contains(why), "{error}");
        }
        assert!(read("[{]").remove(0).unwrap_err().contains("the array: it is not JSON"));
    }
}
