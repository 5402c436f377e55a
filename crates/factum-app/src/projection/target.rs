//! Where the rows of projections live, as a trait: in memory, in SQLite, in whatever has
//! transactions.
//!
//! What must hold: what one [`Changes`] brings is there as a whole or not at all, its checkpoint
//! with it; and it is refused where the checkpoint is not the one that it follows on. So two
//! writers, or one that died and came again, never apply an event twice.

use super::Inline;
use crate::world::BoxFuture;
use bytes::Bytes;
use factum_core::Position;
use std::{fmt, sync::Arc};

/// Rows of one projection in one version.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Table {
    /// The projection's name.
    pub name: String,
    /// Its version. Versions stand side by side.
    pub version: u32,
}

/// Which keys: those whose hash falls to `index` of `of`. Each part has a checkpoint of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Part {
    /// From 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// Who asks to write. A table is built in generations: one is read, and kept up to date; another
/// may be built beside it from the first event on, and takes its place when it has caught up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Who keeps the generation that is read; before there is one, who builds the first.
    Keeper,
    /// Who builds the one beside it.
    Builder,
}

/// How far a part of a generation is: what a [`Changes`] follows on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mark {
    /// Which generation, from 1.
    pub generation: u64,
    /// The checkpoint.
    pub through: Position,
}

/// What is there of a part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// How far it is.
    pub mark: Mark,
    /// It had caught up once.
    pub ready: bool,
    /// What waits in it, oldest first.
    pub parked: Vec<Parked>,
}

/// An event that a projection could not apply, or that waits behind one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parked {
    /// Where it stands in the store, which has its bytes.
    pub position: Position,
    /// For which key; `None` is all of its stream, where it could not be read.
    pub key: Option<String>,
    /// Its stream.
    pub stream: String,
    /// What was wrong; `None` where it only waits.
    pub why: Option<String>,
}

/// A row as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRow {
    /// Its key.
    pub key: String,
    /// The position of the event that made it so: its version, for who compares.
    pub at: Position,
    /// JSON.
    pub data: Bytes,
}

/// A change of one row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowChange {
    /// Its key.
    pub key: String,
    /// The position of the last event that changed it.
    pub at: Position,
    /// JSON; `None` deletes it.
    pub data: Option<Bytes>,
}

/// What is to be there as a whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Which table.
    pub table: Table,
    /// Which part.
    pub part: Part,
    /// What it follows on.
    pub from: Mark,
    /// The new checkpoint.
    pub through: Position,
    /// The part has caught up. When all parts have, the generation is the one that is read.
    pub ready: bool,
    /// Rows; each key once.
    pub rows: Vec<RowChange>,
    /// What is put aside.
    pub parked: Vec<Parked>,
    /// What no longer is, by key and position.
    pub released: Vec<(Option<String>, Position)>,
}

/// How a table is made anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renew {
    /// Beside the one that is read, until it has caught up.
    Beside,
    /// In the place of the one that is read: there is nothing to read until it has caught up.
    Instead,
}

/// Which rows of a table.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct List {
    /// Those behind this key, in the order of their bytes.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Only those whose keys begin so.
    pub prefix: Option<String>,
    /// Only those whose field of this name, at the top of the JSON, is this.
    pub fields: Vec<(String, serde_json::Value)>,
}

/// An answer, and how much of the store it has in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen<T> {
    /// The answer.
    pub value: T,
    /// Everything up to here is in it: the lowest checkpoint of all parts.
    pub through: Position,
    /// Of which generation it is.
    pub generation: u64,
}

/// Why a target did not do what it was asked to. Nothing was changed.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// It is out of reach. Try again later.
    #[error("the target is not available: {why}")]
    Away {
        /// What it said.
        why: String,
    },
    /// The checkpoint is not the one that the changes follow on: somebody else writes, or the table
    /// was made anew. Open it again.
    #[error("the checkpoint has moved: somebody else writes to this table, or it was made anew")]
    Moved,
    /// No generation of the table has caught up yet, so that there is nothing to read.
    #[error("nothing has caught up yet")]
    NotReady,
    /// It will not do, however often it is asked.
    #[error("{why}")]
    Broken {
        /// What is wrong, and what to do.
        why: String,
    },
}

/// Where rows live. An implementation is shared by all projections of an app.
pub trait Target: Send + Sync + fmt::Debug + 'static {
    /// What is there of a part, for who writes it; makes what is missing. A keeper whose number of
    /// parts is not that of the generation that is there begins another one, which is read when it
    /// has caught up. `None` for a builder where nothing is to be built.
    fn open<'a>(
        &'a self,
        table: &'a Table,
        part: Part,
        role: Role,
    ) -> BoxFuture<'a, Result<Option<Opened>, TargetError>>;

    /// Rows of a generation, in the order of the keys asked for; for who writes it.
    fn load<'a>(
        &'a self,
        table: &'a Table,
        generation: u64,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<StoredRow>>, TargetError>>;

    /// Writes all of it or nothing. See [`TargetError::Moved`]. Where `ready` makes a generation
    /// the one that is read, older ones are removed.
    fn commit(&self, changes: Changes) -> BoxFuture<'_, Result<(), TargetError>>;

    /// Begins a generation. One that was being built and is not read is removed.
    fn renew<'a>(&'a self, table: &'a Table, how: Renew) -> BoxFuture<'a, Result<(), TargetError>>;

    /// The row with a key, of the generation that is read.
    fn get<'a>(
        &'a self,
        table: &'a Table,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Seen<Option<StoredRow>>, TargetError>>;

    /// Rows by key, of the generation that is read.
    fn list<'a>(
        &'a self,
        table: &'a Table,
        list: &'a List,
    ) -> BoxFuture<'a, Result<Seen<Vec<StoredRow>>, TargetError>>;

    /// What waits, of all parts of the generation that is kept, oldest first.
    fn parked<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<Vec<Parked>, TargetError>>;

    /// The versions of a projection that have a generation to read, ascending.
    fn versions<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<u32>, TargetError>>;

    /// Keeps the rows of a projection in the transaction of each append from now on, as
    /// [`Inline`] says; one of the same table is replaced.
    ///
    /// # Errors
    ///
    /// The rows do not lie beside the events, in a store with transactions.
    fn inline(&self, projection: Arc<dyn Inline>) -> Result<(), TargetError> {
        let name = &projection.table().name;
        Err(TargetError::Broken {
            why: format!(
                "{name:?} cannot be inline: its rows do not lie beside the events, in a store with \
                 transactions; register it with `projection`, or give the app such a target"
            ),
        })
    }

    /// Removes a version with all that is in it.
    fn remove<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<(), TargetError>>;
}

/// Whether a row is what a [`List`] asks for; for targets that cannot ask this of their system.
#[must_use]
pub fn is_listed(list: &List, row: &StoredRow) -> bool {
    let StoredRow { key, data, .. } = row;
    if list.prefix.as_ref().is_some_and(|prefix| !key.starts_with(prefix.as_str())) {
        return false;
    }
    if list.fields.is_empty() {
        return true;
    }
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return false };
    list.fields.iter().all(|(name, wanted)| value.get(name) == Some(wanted))
}
