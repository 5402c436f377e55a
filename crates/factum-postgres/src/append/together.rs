//! Several appends in one call: they commit together, and each is judged as if it were alone.

use super::{
    Answer,
    group::Job,
    is_lost,
    plain::{Plain, lasts},
    rows::{self, Columns},
};
use crate::shared::{Counters, Shared};
use factum_core::{Append, Position};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::sync::Arc;

/// What became of an append in a call.
#[derive(Debug)]
pub(super) enum Went {
    Done(Answer),
    /// Something stands against it. Nothing was written of it.
    Left(Append),
    /// The connection was lost, and it may have been done.
    Lost(Append, Arc<sqlx::Error>),
}

/// Makes the call: what became of each, in their order.
pub(super) async fn go(shared: &Shared, jobs: Vec<Job>) -> Vec<Went> {
    let mut lease = match shared.callers.lease().await {
        Ok(lease) => lease,
        Err(none) => {
            let answer: Answer = Err(none.into());
            return jobs.iter().map(|_| Went::Done(answer.clone())).collect();
        }
    };
    Counters::add(&shared.counters.calls, 1);
    let outcome = shared.answer(call(shared, &mut lease, &jobs)).await;
    lease.done(&outcome);
    let appends = jobs.into_iter().map(|job| job.append);
    match outcome {
        Ok(answers) => {
            let of_one = |(append, answer): (Append, Option<Answer>)| {
                answer.map_or_else(|| Went::Left(append), Went::Done)
            };
            appends.zip(answers).map(of_one).collect()
        }
        Err(error) if is_lost(&error) => {
            let error = Arc::new(error);
            appends.map(|append| Went::Lost(append, error.clone())).collect()
        }
        // Whoever the refusal is meant for is told when it goes alone.
        Err(_) => appends.map(Went::Left).collect(),
    }
}

/// The answers, in order; `None` to those that were left.
async fn call(
    shared: &Shared,
    connection: &mut PgConnection,
    jobs: &[Job],
) -> Result<Vec<Option<Answer>>, sqlx::Error> {
    let plains: Vec<Plain<'_>> = jobs.iter().map(|job| Plain::known(&job.append)).collect();
    let all = Arguments::of(jobs, &plains);
    let events = jobs.iter().flat_map(|job| &job.append.events).map(|(_, event)| event);
    let query = shared
        .query(&shared.statements.append_all)
        .bind(&all.owners)
        .bind(&all.keys)
        .bind(&all.exclusive)
        .bind(&all.names)
        .bind(&all.of)
        .bind(&all.written)
        .bind(&all.expected)
        .bind(&all.items)
        .bind(shared.now())
        .bind(&all.places)
        .bind(&all.nths);
    let row = rows::bound(query, &Columns::of(events)).fetch_one(connection).await?;
    answers(&plains, &row)
}

fn answers(plains: &[Plain<'_>], row: &PgRow) -> Result<Vec<Option<Answer>>, sqlx::Error> {
    let first: Option<i64> = row.try_get(1)?;
    let Some(first) = first.filter(|_| row.try_get::<i32, _>(0).is_ok_and(|status| status == 0))
    else {
        return Ok(plains.iter().map(|_| None).collect());
    };
    let lasts = lasts(row)?;
    let others = row.try_get::<Option<Vec<i32>>, _>(3)?.unwrap_or_default();
    let (mut next, mut streams) = (first.cast_unsigned(), lasts.as_slice());
    let mut answers = Vec::with_capacity(plains.len());
    for (owner, plain) in (1_i32..).zip(plains) {
        next += plain.places.len() as u64;
        let (own, after) = streams.split_at_checked(plain.streams.len()).unwrap_or_default();
        streams = after;
        let is_done = !others.contains(&owner);
        answers.push(is_done.then(|| Ok(plain.receipt(own, Position(next - 1)))));
    }
    Ok(answers)
}

/// What the call is made with, besides the columns of events.
#[derive(Default)]
struct Arguments<'a> {
    /// Locks, each with the number of its append.
    owners: Vec<i32>,
    keys: Vec<i64>,
    exclusive: Vec<bool>,
    /// Streams, each with the number of its append.
    names: Vec<&'a str>,
    of: Vec<i32>,
    written: Vec<bool>,
    expected: Vec<Option<i64>>,
    /// Of each append; `None` where none has any.
    items: Option<Vec<Option<&'a str>>>,
    /// Of each event: the place of its stream among these, and its own among its events.
    places: Vec<i32>,
    nths: Vec<i64>,
}

impl<'a> Arguments<'a> {
    fn of(jobs: &'a [Job], plains: &'a [Plain<'a>]) -> Self {
        let mut all = Self::default();
        for (owner, (job, plain)) in (1..).zip(jobs.iter().zip(plains)) {
            all.add(owner, job, plain);
        }
        if plains.iter().any(|plain| plain.items.is_some()) {
            all.items = Some(plains.iter().map(|plain| plain.items.as_deref()).collect());
        }
        all
    }

    fn add(&mut self, owner: i32, job: &Job, plain: &'a Plain<'a>) {
        let before = i32::try_from(self.names.len()).expect("a call has few streams");
        self.owners.extend(job.keys.iter().map(|_| owner));
        self.keys.extend(&job.keys);
        self.exclusive.extend(&job.exclusive);
        self.names.extend(plain.streams.iter().map(|stream| stream.as_str()));
        self.of.extend(plain.streams.iter().map(|_| owner));
        self.written.extend((0..plain.streams.len()).map(|nth| nth < plain.written));
        self.expected.extend(&plain.expected);
        self.places.extend(plain.places.iter().map(|place| before + place));
        self.nths.extend(&plain.nths);
    }
}
