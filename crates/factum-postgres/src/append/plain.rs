//! An append as the arguments of one call, which is all that most appends need.

use super::{Called, conflict, position, rows, rows::Columns, state};
use crate::{select::items_of_checks, shared::Shared, terms::Locks};
use factum_core::{
    Append, Check, Expected, Found, Position, Receipt, Revision, StreamName, Written,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::HashMap;

/// The expectation that any stream meets which exists.
const EXISTS: i64 = -2;
/// The last revision of a stream without events, and the expectation of one.
const NONE: i64 = -1;

/// The arguments. Streams are those that are written, in the order of first mention, then those
/// that are only checked.
pub(super) struct Plain<'a> {
    append: &'a Append,
    pub(super) streams: Vec<&'a StreamName>,
    /// How many of them are written.
    pub(super) written: usize,
    pub(super) expected: Vec<Option<i64>>,
    checks: Vec<Option<i32>>,
    pub(super) items: Option<String>,
    /// Of each event: which of the streams it is for, from 1, and its place among its events.
    pub(super) places: Vec<i32>,
    pub(super) nths: Vec<i64>,
}

/// Whether an append is not always judged: whether it has nothing to do with metadata streams.
pub(super) fn is_plain(append: &Append) -> bool {
    let is_checked = |check: &Check| match check {
        Check::Stream { stream, .. } => stream.is_metadata(),
        Check::NoMatch { .. } => false,
    };
    let is_written = append.events.iter().any(|(stream, _)| stream.is_metadata());
    !is_written && !append.checks.iter().any(is_checked)
}

impl<'a> Plain<'a> {
    /// `None` for an append that is always judged.
    pub(super) fn of(append: &'a Append) -> Option<Self> {
        is_plain(append).then(|| Self::known(append))
    }

    /// Of one that is plain.
    pub(super) fn known(append: &'a Append) -> Self {
        let mut plain = Self {
            append,
            streams: Vec::new(),
            written: 0,
            expected: Vec::new(),
            checks: Vec::new(),
            items: items_of_checks(&append.checks),
            places: Vec::with_capacity(append.events.len()),
            nths: Vec::with_capacity(append.events.len()),
        };
        plain.take_streams();
        plain
    }

    fn take_streams(&mut self) {
        let mut known: HashMap<&StreamName, usize> = HashMap::new();
        let mut counts: Vec<i64> = Vec::new();
        for (stream, _) in &self.append.events {
            let place = *known.entry(stream).or_insert_with(|| {
                self.streams.push(stream);
                counts.push(0);
                counts.len() - 1
            });
            let count = counts.get_mut(place).expect("it was made above");
            *count += 1;
            self.places.push(i32::try_from(place + 1).unwrap_or(i32::MAX));
            self.nths.push(*count);
        }
        self.written = self.streams.len();
        self.expected.resize(self.written, None);
        self.checks.resize(self.written, None);
        for (index, check) in self.append.checks.iter().enumerate() {
            let Check::Stream { stream, expected } = check else { continue };
            let place = *known.entry(stream).or_insert_with(|| {
                self.streams.push(stream);
                self.expected.push(None);
                self.checks.push(None);
                self.streams.len() - 1
            });
            if let (Some(of), Some(number)) =
                (self.expected.get_mut(place), self.checks.get_mut(place))
            {
                *of = Some(as_number(*expected));
                *number = Some(i32::try_from(index).unwrap_or(i32::MAX));
            }
        }
    }

    /// Calls it.
    pub(super) async fn call(
        &self,
        shared: &Shared,
        connection: &mut PgConnection,
    ) -> Result<Called, sqlx::Error> {
        let mut locks = Locks::new(shared.place.seed);
        locks.append(self.append);
        let (keys, exclusive) = locks.arrays();
        let names: Vec<&str> = self.streams.iter().map(|stream| stream.as_str()).collect();
        let tracking = self.append.tracking.as_ref();
        let events = self.append.events.iter().map(|(_, event)| event);
        let query = shared
            .query(&shared.statements.append)
            .bind(keys)
            .bind(exclusive)
            .bind(shared.lock_timeout())
            .bind(names)
            .bind(i32::try_from(self.written).unwrap_or(i32::MAX))
            .bind(&self.expected)
            .bind(&self.checks)
            .bind(self.items.as_deref())
            .bind(tracking.map(|tracking| tracking.source.to_string()))
            .bind(tracking.map(|tracking| tracking.position.to_string()))
            .bind(shared.now())
            .bind(&self.places)
            .bind(&self.nths);
        let row = rows::bound(query, &Columns::of(events)).fetch_one(&mut *connection).await?;
        if self.append.events.is_empty() && row.try_get::<i32, _>(0)? == 0 {
            let last = shared.query(&shared.statements.last).fetch_one(connection).await?;
            let position = position(last.try_get(0)?);
            return Ok(Called::Done(Ok(self.receipt(&lasts(&row)?, position))));
        }
        self.answer(&row)
    }

    fn answer(&self, row: &PgRow) -> Result<Called, sqlx::Error> {
        let number = |column| row.try_get::<i64, _>(column);
        Ok(match row.try_get::<i32, _>(0)? {
            0 => {
                let last = number(1)?.cast_unsigned() + self.places.len() as u64 - 1;
                Called::Done(Ok(self.receipt(&lasts(row)?, Position(last))))
            }
            2 => {
                let found = Found::Stream(state(number(4)?));
                Called::Done(Err(conflict(row.try_get(3)?, found)))
            }
            3 => {
                let found = Found::Match(position(number(4)?));
                Called::Done(Err(conflict(row.try_get(3)?, found)))
            }
            4 => Called::OldSnapshot,
            5 => Called::NotDurable,
            _ => Called::Judge,
        })
    }

    /// Of the last revisions of its streams before, and of the last position.
    pub(super) fn receipt(&self, lasts: &[i64], position: Position) -> Receipt {
        let mut streams: Vec<Written> = Vec::with_capacity(self.written);
        for (stream, last) in self.streams.iter().take(self.written).zip(lasts) {
            let first = Revision(last.wrapping_add(1).cast_unsigned());
            streams.push(Written { stream: (*stream).clone(), first, last: first });
        }
        for (place, nth) in self.places.iter().zip(&self.nths) {
            let place = usize::try_from(*place - 1).unwrap_or(usize::MAX);
            if let Some(written) = streams.get_mut(place) {
                written.last = Revision(written.first.0 + nth.cast_unsigned() - 1);
            }
        }
        Receipt { position, streams, replayed: false }
    }
}

/// The last revisions, in an answer.
pub(super) fn lasts(row: &PgRow) -> Result<Vec<i64>, sqlx::Error> {
    Ok(row.try_get::<Option<Vec<i64>>, _>(2)?.unwrap_or_default())
}

fn as_number(expected: Expected) -> i64 {
    match expected {
        Expected::NoStream => NONE,
        Expected::Exists => EXISTS,
        // No stream has so many events.
        Expected::At(revision) => i64::try_from(revision.0).unwrap_or(i64::MAX),
    }
}
