//! Comma-separated values with a header: a row is an event.
//!
//! The data of the event is a JSON object, a member a column, in the order of the columns. Empty
//! cells are left out. A cell that is a plain decimal number stands in JSON as a number, digit for
//! digit (`35.0` stays `35.0`); everything else is text, as it stands.

use super::{
    Fault, Fields, InputError, Options, Place, Record, Records,
    file::{Bytes, Meter, Metered},
};
use crate::json;
use ::csv::{ByteRecord, ErrorKind, ReaderBuilder};
use std::sync::Arc;

pub(super) fn records(bytes: Bytes, options: &Options) -> Result<Records, InputError> {
    let meter = Meter::default();
    let mut reader = ReaderBuilder::new()
        .delimiter(options.delimiter)
        .flexible(true)
        .has_headers(true)
        .from_reader(Metered::new(bytes, meter.clone()));
    let header = reader.byte_headers().map_err(broken)?.clone();
    let columns = columns(&header, options)?;
    let fields = columns.iter().map(|column| (column.name.clone(), String::new())).collect();
    let rows = Rows { reader, meter, columns, number: 0, done: false };
    Ok(Records { header: Some(Fields(fields)), each: Box::new(rows) })
}

struct Column {
    name: Arc<str>,
    /// The name as a JSON string.
    key: String,
    is_text: bool,
}

fn columns(header: &ByteRecord, options: &Options) -> Result<Vec<Column>, InputError> {
    let mut columns: Vec<Column> = Vec::with_capacity(header.len());
    for cell in header {
        let name = std::str::from_utf8(cell).map_err(|_| not_utf8("line 1".to_owned()))?;
        if columns.iter().any(|column| &*column.name == name) {
            return Err(InputError::TwiceInHeader { name: name.to_owned() });
        }
        let is_text = options.text.iter().any(|text| text == name || text == "*");
        columns.push(Column { name: name.into(), key: json::string(name), is_text });
    }
    if columns.iter().all(|column| column.name.is_empty()) {
        return Err(InputError::NoHeader);
    }
    Ok(columns)
}

fn not_utf8(at: String) -> InputError {
    InputError::Malformed { at, why: "it is not UTF-8: convert the file to UTF-8".to_owned() }
}

fn broken(error: ::csv::Error) -> InputError {
    let at = error.position().map_or(String::new(), |at| format!("line {}", at.line()));
    match error.into_kind() {
        ErrorKind::Io(error) => InputError::Read(error),
        other => InputError::Malformed { at, why: format!("{other:?}") },
    }
}

struct Rows {
    reader: ::csv::Reader<Metered>,
    meter: Meter,
    columns: Vec<Column>,
    number: u64,
    done: bool,
}

impl Iterator for Rows {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.meter.begin_record();
        let mut row = ByteRecord::new();
        match self.reader.read_byte_record(&mut row) {
            Ok(false) => None,
            Ok(true) => {
                self.number += 1;
                Some(self.record(&row))
            }
            Err(error) => {
                self.done = true;
                Some(Err(broken(error).into()))
            }
        }
    }
}

impl Rows {
    fn record(&self, row: &ByteRecord) -> Result<Record, Fault> {
        let line = row.position().map(::csv::Position::line);
        let place = Place { what: "row", number: self.number, line };
        if row.len() != self.columns.len() {
            return Err(Fault::record(place, self.wrong_length(row.len())));
        }
        let mut fields = Fields(Vec::with_capacity(row.len()));
        let mut data = String::from("{");
        for (column, cell) in self.columns.iter().zip(row) {
            let Ok(cell) = std::str::from_utf8(cell) else {
                let name = &column.name;
                return Err(Fault::record(place, format!("column `{name}` is not UTF-8")));
            };
            if !cell.is_empty() {
                member(&mut data, column, cell);
            }
            fields.push(column.name.clone(), cell);
        }
        data.push('}');
        Ok(Record::json(place, fields, data))
    }

    fn wrong_length(&self, got: usize) -> String {
        let expected = self.columns.len();
        match self.columns.get(got) {
            Some(column) => {
                format!("it has {got} of {expected} cells: `{}` is missing", column.name)
            }
            None => format!(
                "it has {got} cells, and the header names {expected}: quote a cell that holds the \
                 delimiter"
            ),
        }
    }
}

fn member(data: &mut String, column: &Column, cell: &str) {
    if data.len() > 1 {
        data.push(',');
    }
    data.push_str(&column.key);
    data.push(':');
    if !column.is_text && json::is_plain_number(cell) {
        data.push_str(cell);
    } else {
        data.push_str(&json::string(cell));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{input::Format, template::Columns};
    use std::io::Cursor;

    fn options(delimiter: u8, text: &[&str]) -> Options {
        let text = text.iter().map(|&column| column.to_owned()).collect();
        Options { format: Format::Csv, delimiter, text, is_exported: false }
    }

    fn read(file: &str, options: &Options) -> Result<Vec<Result<Record, Fault>>, InputError> {
        let bytes = Box::new(Cursor::new(file.as_bytes().to_vec()));
        records(bytes, options).map(|records| records.each.collect())
    }

    fn data(file: &str, options: &Options) -> Vec<String> {
        let rows = read(file, options).unwrap().into_iter();
        rows.map(|row| String::from_utf8(row.unwrap().data.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_row_is_a_json_object_that_loses_nothing() {
        let file = "a,b c,d\n35.0,,NIL\n007,\"x \"\"y\"\"\n,\",1.10\n";
        assert_eq!(
            data(file, &options(b',', &[])),
            [r#"{"a":35.0,"d":"NIL"}"#, r#"{"a":"007","b c":"x \"y\"\n,","d":1.10}"#]
        );
    }

    #[test]
    fn a_column_stays_text_if_asked_for() {
        let file = "version,n\n1.10,2\n";
        assert_eq!(data(file, &options(b',', &["version"])), [r#"{"version":"1.10","n":2}"#]);
        assert_eq!(data(file, &options(b',', &["*"])), [r#"{"version":"1.10","n":"2"}"#]);
    }

    #[test]
    fn another_delimiter_and_crlf_are_understood() {
        let file = "a;b\r\n1;2\r\n";
        let rows = read(file, &options(b';', &[])).unwrap();
        let row = rows[0].as_ref().unwrap();
        assert_eq!(row.fields.get("a"), Some("1"));
        assert_eq!(&row.data[..], br#"{"a":1,"b":2}"#);
    }

    #[test]
    fn a_bad_row_is_named_and_the_next_one_is_read() {
        let file = "a,b\n\"1\n1\",2\nonly\n1,2,3\n5,6\n";
        let rows = read(file, &options(b',', &[])).unwrap();
        let errors: Vec<_> =
            rows.iter().filter_map(|row| row.as_ref().err().map(ToString::to_string)).collect();
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0], "row 2 (line 4): it has 1 of 2 cells: `b` is missing");
        assert!(errors[1].starts_with("row 3 (line 5): it has 3 cells"), "{}", errors[1]);
        assert!(rows[3].is_ok());
    }

    #[test]
    fn a_file_without_a_usable_header_is_refused() {
        assert!(matches!(read("", &options(b',', &[])), Err(InputError::NoHeader)));
        let twice = read("a,a\n1,2\n", &options(b',', &[]));
        assert!(matches!(twice, Err(InputError::TwiceInHeader { name }) if name == "a"));
    }

    #[test]
    fn what_is_not_utf8_is_named() {
        let bytes = Box::new(Cursor::new(b"a,b\n1,\xff\n".to_vec()));
        let mut rows = records(bytes, &options(b',', &[])).unwrap().each;
        let error = rows.next().unwrap().unwrap_err().to_string();
        assert_eq!(error, "row 1 (line 2): column `b` is not UTF-8");
    }
}
