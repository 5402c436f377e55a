//! Files of events: one reader a format, all giving [`Record`]s.
//!
//! A reader knows its format and nothing of stores; what a record becomes is [`crate::import`]'s.
//! What must hold: every fault names its row, event or line, and no reader guesses.

mod cloudevents;
mod csv;
mod file;
mod jsonl;
#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "no database can be read"))]
pub(crate) mod marten;
mod members;
#[cfg(test)]
mod mutated;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod record;
#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "no database can be read"))]
mod table;
mod xes;

pub(crate) use cloudevents::extension;
pub(crate) use file::{Opened, open};
pub(crate) use record::{Fault, Fields, InputError, Place, Record};
pub(crate) use table::{Metadata, TableColumns};
pub(crate) use xes::TIME;

use self::file::Bytes;
use std::path::Path;

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values, with a header.
    Csv,
    /// An event log in XES (IEEE 1849).
    Xes,
    /// A JSON object a line.
    Jsonl,
    /// CloudEvents 1.0 in JSON: an event a line, or an array of them.
    Cloudevents,
    /// The events of Marten, in its table in PostgreSQL.
    Marten,
    /// A table in PostgreSQL.
    #[value(skip)]
    Table,
}

impl Format {
    /// What the name of a file says: `log.csv`, `log.xes.gz`.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "csv" | "tsv" => Some(Self::Csv),
            "xes" => Some(Self::Xes),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "cloudevents" => Some(Self::Cloudevents),
            _ => None,
        }
    }
}

/// How to read a file.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) format: Format,
    /// Between the cells of a CSV.
    pub(crate) delimiter: u8,
    /// Columns of a CSV that stay text, whatever is in them.
    pub(crate) text: Vec<String>,
    /// JSON lines are events as `export` writes them, not plain objects.
    pub(crate) is_exported: bool,
}

/// The records of a file, one after the other.
pub(crate) struct Records {
    /// The columns that every record has, where the format says so up front.
    pub(crate) header: Option<Fields>,
    pub(crate) each: Box<dyn Iterator<Item = Result<Record, Fault>>>,
}

/// The records in these bytes.
pub(crate) fn records(bytes: Bytes, options: &Options) -> Result<Records, InputError> {
    match options.format {
        Format::Csv => csv::records(bytes, options),
        Format::Xes => Ok(xes::records(bytes)),
        Format::Jsonl => Ok(jsonl::records(bytes, options.is_exported)),
        Format::Cloudevents => Ok(cloudevents::records(bytes)),
        Format::Marten | Format::Table => {
            Err(InputError::Database { why: "a table is no file: name the database".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_the_files_name() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("dir.csv/a.XES.GZ", Some(Format::Xes)),
            ("a.b.jsonl", Some(Format::Jsonl)),
            ("a.ndjson.gz", Some(Format::Jsonl)),
            ("a.cloudevents", Some(Format::Cloudevents)),
            ("a.json", None),
            ("a.gz", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
