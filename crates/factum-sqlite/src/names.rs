//! Names that readers have met: what a number in a row of an event means.
//!
//! Names never change and are never taken back once they are committed, and readers see nothing
//! else, so that what is remembered stays right, whoever writes.

use factum_core::{EventType, StreamName};
use sqlx::{Row, SqliteConnection};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
struct Known {
    streams: HashMap<i64, StreamName>,
    types: HashMap<i64, EventType>,
}

/// Names by their numbers, for all readers of a store.
#[derive(Debug)]
pub(crate) struct Names {
    known: Mutex<Known>,
    max: usize,
}

/// The names of one batch.
#[derive(Debug, Default)]
pub(crate) struct NamesOfBatch {
    pub(crate) streams: HashMap<i64, StreamName>,
    pub(crate) types: HashMap<i64, EventType>,
}

impl Names {
    pub(crate) fn new(max: usize) -> Self {
        Self { known: Mutex::default(), max: max.max(1) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of these numbers; those that are not remembered are read.
    pub(crate) async fn of(
        &self,
        connection: &mut SqliteConnection,
        (streams, types): (BTreeSet<i64>, BTreeSet<i64>),
    ) -> Result<NamesOfBatch, sqlx::Error> {
        let mut found = NamesOfBatch::default();
        let (mut streams, mut types) = (streams, types);
        {
            let known = self.known();
            streams.retain(|id| !take(&known.streams, *id, &mut found.streams));
            types.retain(|id| !take(&known.types, *id, &mut found.types));
        }
        let of_streams = "SELECT id, name FROM factum_streams
            WHERE id IN (SELECT value FROM json_each(?))";
        for (id, name) in read(connection, of_streams, streams).await? {
            let name = StreamName::trusted(name);
            put(&mut self.known().streams, (id, name.clone()), self.max);
            found.streams.insert(id, name);
        }
        let of_types = "SELECT id, name FROM factum_terms
            WHERE id IN (SELECT value FROM json_each(?))";
        for (id, name) in read(connection, of_types, types).await? {
            let name = EventType::trusted(name);
            put(&mut self.known().types, (id, name.clone()), self.max);
            found.types.insert(id, name);
        }
        Ok(found)
    }
}

fn take<N: Clone>(known: &HashMap<i64, N>, id: i64, found: &mut HashMap<i64, N>) -> bool {
    let name = known.get(&id).cloned();
    name.is_some_and(|name| found.insert(id, name).is_none())
}

/// Remembers a name. What is full is forgotten: whatever is used is soon there again.
fn put<N>(known: &mut HashMap<i64, N>, (id, name): (i64, N), max: usize) {
    if known.len() >= max {
        known.clear();
    }
    known.insert(id, name);
}

async fn read(
    connection: &mut SqliteConnection,
    sql: &'static str,
    ids: BTreeSet<i64>,
) -> Result<Vec<(i64, Arc<str>)>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = nojson::array(|f| f.elements(&ids)).to_string();
    let rows = sqlx::query(sql).bind(ids).fetch_all(connection).await?;
    let named =
        |row: &sqlx::sqlite::SqliteRow| Ok((row.try_get(0)?, row.try_get::<&str, _>(1)?.into()));
    rows.iter().map(named).collect()
}
