//! The state that an append is judged against, read in the transaction that will write it.

use crate::{heads, select};
use factum_core::{
    Append, Position, Query, Revision, StreamName, Uuid,
    judge::{FoundAt, StreamHead, View},
};
use sqlx::{Row, SqliteConnection};
use std::collections::{HashMap, HashSet};
use tokio::runtime::Runtime;

pub(super) struct Judging<'a> {
    connection: &'a mut SqliteConnection,
    runtime: &'a Runtime,
    head: u64,
    /// The numbers of streams that were looked up.
    numbers: HashMap<StreamName, i64>,
    /// The events of the append. A single one is looked for with its stream; of several it is
    /// asked, once, which are stored at all.
    asked: Vec<(StreamName, Uuid)>,
    /// Those of them that are stored.
    stored: Option<HashSet<(StreamName, Uuid)>>,
}

impl<'a> Judging<'a> {
    pub(super) fn new(
        connection: &'a mut SqliteConnection,
        runtime: &'a Runtime,
        head: u64,
    ) -> Self {
        let (numbers, asked, stored) = (HashMap::new(), Vec::new(), None);
        Self { connection, runtime, head, numbers, asked, stored }
    }

    /// These events may be looked for.
    pub(super) fn expects(&mut self, append: &Append) {
        let asked = append.events.iter().map(|(stream, event)| (stream.clone(), event.id));
        self.asked = asked.collect();
    }

    /// The event that is the only one, if it is of this stream.
    fn single(&self, stream: &StreamName) -> Option<Uuid> {
        match &self.asked[..] {
            [(of, id)] if of == stream => Some(*id),
            _ => None,
        }
    }

    /// Whether an event of the append is stored: of several, all are looked for at once.
    fn is_stored(&mut self, stream: &StreamName, id: Uuid) -> Result<bool, sqlx::Error> {
        let stored = match self.stored.take() {
            Some(stored) => stored,
            None => self.all_stored()?,
        };
        let is_there = stored.contains(&(stream.clone(), id));
        self.stored = Some(stored);
        Ok(is_there)
    }

    fn all_stored(&mut self) -> Result<HashSet<(StreamName, Uuid)>, sqlx::Error> {
        let numbers = &self.numbers;
        let known = self.asked.iter().filter_map(|asked| Some((numbers.get(&asked.0)?, asked)));
        let known: Vec<(&i64, &(StreamName, Uuid))> = known.collect();
        let list = nojson::array(|f| {
            for (number, (_, id)) in &known {
                f.element(format!("{number}:{}", id.simple()))?;
            }
            Ok(())
        });
        let sql = "SELECT j.key FROM json_each(?) j WHERE EXISTS (
            SELECT 1 FROM factum_events
            WHERE stream = CAST(substr(j.value, 1, instr(j.value, ':') - 1) AS INTEGER)
                AND id = unhex(substr(j.value, instr(j.value, ':') + 1)))";
        let asking = sqlx::query_scalar::<_, i64>(sql).bind(list.to_string());
        let places = self.runtime.block_on(asking.fetch_all(&mut *self.connection))?;
        let of =
            |place: &i64| known.get(usize::try_from(*place).ok()?).map(|(_, of)| (*of).clone());
        Ok(places.iter().filter_map(of).collect())
    }
}

impl View for Judging<'_> {
    type Error = sqlx::Error;

    fn head(&self) -> Position {
        Position(self.head)
    }

    fn stream(&mut self, stream: &StreamName) -> Result<StreamHead, sqlx::Error> {
        let single = self.single(stream);
        let looking = heads::look(self.connection, stream, single);
        let looked = self.runtime.block_on(looking)?;
        if let Some(number) = looked.number {
            self.numbers.insert(stream.clone(), number);
        }
        if let Some(id) = single {
            let stored = looked.with_id.map(|_| (stream.clone(), id));
            self.stored = Some(stored.into_iter().collect());
        }
        Ok(looked.head)
    }

    fn find(
        &mut self,
        stream: &StreamName,
        id: Uuid,
        hint: Option<Revision>,
    ) -> Result<Option<FoundAt>, sqlx::Error> {
        let Some(number) = self.numbers.get(stream).copied() else { return Ok(None) };
        if !self.is_stored(stream, id)? {
            return Ok(None);
        }
        let sql = "SELECT position, revision FROM factum_events WHERE stream = ? AND id = ?
            ORDER BY revision = ? DESC, revision DESC LIMIT 1";
        let hint = hint.map(|hint| select::sql_number(hint.0));
        let finding = sqlx::query(sql).bind(number).bind(&id.as_bytes()[..]).bind(hint);
        let row = self.runtime.block_on(finding.fetch_optional(&mut *self.connection))?;
        let found = row.map(|row| {
            let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
            Ok(FoundAt { position: Position(number(0)?), revision: Revision(number(1)?) })
        });
        found.transpose()
    }

    fn first_match(
        &mut self,
        query: &Query,
        after: Position,
    ) -> Result<Option<Position>, sqlx::Error> {
        let upto = (after, Position(self.head));
        self.runtime.block_on(select::first_match(self.connection, query, upto))
    }

    fn tracked(&mut self, source: &str) -> Result<Option<u64>, sqlx::Error> {
        self.runtime.block_on(heads::tracked(self.connection, source))
    }

    fn new_id(&mut self) -> Uuid {
        crate::store::random_id()
    }
}
