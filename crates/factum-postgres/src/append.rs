//! An append: one call where nothing stands against it, and otherwise what `factum_core::judge`
//! says of it, in a transaction.
//!
//! What must hold: nothing is judged before the locks of all that is judged are held, and each
//! statement that judges sees what was committed before it began.

mod judged;
mod plain;
mod rows;

pub(crate) use judged::Work;

use crate::{
    error::unappended,
    shared::{BEGIN, Counters, Shared},
};
use factum_core::{Append, AppendError, Found, Position, Receipt, StreamState, judge};
use plain::Plain;
use sqlx::{Connection, PgConnection};

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

/// Appends in a transaction of its own. An append that has events is tried again where the
/// connection was lost: its ids tell whether it was done.
pub(crate) async fn append(shared: &Shared, append: Append) -> Answer {
    let plain = Plain::of(shared, &append);
    let first = once(shared, &append, plain.as_ref()).await;
    let answer = match first {
        Err(error) if is_lost(&error) && !append.events.is_empty() => {
            Counters::add(&shared.counters.retried, 1);
            let again = once(shared, &append, plain.as_ref()).await;
            // What is not done now may have been done the first time.
            again.unwrap_or_else(|_| Err(unappended(&error)))
        }
        Err(error) => Err(unappended(&error)),
        Ok(answer) => answer,
    };
    count(shared, &answer, append.events.len());
    answer
}

fn is_lost(error: &sqlx::Error) -> bool {
    crate::error::Class::of(error) == crate::error::Class::Lost
}

fn count(shared: &Shared, answer: &Answer, events: usize) {
    match answer {
        Ok(receipt) => {
            Counters::add(&shared.counters.appends, 1);
            if !receipt.replayed {
                Counters::add(&shared.counters.events, events as u64);
                shared.appended();
            }
        }
        Err(_) => Counters::add(&shared.counters.refused, 1),
    }
}

async fn once(
    shared: &Shared,
    append: &Append,
    plain: Option<&Plain<'_>>,
) -> Result<Answer, sqlx::Error> {
    let mut lease = match shared.writer().await {
        Ok(lease) => lease,
        Err(none) => return Ok(Err(none.into())),
    };
    let outcome = async {
        if let Some(plain) = plain.filter(|_| !shared.options.pooler) {
            match plain.call(shared, &mut lease).await? {
                Called::Done(answer) => return Ok(answer),
                Called::NotDurable => return Ok(Err(not_durable())),
                Called::Judge | Called::OldSnapshot => {}
            }
        }
        in_own(shared, &mut lease, Work::Append(append.clone())).await
    };
    let outcome = outcome.await;
    lease.done(&outcome);
    outcome
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
    let outcome = in_own(shared, &mut lease, work).await;
    lease.done(&outcome);
    let answer = outcome.unwrap_or_else(|error| Err(unappended(&error)));
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
        && let Some(plain) = Plain::of(shared, append)
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
