//! The numbers of names, as the writer knows them: looked up, or given, for all of an append at
//! once.

use crate::schema::Kind;
use factum_core::{StreamName, judge::Planned};
use sqlx::{Row, SqliteConnection};
use std::{collections::HashMap, sync::Arc};
use tokio::runtime::Runtime;

/// Numbers by their names. What a savepoint or a transaction gave is forgotten when it is undone,
/// as it is given again then, to other names.
#[derive(Debug)]
pub(crate) struct Known {
    streams: HashMap<StreamName, i64>,
    terms: HashMap<(Kind, Arc<str>), i64>,
    max: usize,
}

/// The numbers of an event's names.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) stream: i64,
    pub(super) event_type: i64,
    /// All terms by which it is found.
    pub(super) terms: Vec<i64>,
}

impl Known {
    pub(crate) fn new(max: usize) -> Self {
        Self { streams: HashMap::new(), terms: HashMap::new(), max }
    }

    /// Forgets all.
    pub(crate) fn forget(&mut self) {
        self.streams.clear();
        self.terms.clear();
    }

    /// The numbers of all names of these events; names that have none get one.
    pub(super) fn of(
        &mut self,
        events: &[Planned],
        connection: &mut SqliteConnection,
        runtime: &Runtime,
    ) -> Result<Vec<Ids>, sqlx::Error> {
        if self.streams.len() + self.terms.len() > self.max {
            self.forget();
        }
        let new = self.new_terms(events);
        if !new.is_empty() {
            self.terms.extend(runtime.block_on(give_terms(connection, new))?);
        }
        let new = self.new_streams(events);
        if !new.is_empty() {
            self.streams.extend(runtime.block_on(give_streams(connection, new))?);
        }
        events.iter().map(|event| self.ids(event)).collect()
    }

    fn new_terms(&self, events: &[Planned]) -> Vec<(Kind, Arc<str>)> {
        let mut new: Vec<_> = events.iter().flat_map(terms_of).collect();
        new.retain(|term| !self.terms.contains_key(term));
        new.sort_unstable();
        new.dedup();
        new
    }

    fn new_streams(&self, events: &[Planned]) -> Vec<(StreamName, i64)> {
        let is_new = |event: &&Planned| !self.streams.contains_key(&event.stream);
        let with_category = |event: &Planned| {
            let category = (Kind::Category, event.stream.category().into());
            let category = self.terms.get(&category).copied();
            (event.stream.clone(), category.expect("terms are given before streams"))
        };
        let mut new: Vec<_> = events.iter().filter(is_new).map(with_category).collect();
        new.sort_unstable();
        new.dedup();
        new
    }

    fn ids(&self, event: &Planned) -> Result<Ids, sqlx::Error> {
        let missing = || sqlx::Error::RowNotFound;
        let number = |term| self.terms.get(&term).copied().ok_or_else(missing);
        let mut terms = terms_of(event).map(number).collect::<Result<Vec<_>, _>>()?;
        let event_type = terms.first().copied().ok_or_else(missing)?;
        terms.sort_unstable();
        terms.dedup();
        let stream = self.streams.get(&event.stream).copied().ok_or_else(missing)?;
        Ok(Ids { stream, event_type, terms })
    }
}

/// The terms by which an event is found: its type first.
fn terms_of(planned: &Planned) -> impl Iterator<Item = (Kind, Arc<str>)> {
    let event_type = (Kind::Type, planned.event.event_type.as_str().into());
    let category = (Kind::Category, planned.stream.category().into());
    let tags = planned.event.tags.iter().map(|tag| (Kind::Tag, tag.as_str().into()));
    [event_type, category].into_iter().chain(tags)
}

async fn give_terms(
    connection: &mut SqliteConnection,
    new: Vec<(Kind, Arc<str>)>,
) -> Result<Vec<((Kind, Arc<str>), i64)>, sqlx::Error> {
    let kinds = nojson::array(|f| f.elements(new.iter().map(|(kind, _)| kind.number())));
    let kinds = kinds.to_string();
    let names = nojson::array(|f| f.elements(new.iter().map(|(_, name)| &**name))).to_string();
    let insert = "INSERT OR IGNORE INTO factum_terms (kind, name)
        SELECT k.value, n.value FROM json_each(?1) k JOIN json_each(?2) n ON n.key = k.key";
    sqlx::query(insert).bind(&kinds).bind(&names).execute(&mut *connection).await?;
    let look = "SELECT k.key, t.id FROM json_each(?1) k JOIN json_each(?2) n ON n.key = k.key
        CROSS JOIN factum_terms t ON t.kind = k.value AND t.name = n.value";
    let rows = sqlx::query(look).bind(&kinds).bind(&names).fetch_all(connection).await?;
    numbered(&new, &rows, Clone::clone)
}

async fn give_streams(
    connection: &mut SqliteConnection,
    new: Vec<(StreamName, i64)>,
) -> Result<Vec<(StreamName, i64)>, sqlx::Error> {
    let names = nojson::array(|f| f.elements(new.iter().map(|(name, _)| name.as_str())));
    let names = names.to_string();
    let categories = nojson::array(|f| f.elements(new.iter().map(|(_, category)| category)));
    let insert = "INSERT OR IGNORE INTO factum_streams (name, category)
        SELECT n.value, c.value FROM json_each(?1) n JOIN json_each(?2) c ON c.key = n.key";
    let insert = sqlx::query(insert).bind(&names).bind(categories.to_string());
    insert.execute(&mut *connection).await?;
    let look = "SELECT n.key, s.id FROM json_each(?1) n
        CROSS JOIN factum_streams s ON s.name = n.value";
    let rows = sqlx::query(look).bind(&names).fetch_all(connection).await?;
    numbered(&new, &rows, |(name, _)| name.clone())
}

/// The names at the places that rows tell, with the numbers that they tell.
fn numbered<T, N>(
    new: &[T],
    rows: &[sqlx::sqlite::SqliteRow],
    name: impl Fn(&T) -> N,
) -> Result<Vec<(N, i64)>, sqlx::Error> {
    let mut given = Vec::with_capacity(rows.len());
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
        let of = new.get(place).ok_or(sqlx::Error::RowNotFound)?;
        given.push((name(of), row.try_get(1)?));
    }
    Ok(given)
}
