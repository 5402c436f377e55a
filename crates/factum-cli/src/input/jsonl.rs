//! JSON lines: an object a line.
//!
//! Plain objects become the data of their events as they are. Lines as `factum export` and `--json`
//! write them (`print::json` is the other side) give back the events that they were:
//! stream, type, id, data, metadata, tags, *occurred at*.

use super::{
    Fault, Fields, InputError, Place, Record, Records,
    file::{Bytes, Meter, Metered},
    members::{Members, shown},
};
use crate::json;
use base64::{Engine, prelude::BASE64_STANDARD};
use factum::{ContentType, Uuid};
use std::io::BufRead;

pub(super) fn records(bytes: Bytes, is_exported: bool) -> Records {
    let parse = if is_exported { exported } else { plain };
    let each = Lines::new(bytes).map(move |line| {
        let (place, line) = line?;
        parse(place, &line).map_err(|why| Fault::record(place, why))
    });
    Records { header: None, each: Box::new(each) }
}

/// The lines of a text that are not blank, with their numbers.
pub(super) struct Lines {
    bytes: Metered,
    meter: Meter,
    done: bool,
}

impl Lines {
    pub(super) fn new(bytes: Bytes) -> Self {
        let meter = Meter::default();
        Self { bytes: Metered::new(bytes, meter.clone()), meter, done: false }
    }

    fn line(&mut self) -> Option<Result<(Place, String), Fault>> {
        self.meter.begin_record();
        let place = Place { what: "line", number: self.meter.lines() + 1, line: None };
        let mut line = Vec::new();
        match self.bytes.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => {
                self.done = true;
                return Some(Err(InputError::Read(error).into()));
            }
        }
        let line = String::from_utf8(line);
        Some(match line {
            Ok(line) => Ok((place, line)),
            Err(_) => Err(Fault::record(place, "it is not UTF-8")),
        })
    }
}

impl Iterator for Lines {
    type Item = Result<(Place, String), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let line = self.line()?;
            let is_blank = line.as_ref().is_ok_and(|(_, line)| line.trim().is_empty());
            if !is_blank {
                return Some(line);
            }
        }
        None
    }
}

fn plain(place: Place, line: &str) -> Result<Record, String> {
    let members = Members::parse(line)?;
    let data = json::one_line(line.as_bytes()).ok_or("it is not JSON")?;
    Ok(Record::json(place, members.fields(), data.get().to_owned()))
}

const KEYS: [&str; 12] = [
    "stream",
    "revision",
    "position",
    "id",
    "type",
    "data",
    "dataBase64",
    "metadata",
    "metadataBase64",
    "tags",
    "recordedAt",
    "occurredAt",
];

fn exported(place: Place, line: &str) -> Result<Record, String> {
    let members = Members::parse(line)?;
    if let Some((key, _)) = members.iter().find(|(key, _)| !KEYS.contains(key)) {
        return Err(format!(
            "`{key}` is no part of an event as `factum export` writes it: for other JSON lines, \
             give --type and --stream"
        ));
    }
    let mut record = Record::json(place, fields(&members)?, Vec::new());
    (record.data, record.content_type) = data(&members)?;
    record.metadata = metadata(&members)?;
    if let Some(tags) = members.get("tags") {
        let tags_text = serde_json::from_str(tags.get());
        record.tags = tags_text
            .map_err(|_| format!("`tags` is {}, and must be a list of texts", shown(tags)))?;
    }
    record.is_ordered = members.get("position").is_some();
    if let Some(id) = members.text("id")? {
        let parsed = Uuid::parse_str(&id);
        record.id = Some(parsed.map_err(|_| format!("the id `{id}` is not a UUID"))?);
    }
    Ok(record)
}

fn fields(members: &Members<'_>) -> Result<Fields, String> {
    for key in ["stream", "type"] {
        members.text(key)?;
    }
    Ok(members.fields())
}

fn data(members: &Members<'_>) -> Result<(factum::Bytes, ContentType), String> {
    match (members.get("data"), members.text("dataBase64")?) {
        (Some(_), Some(_)) => Err("it has both `data` and `dataBase64`: one is allowed".to_owned()),
        (Some(data), None) => Ok((data.get().to_owned().into(), ContentType::Json)),
        (None, Some(data)) => Ok((decoded("dataBase64", &data)?, ContentType::Binary)),
        (None, None) => Ok(("{}".into(), ContentType::Json)),
    }
}

fn metadata(members: &Members<'_>) -> Result<factum::Bytes, String> {
    match (members.get("metadata"), members.text("metadataBase64")?) {
        (Some(_), Some(_)) => {
            Err("it has both `metadata` and `metadataBase64`: one is allowed".to_owned())
        }
        (Some(json), None) if json.get() != "null" => Ok(json.get().to_owned().into()),
        (_, Some(metadata)) => decoded("metadataBase64", &metadata),
        _ => Ok(factum::Bytes::new()),
    }
}

pub(super) fn decoded(key: &str, text: &str) -> Result<factum::Bytes, String> {
    let bytes = BASE64_STANDARD.decode(text);
    bytes.map(Into::into).map_err(|error| format!("`{key}` is not base64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Columns;
    use std::io::Cursor;

    fn read(file: &str, is_exported: bool) -> Vec<Result<Record, String>> {
        let records = records(Box::new(Cursor::new(file.as_bytes().to_vec())), is_exported);
        records.each.map(|record| record.map_err(|fault| fault.to_string())).collect()
    }

    #[test]
    fn a_plain_object_is_the_data_and_its_members_are_columns() {
        let file = "{\"a\": 1.10, \"b\": {\"c\": \"x\", \"d\": null}, \"e\": [1]}\n\n{}\n";
        let records = read(file, false);
        let first = records[0].as_ref().unwrap();
        assert_eq!(&first.data[..], br#"{"a":1.10,"b":{"c":"x","d":null},"e":[1]}"#);
        assert_eq!(first.fields.names(), ["a", "b.c", "b.d"]);
        assert_eq!((first.fields.get("a"), first.fields.get("b.d")), (Some("1.10"), Some("")));
        assert_eq!(records[1].as_ref().unwrap().place.number, 3);
    }

    #[test]
    fn a_bad_line_is_named_and_the_next_one_is_read() {
        let records = read("{\n[1]\n{\"a\":1,\"a\":2}\n{}", false);
        let error = |index: usize| records[index].as_ref().unwrap_err().clone();
        assert!(error(0).starts_with("line 1: it is not JSON"), "{}", error(0));
        assert!(error(1).starts_with("line 2: ") && error(1).contains("a JSON object"));
        assert!(error(2).contains("the key `a` occurs twice"));
        assert!(records[3].is_ok());
    }

    #[test]
    fn an_exported_line_is_the_event_that_it_was() {
        let line = concat!(
            r#"{"stream":"a-1","revision":0,"position":1,"#,
            r#""id":"00000000-0000-0000-0000-000000000001","type":"t","data":{"x":1.0},"#,
            r#""metadata":null,"tags":["k:v"],"recordedAt":"2024-01-01T00:00:00Z","#,
            r#""occurredAt":"2023-01-01T00:00:00Z"}"#
        );
        let records = read(line, true);
        let record = records[0].as_ref().unwrap();
        assert_eq!((&record.data[..], &record.metadata[..]), (&br#"{"x":1.0}"#[..], &b""[..]));
        assert_eq!((record.id, &record.tags[..]), (Some(Uuid::from_u128(1)), &["k:v".into()][..]));
        let columns = ["stream", "type", "occurredAt"].map(|column| record.fields.get(column));
        assert_eq!(columns, [Some("a-1"), Some("t"), Some("2023-01-01T00:00:00Z")]);
    }

    #[test]
    fn bytes_come_in_base64_and_nothing_else_comes_at_all() {
        let binary =
            read(r#"{"stream":"a","type":"t","dataBase64":"/w==","metadataBase64":""}"#, true);
        let binary = binary[0].as_ref().unwrap();
        assert_eq!((&binary.data[..], binary.content_type), (&[0xff][..], ContentType::Binary));
        for (line, why) in [
            (r#"{"stream":"a","type":"t","extra":1}"#, "`extra` is no part of an event"),
            (r#"{"stream":"a","type":"t","data":1,"dataBase64":""}"#, "one is allowed"),
            (r#"{"stream":1,"type":"t"}"#, "`stream` is 1, and must be a text"),
            (r#"{"stream":"a","type":"t","id":"7"}"#, "not a UUID"),
            (r#"{"stream":"a","type":"t","tags":"x"}"#, "must be a list of texts"),
            (r#"{"stream":"a","type":"t","dataBase64":"*"}"#, "not base64"),
        ] {
            let error = read(line, true).remove(0).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
