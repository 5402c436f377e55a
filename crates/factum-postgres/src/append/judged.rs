//! What is unusual, judged by the one order of judgement: everything that it may ask is read first,
//! under the locks, and what it says is written.

use super::{Answer, position, rows, rows::Columns};
use crate::{heads, select::items_of_checks, shared::Shared, store::random_id, terms::Locks};
use factum_core::{
    Append, AppendError, Change, Check, Expected, Position, Query, Revision, StreamName, Uuid,
    judge::{self, FoundAt, Plan, Refusal, StreamHead, Verdict, View},
};
use sqlx::{PgConnection, Row};
use std::collections::HashMap;

/// What is to be done: valid already.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Append(Append),
    Change { stream: StreamName, change: Change, expected: Option<Expected> },
}

impl Work {
    fn locks(&self, seed: u64) -> Locks {
        let mut locks = Locks::new(seed);
        match self {
            Self::Append(append) => {
                locks.append(append);
                // A deleted stream that goes on is given new metadata.
                append.events.iter().for_each(|(stream, _)| locks.system(&base(stream)));
            }
            Self::Change { stream, .. } => locks.system(&base(stream)),
        }
        locks
    }

    /// Every stream that may be asked for, each once.
    fn streams(&self) -> Vec<StreamName> {
        let mut named: Vec<StreamName> = match self {
            Self::Append(append) => {
                let written = append.events.iter().map(|(stream, _)| stream.clone());
                let checked = append.checks.iter().filter_map(|check| match check {
                    Check::Stream { stream, .. } => Some(stream.clone()),
                    Check::NoMatch { .. } => None,
                });
                written.chain(checked).map(|stream| base(&stream)).collect()
            }
            Self::Change { stream, .. } => vec![base(stream)],
        };
        named.sort_unstable();
        named.dedup();
        let metadata: Vec<_> = named.iter().map(StreamName::metadata_stream).collect();
        named.extend(metadata);
        named
    }
}

/// The stream that a metadata stream is about, or the stream itself.
fn base(stream: &StreamName) -> StreamName {
    stream.metadata_of().unwrap_or_else(|| stream.clone())
}

/// Judges, and writes what is to be written.
pub(super) async fn judged(
    shared: &Shared,
    connection: &mut PgConnection,
    work: Work,
) -> Result<Answer, sqlx::Error> {
    let (keys, exclusive) = work.locks(shared.place.seed).arrays();
    let locking = shared.query(&shared.statements.lock).bind(keys).bind(exclusive);
    locking.bind(shared.lock_timeout()).execute(&mut *connection).await?;
    let mut known = Known::read(shared, connection, &work).await?;
    let judged = match work {
        Work::Append(append) => judge::judge(append, &mut known),
        Work::Change { stream, change, expected } => {
            judge::judge_change(&stream, change, expected, &mut known)
        }
    };
    match judged {
        Ok(Verdict::Answer(receipt)) => Ok(Ok(receipt)),
        Ok(Verdict::Write(plan)) => write(shared, connection, plan, known.head).await,
        Err(Refusal::Append(error)) => Ok(Err(error)),
        Err(Refusal::View(NotRead)) => Err(sqlx::Error::RowNotFound),
    }
}

async fn write(
    shared: &Shared,
    connection: &mut PgConnection,
    plan: Plan,
    head: u64,
) -> Result<Answer, sqlx::Error> {
    let (actual, limit) = (plan.events.len(), crate::options::APPEND_EVENTS_MAX);
    if actual > limit {
        let what = "events in the append, with those that let its deleted streams go on";
        return Ok(Err(AppendError::TooLarge { what, actual, limit }));
    }
    if let Some(tracking) = &plan.tracking {
        let moving = shared.query(&shared.statements.track).bind(tracking.source.to_string());
        moving.bind(tracking.position.to_string()).execute(&mut *connection).await?;
    }
    if plan.events.is_empty() {
        return Ok(Ok(plan.receipt(Position(head))));
    }
    let streams: Vec<&str> = plan.events.iter().map(|event| event.stream.as_str()).collect();
    let revisions = plan.events.iter().map(|event| event.revision.0.cast_signed());
    let revisions: Vec<i64> = revisions.collect();
    let query = shared.query(&shared.statements.write).bind(streams).bind(revisions);
    let columns = Columns::of(plan.events.iter().map(|planned| &planned.event));
    let row = rows::bound(query, &columns).bind(shared.now()).fetch_one(connection).await?;
    let first: i64 = row.try_get(0)?;
    Ok(Ok(plan.receipt(Position(first.cast_unsigned() + actual as u64 - 1))))
}

/// All that judging may ask, read under the locks.
#[derive(Debug, Default)]
struct Known {
    head: u64,
    streams: HashMap<StreamName, StreamHead>,
    found: HashMap<(StreamName, Uuid), FoundAt>,
    /// The first check of a query that finds something, and what.
    conflict: Option<(usize, Position)>,
    /// Which checks are of queries: they are asked in this order.
    queries: Vec<usize>,
    asked: usize,
    tracked: Option<u64>,
}

/// Something was asked that was not read.
#[derive(Debug)]
struct NotRead;

impl Known {
    async fn read(
        shared: &Shared,
        connection: &mut PgConnection,
        work: &Work,
    ) -> Result<Self, sqlx::Error> {
        let last = shared.query(&shared.statements.last).fetch_one(&mut *connection).await?;
        let head = last.try_get::<i64, _>(0)?.cast_unsigned();
        let names = work.streams();
        let heads = heads::of(shared, connection, &names, u64::MAX).await?;
        let streams = names.into_iter().zip(heads).collect();
        let mut known = Self { head, streams, ..Self::default() };
        let Work::Append(append) = work else { return Ok(known) };
        known.find(shared, connection, append).await?;
        known.check(shared, connection, append).await?;
        if let Some(tracking) = &append.tracking {
            known.tracked = heads::tracked(shared, connection, &tracking.source).await?;
        }
        Ok(known)
    }

    /// Where the events of an append are stored; at the revisions at which a retry's would be, if
    /// there too.
    async fn find(
        &mut self,
        shared: &Shared,
        connection: &mut PgConnection,
        append: &Append,
    ) -> Result<(), sqlx::Error> {
        let mut next: HashMap<&StreamName, Option<u64>> = HashMap::new();
        for check in &append.checks {
            if let Check::Stream { stream, expected } = check {
                next.insert(
                    stream,
                    match expected {
                        Expected::At(at) => Some(at.0.saturating_add(1)),
                        Expected::NoStream => Some(0),
                        Expected::Exists => None,
                    },
                );
            }
        }
        let (mut streams, mut ids, mut hints) = (Vec::new(), Vec::new(), Vec::new());
        for (stream, event) in &append.events {
            let hint = next.get_mut(stream).and_then(Option::as_mut);
            hints.push(hint.as_deref().and_then(|hint| i64::try_from(*hint).ok()));
            if let Some(hint) = hint {
                *hint = hint.saturating_add(1);
            }
            streams.push(stream.as_str());
            ids.push(event.id);
        }
        let finding = shared.query(&shared.statements.found).bind(streams).bind(ids).bind(hints);
        for row in finding.fetch_all(connection).await? {
            let nth = usize::try_from(row.try_get::<i32, _>(0)? - 1).unwrap_or(usize::MAX);
            let Some((stream, event)) = append.events.get(nth) else { continue };
            let revision = Revision(row.try_get::<i64, _>(2)?.cast_unsigned());
            let at = FoundAt { position: position(row.try_get(1)?), revision };
            self.found.insert((stream.clone(), event.id), at);
        }
        Ok(())
    }

    async fn check(
        &mut self,
        shared: &Shared,
        connection: &mut PgConnection,
        append: &Append,
    ) -> Result<(), sqlx::Error> {
        let is_query = |check: &Check| matches!(check, Check::NoMatch { .. });
        let queries = append.checks.iter().enumerate().filter(|(_, check)| is_query(check));
        self.queries = queries.map(|(index, _)| index).collect();
        let Some(items) = items_of_checks(&append.checks) else { return Ok(()) };
        let checking = shared.query(&shared.statements.conflict).bind(items);
        let row = checking.fetch_one(connection).await?;
        if let (Some(index), Some(found)) =
            (row.try_get::<Option<i32>, _>(0)?, row.try_get::<Option<i64>, _>(1)?)
        {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            self.conflict = Some((index, position(found)));
        }
        Ok(())
    }
}

impl View for Known {
    type Error = NotRead;

    fn head(&self) -> Position {
        Position(self.head)
    }

    fn stream(&mut self, stream: &StreamName) -> Result<StreamHead, NotRead> {
        self.streams.get(stream).cloned().ok_or(NotRead)
    }

    fn find(
        &mut self,
        stream: &StreamName,
        id: Uuid,
        _hint: Option<Revision>,
    ) -> Result<Option<FoundAt>, NotRead> {
        Ok(self.found.get(&(stream.clone(), id)).copied())
    }

    fn first_match(
        &mut self,
        _query: &Query,
        _after: Position,
    ) -> Result<Option<Position>, NotRead> {
        let index = self.queries.get(self.asked).copied().ok_or(NotRead)?;
        self.asked += 1;
        Ok(self.conflict.filter(|(failed, _)| *failed == index).map(|(_, found)| found))
    }

    fn tracked(&mut self, _source: &str) -> Result<Option<u64>, NotRead> {
        Ok(self.tracked)
    }

    fn new_id(&mut self) -> Uuid {
        random_id()
    }
}
