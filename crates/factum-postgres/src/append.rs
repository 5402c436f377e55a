//! An append: one call where nothing stands against it, with others that wait; and otherwise what
//! `factum_core::judge` says of it, in a transaction.
//!
//! What must hold: nothing is judged before the locks of all that is judged are held, and each
//! statement that judges sees what was committed before it began.

mod group;
mod judged;
mod plain;
mod rows;
mod together;

pub(crate) use {
    group::{CALLS_MAX, Group},
    judged::Work,
};

use crate::{
    error::unappended,
    shared::{BEGIN, Counters, Shared},
};
use factum_core::{Append, AppendError, Found, Position, Receipt, StreamState, judge};
use plain::Plain;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use together::Went;

/// What an append comes to, where the server answered.
pub(crate) type Answer = Result<Receipt, AppendError>;

/// What one call has made of an append.
enum Called {
    Done(Answer),
    /// It is to be judged in Rust.
    Judge,
    /// The transaction would judge by what was.
    OldSnapshot,
    /// Commits are not synchronous.
    NotDurable,
}

/// Appends, together with others if they wait. An append that has events is tried again where the
/// connection was lost: its ids tell whether it was done.
pub(crate) async fn append(shared: &Arc<Shared>, append: Append) -> Answer {
    let events = append.events.len();
    let answer = match group::go(shared, append).await {
        // Its call has told who follows.
        Went::Done(answer) => answer,
        Went::Left(append) => told(shared, alone(shared, &append).await),
        Went::Lost(append, error) => told(shared, again(shared, &append, &error).await),
    };
    count(shared, &answer, events);
    answer
}

/// Appends in a transaction of its own.
async fn alone(shared: &Shared, append: &Append) -> Answer {
    let mut lease = shared.writer().await?;
    let outcome = shared.answer(once(shared, &mut lease, append)).await;
    lease.done(&outcome);
    match outcome {
        Err(error) if is_lost(&error) && !append.events.is_empty() => {
            again(shared, append, &error).await
        }
        Err(error) => Err(unappended(&error)),
        Ok(answer) => answer,
    }
}

/// Tries again what was lost by this error. What is not done now may have been done then.
async fn again(shared: &Shared, append: &Append, lost: &sqlx::Error) -> Answer {
    Counters::add(&shared.counters.retried, 1);
    let Ok(mut lease) = shared.writer().await else { return Err(unappended(lost)) };
    let outcome = shared.answer(once(shared, &mut lease, append)).await;
    lease.done(&outcome);
    outcome.unwrap_or_else(|_| Err(unappended(lost)))
}

fn is_lost(error: &sqlx::Error) -> bool {
    crate::error::Class::of(error) == crate::error::Class::Lost
}

/// Tells who follows of what was written.
fn told(shared: &Shared, answer: Answer) -> Answer {
    if answer.as_ref().is_ok_and(|receipt| !receipt.replayed) {
        shared.appended();
    }
    answer
}

fn count(shared: &Shared, answer: &Answer, events: usize) {
    match answer {
        Ok(receipt) => {
            Counters::add(&shared.counters.appends, 1);
            if !receipt.replayed {
                Counters::add(&shared.counters.events, events as u64);
            }
        }
        Err(_) => Counters::add(&shared.counters.refused, 1),
    }
}

async fn once(
    shared: &Shared,
    connection: &mut PgConnection,
    append: &Append,
) -> Result<Answer, sqlx::Error> {
    let plain = Plain::of(append).filter(|_| !shared.options.pooler);
    if let Some(plain) = plain {
        match plain.call(shared, connection).await? {
            Called::Done(answer) => return Ok(answer),
            Called::NotDurable => return Ok(Err(not_durable())),
            Called::Judge | Called::OldSnapshot => {}
        }
    }
    in_own(shared, connection, Work::Append(append.clone())).await
}

/// Appends or changes in a transaction that is begun and ended for it.
async fn in_own(
    shared: &Shared,
    connection: &mut PgConnection,
    work: Work,
) -> Result<Answer, sqlx::Error> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let answer = in_transaction(shared, &mut transaction, work).await?;
    match answer {
        Ok(_) => transaction.commit().await?,
        Err(_) => transaction.rollback().await?,
    }
    Ok(answer)
}

/// Changes a stream. One that is lost is not tried again: it has no id that would tell.
pub(crate) async fn change(shared: &Shared, work: Work) -> Answer {
    let mut lease = shared.writer().await?;
    let outcome = shared.answer(in_own(shared, &mut lease, work)).await;
    lease.done(&outcome);
    let answer = told(shared, outcome.unwrap_or_else(|error| Err(unappended(&error))));
    count(shared, &answer, 1);
    answer
}

/// Appends or changes within a transaction that somebody else ends.
pub(crate) async fn in_transaction(
    shared: &Shared,
    connection: &mut PgConnection,
    work: Work,
) -> Result<Answer, sqlx::Error> {
    if let Work::Append(append) = &work
        && let Some(plain) = Plain::of(append)
    {
        match plain.call(shared, connection).await? {
            Called::Done(answer) => return Ok(answer),
            Called::Judge => {}
            Called::OldSnapshot => return Ok(Err(old_snapshot())),
            Called::NotDurable => return Ok(Err(not_durable())),
        }
    } else if let Some(error) = unfit(connection).await? {
        return Ok(Err(error));
    }
    Counters::add(&shared.counters.judged, 1);
    judged::judged(shared, connection, work).await
}

/// Why nothing can be appended in the transaction that is open.
async fn unfit(connection: &mut PgConnection) -> Result<Option<AppendError>, sqlx::Error> {
    let sql = "SELECT current_setting('transaction_isolation') = 'read committed',
        current_setting('synchronous_commit') <> 'off'";
    let asking = sqlx::query_as::<_, (bool, bool)>(sql).persistent(false);
    Ok(match asking.fetch_one(connection).await? {
        (false, _) => Some(old_snapshot()),
        (true, false) => Some(not_durable()),
        (true, true) => None,
    })
}

fn old_snapshot() -> AppendError {
    let what = "appending in a transaction that is REPEATABLE READ or SERIALIZABLE: its snapshot \
        is older than the locks of the append, so that a conflict could be missed; begin it as \
        READ COMMITTED";
    AppendError::Unsupported { what: what.into() }
}

fn not_durable() -> AppendError {
    let why = "`synchronous_commit` is off in this transaction: what is acknowledged could be \
        lost; leave it on";
    AppendError::ReadOnly { why: why.into() }
}

/// What a check of a stream found, of which only the last revision is known: it is not deleted.
fn state(last: i64) -> StreamState {
    match u64::try_from(last) {
        Ok(last) => StreamState::Live { last: factum_core::Revision(last) },
        Err(_) => StreamState::Absent,
    }
}

fn conflict(index: i32, found: Found) -> AppendError {
    AppendError::Conflict { index: usize::try_from(index).unwrap_or(usize::MAX), found }
}

fn position(number: i64) -> Position {
    Position(number.cast_unsigned())
}

/// Whether it is one that the limits allow.
pub(crate) fn validate(shared: &Shared, append: &Append) -> Result<(), AppendError> {
    judge::validate(append, &shared.capabilities.limits)
}
