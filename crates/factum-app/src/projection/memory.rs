//! Rows in memory: gone with the process, and made anew by the next. For tests, and for views that
//! are quickly made.

use super::target::{
    Changes, List, Opened, Parked, Part, Renew, Role, RowChange, Seen, StoredRow, Table, Target,
    TargetError, is_listed,
};
use crate::world::BoxFuture;
use bytes::Bytes;
use factum_core::Position;
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Rows in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryTarget(Arc<Mutex<HashMap<Table, Generations>>>);

/// The generations of a table.
#[derive(Debug, Default)]
struct Generations {
    /// The last number given.
    last: u64,
    /// The one that is read.
    read: Option<u64>,
    all: BTreeMap<u64, Generation>,
}

#[derive(Debug)]
struct Generation {
    parts: Vec<Progress>,
    rows: BTreeMap<String, (Position, Bytes)>,
    parked: Vec<(Part, Parked)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    through: Position,
    ready: bool,
}

impl Generation {
    fn new(parts: u32) -> Self {
        let parts = (0..parts).map(|_| Progress::default()).collect();
        Self { parts, rows: BTreeMap::new(), parked: Vec::new() }
    }

    fn part(&self, part: Part) -> Option<Progress> {
        self.parts.get(part.index as usize).copied()
    }

    fn through(&self) -> Position {
        self.parts.iter().map(|part| part.through).min().unwrap_or_default()
    }

    fn apply(&mut self, changes: Changes) {
        for RowChange { key, at, data } in changes.rows {
            match data {
                Some(data) => drop(self.rows.insert(key, (at, data))),
                None => drop(self.rows.remove(&key)),
            }
        }
        let gone = |one: &Parked| changes.released.contains(&(one.key.clone(), one.position));
        self.parked.retain(|(part, one)| *part != changes.part || !gone(one));
        self.parked.extend(changes.parked.into_iter().map(|one| (changes.part, one)));
        if let Some(part) = self.parts.get_mut(changes.part.index as usize) {
            part.through = changes.through;
            part.ready |= changes.ready;
        }
    }
}

impl Generations {
    fn begin(&mut self, parts: u32) -> u64 {
        let read = self.read;
        self.all.retain(|number, _| Some(*number) == read);
        self.last += 1;
        self.all.insert(self.last, Generation::new(parts));
        self.last
    }

    /// The one that a role writes.
    fn written(&self, role: Role, parts: u32) -> Option<u64> {
        let fits = |number: &u64| {
            self.all.get(number).is_some_and(|one| one.parts.len() == parts as usize)
        };
        let beside = self.all.keys().next_back().copied().filter(|last| Some(*last) != self.read);
        match role {
            Role::Builder => beside.filter(|_| self.read.as_ref().is_some_and(fits)).filter(fits),
            Role::Keeper => self.read.filter(fits).or(beside.filter(fits)),
        }
    }

    /// The one that is read.
    fn readable(&self) -> Result<(u64, &Generation), TargetError> {
        let read = self.read.and_then(|number| Some((number, self.all.get(&number)?)));
        read.ok_or(TargetError::NotReady)
    }
}

impl MemoryTarget {
    /// No rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Table, Generations>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_now(&self, table: &Table, part: Part, role: Role) -> Option<Opened> {
        let mut tables = self.lock();
        let table = tables.entry(table.clone()).or_default();
        let number = match (table.written(role, part.of), role) {
            (Some(number), _) => number,
            (None, Role::Keeper) => table.begin(part.of),
            (None, Role::Builder) => return None,
        };
        let one = table.all.get(&number)?;
        let Progress { through, ready } = one.part(part)?;
        let parked = one.parked.iter().filter(|(of, _)| *of == part).map(|(_, one)| one.clone());
        let mark = super::Mark { generation: number, through };
        Some(Opened { mark, ready, parked: parked.collect() })
    }

    fn commit_now(&self, changes: Changes) -> Result<(), TargetError> {
        let mut tables = self.lock();
        let table = tables.get_mut(&changes.table).ok_or(TargetError::Moved)?;
        let number = changes.from.generation;
        let one = table.all.get_mut(&number).ok_or(TargetError::Moved)?;
        let is_cut_so = one.parts.len() == changes.part.of as usize;
        let from = one.part(changes.part).map(|part| part.through);
        if !is_cut_so || from != Some(changes.from.through) {
            return Err(TargetError::Moved);
        }
        one.apply(changes);
        if one.parts.iter().all(|part| part.ready) && table.read.is_none_or(|read| read < number) {
            table.read = Some(number);
            table.all.retain(|one, _| *one >= number);
        }
        Ok(())
    }

    fn renew_now(&self, table: &Table, how: Renew) {
        let mut tables = self.lock();
        let Some(table) = tables.get_mut(table) else { return };
        let Some(parts) = table.all.values().next_back().map(|one| one.parts.len()) else { return };
        if how == Renew::Instead {
            table.read = None;
        }
        table.begin(u32::try_from(parts).unwrap_or(1));
    }

    fn see<T>(
        &self,
        table: &Table,
        look: impl FnOnce(&Generation) -> T,
    ) -> Result<Seen<T>, TargetError> {
        let tables = self.lock();
        let (generation, one) = tables.get(table).ok_or(TargetError::NotReady)?.readable()?;
        Ok(Seen { value: look(one), through: one.through(), generation })
    }
}

fn stored(key: &str, (at, data): &(Position, Bytes)) -> StoredRow {
    StoredRow { key: key.into(), at: *at, data: data.clone() }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Target for MemoryTarget {
    fn open<'a>(
        &'a self,
        table: &'a Table,
        part: Part,
        role: Role,
    ) -> BoxFuture<'a, Result<Option<Opened>, TargetError>> {
        ready(Ok(self.open_now(table, part, role)))
    }

    fn load<'a>(
        &'a self,
        table: &'a Table,
        generation: u64,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<StoredRow>>, TargetError>> {
        let tables = self.lock();
        let one = tables.get(table).and_then(|table| table.all.get(&generation));
        ready(one.ok_or(TargetError::Moved).map(|one| {
            keys.iter().map(|key| one.rows.get(key).map(|row| stored(key, row))).collect()
        }))
    }

    fn commit(&self, changes: Changes) -> BoxFuture<'_, Result<(), TargetError>> {
        ready(self.commit_now(changes))
    }

    fn renew<'a>(&'a self, table: &'a Table, how: Renew) -> BoxFuture<'a, Result<(), TargetError>> {
        self.renew_now(table, how);
        ready(Ok(()))
    }

    fn get<'a>(
        &'a self,
        table: &'a Table,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Seen<Option<StoredRow>>, TargetError>> {
        ready(self.see(table, |one| one.rows.get(key).map(|row| stored(key, row))))
    }

    fn list<'a>(
        &'a self,
        table: &'a Table,
        list: &'a List,
    ) -> BoxFuture<'a, Result<Seen<Vec<StoredRow>>, TargetError>> {
        let from = match (&list.after, &list.prefix) {
            (Some(after), Some(prefix)) if prefix > after => Bound::Included(prefix.clone()),
            (Some(after), _) => Bound::Excluded(after.clone()),
            (None, Some(prefix)) => Bound::Included(prefix.clone()),
            (None, None) => Bound::Unbounded,
        };
        ready(self.see(table, |one| {
            let rows = one.rows.range((from, Bound::Unbounded));
            let has = |key: &str| list.prefix.as_ref().is_none_or(|one| key.starts_with(one));
            let rows = rows.take_while(|(key, _)| has(key)).map(|(key, row)| stored(key, row));
            rows.filter(|row| is_listed(list, row)).take(list.limit as usize).collect()
        }))
    }

    fn parked<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<Vec<Parked>, TargetError>> {
        let tables = self.lock();
        let kept = tables.get(table).and_then(|table| {
            let number = table.read.or(table.all.keys().next_back().copied())?;
            table.all.get(&number)
        });
        let mut parked: Vec<_> = kept
            .into_iter()
            .flat_map(|one| one.parked.iter().map(|(_, one)| one.clone()))
            .collect();
        parked.sort_by_key(|one| one.position);
        ready(Ok(parked))
    }

    fn versions<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<u32>, TargetError>> {
        let tables = self.lock();
        let read = tables.iter().filter(|(table, all)| table.name == name && all.read.is_some());
        let mut versions: Vec<_> = read.map(|(table, _)| table.version).collect();
        versions.sort_unstable();
        ready(Ok(versions))
    }

    fn remove<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<(), TargetError>> {
        self.lock().remove(table);
        ready(Ok(()))
    }
}
