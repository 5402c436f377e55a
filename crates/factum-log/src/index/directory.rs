//! The directory: which segments may have a term or an id, so that a look-up asks few of them,
//! however many there are.
//!
//! It is made of *runs*, files that each cover some segments in a row: two index files are merged
//! into a run, two runs into a larger one (or as many as `Options::index_fan_out` says). So a
//! look-up asks a run of each size at most, a page or two each, and then the segments that they
//! name. What a run says is true of the segments it was made of, known by their seeds; a segment
//! that took another's place is asked itself. A run may name a segment too many, as it knows hashes
//! only; never one too few. All of it is derived: without it, or where it is damaged, every segment
//! is asked.

mod merge;
mod run;
mod search;
mod tend;

pub(crate) use run::Cover;
pub(crate) use search::Search;
pub(crate) use tend::{bases_of, load, remove, tend};

use super::{TermKind, hash32, id_key, ids::upper, select::Wanted};
use factum_core::{StreamName, Uuid, name::category_of};

/// What is looked for: one key of one of a run's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    table: usize,
    key: u32,
}

/// The tables of a run: one for each kind of term, one for ids.
const TABLES: usize = 5;
const IDS: usize = 4;

impl Key {
    fn term(kind: TermKind, name: &str) -> Self {
        Self { table: kind as usize, key: hash32(name.as_bytes()) }
    }

    fn stream(name: &StreamName) -> Self {
        Self::term(TermKind::Stream, name.as_str())
    }

    fn category_of(stream: &StreamName) -> Self {
        Self::term(TermKind::Category, category_of(stream.as_str()))
    }

    fn id(stream: &StreamName, id: Uuid) -> Self {
        Self { table: IDS, key: upper(id_key(stream.as_str(), id)) }
    }

    fn wanted(wanted: Wanted<'_>) -> Self {
        match wanted {
            Wanted::Type(name) => Self::term(TermKind::Type, name),
            Wanted::Tag(name) => Self::term(TermKind::Tag, name),
            Wanted::Category(name) => Self::term(TermKind::Category, name),
        }
    }
}
