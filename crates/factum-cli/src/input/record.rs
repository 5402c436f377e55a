//! A record of a file: its columns, what its event would hold, and what can be wrong with it.

use crate::template::Columns;
use factum::{Bytes, ContentType, Uuid};
use std::{fmt, io, path::PathBuf, sync::Arc};

/// Where in a file a record stands, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// What is counted: "row", "event", "line".
    pub(crate) what: &'static str,
    /// From 1; a CSV's header is not counted.
    pub(crate) number: u64,
    /// The line of the file, from 1, where that is another number.
    pub(crate) line: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.number)?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

/// Columns with their text, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(Arc<str>, String)>);

impl Fields {
    pub(crate) fn push(&mut self, name: impl Into<Arc<str>>, text: impl Into<String>) {
        self.0.push((name.into(), text.into()));
    }
}

impl Columns for Fields {
    fn get(&self, column: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| **name == *column).map(|(_, text)| text.as_str())
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| &**name).collect()
    }
}

/// One event of a file, before it has a stream and a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) place: Place,
    pub(crate) fields: Fields,
    pub(crate) data: Bytes,
    pub(crate) content_type: ContentType,
    pub(crate) metadata: Bytes,
    pub(crate) tags: Vec<String>,
    /// Its identity, where the format has one.
    pub(crate) id: Option<Uuid>,
    /// It comes from a store: the order in which it comes is the order of the store.
    pub(crate) is_ordered: bool,
}

impl Record {
    /// A JSON event.
    pub(crate) fn json(place: Place, fields: Fields, data: impl Into<Bytes>) -> Self {
        Self {
            place,
            fields,
            data: data.into(),
            content_type: ContentType::Json,
            metadata: Bytes::new(),
            tags: Vec::new(),
            id: None,
            is_ordered: false,
        }
    }
}

/// What can be wrong with one record, or with the file.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub(crate) enum Fault {
    /// This record is bad; the next ones can be read. `--skip-bad` leaves it out.
    #[error("{place}: {why}")]
    Record {
        /// Which.
        place: Place,
        /// What is wrong.
        why: String,
    },
    /// Nothing further can be read.
    #[error(transparent)]
    File(#[from] InputError),
}

impl Fault {
    pub(crate) fn record(place: Place, why: impl fmt::Display) -> Self {
        Self::Record { place, why: why.to_string() }
    }
}

/// A file that cannot be read. The user has to give another one, or say how to read it.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub(crate) enum InputError {
    /// The file cannot be opened.
    #[error("cannot open {path}: {source}", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Reading broke off: the disk, or a gzip that is cut or damaged.
    #[error("the file cannot be read further: {0}")]
    Read(io::Error),
    /// The database cannot be reached, or refuses to be read.
    #[error("the database: {why}")]
    Database {
        /// What it said.
        why: String,
    },
    /// The file has no line at all, or nothing but white space.
    #[error("the file is empty: a CSV begins with a line that names its columns")]
    NoHeader,
    /// Two columns of one name.
    #[error("the column `{name}` occurs twice in the header: give each its own name")]
    TwiceInHeader {
        /// The name.
        name: String,
    },
    /// What comes is not in the format. `at` names the line.
    #[error("{at}: {why}")]
    Malformed {
        /// The line, and the byte where that helps.
        at: String,
        /// What is wrong.
        why: String,
    },
}
