//! Appends in the caller's transaction, and the caller's own rows in that of an append.

use crate::{
    PostgresStore,
    append::{self, Work},
    error::{unappended, unbegun},
    options::APPEND_EVENTS_MAX,
    pool::Lease,
    read,
    shared::{BEGIN, Shared},
};
use factum_core::{
    Append, AppendError, Batch, Position, Query, Read, Receipt, RecordedEvent,
    cursor::{Cursor, Plan},
};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

/// Why an append with something of the caller's in its transaction was not done.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendWithError<E> {
    /// As of any append.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What was to happen in its transaction failed. Nothing was written, of either.
    #[error("what was to happen in the append's transaction failed; nothing was written")]
    Inline(#[source] E),
}

impl PostgresStore {
    /// Appends in a transaction of the caller's: with what else is written there, or not at all.
    ///
    /// Nobody sees the events before the transaction commits, and who follows sees nothing that
    /// anybody appends after them: end it soon. It holds the locks of the append until then. Call
    /// [`PostgresStore::committed`] when it has committed, or who follows finds out by looking.
    ///
    /// After a conflict, or any other refusal of the append, the transaction can be gone on with.
    /// After [`AppendError::Unavailable`] the server may refuse every further statement of it.
    ///
    /// # Errors
    ///
    /// As of any append; nothing is written unless the transaction commits. A transaction that is
    /// REPEATABLE READ or SERIALIZABLE is [`AppendError::Unsupported`]: its snapshot is older than
    /// the locks of the append, so that it could miss a conflict. Begin it as READ COMMITTED.
    ///
    /// ```no_run
    /// # async fn run(store: factum_postgres::PostgresStore, pool: factum_postgres::sqlx::PgPool)
    /// #     -> Result<(), Box<dyn std::error::Error>> {
    /// use factum_core::{Append, EventData, EventType, StreamName, Uuid};
    /// use factum_postgres::sqlx;
    /// let mut transaction = pool.begin().await?;
    /// sqlx::query("INSERT INTO orders VALUES (1)").execute(&mut *transaction).await?;
    /// let placed = EventData::new(Uuid::from_u128(1), EventType::new("order.placed")?, "{}");
    /// let append = Append::to(StreamName::new("order-1")?, [placed]);
    /// store.append_in(&mut transaction, append).await?;
    /// transaction.commit().await?;
    /// store.committed();
    /// # Ok(())
    /// # }
    /// ```
    pub async fn append_in(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        append: Append,
    ) -> Result<Receipt, AppendError> {
        let shared = self.shared();
        append::validate(shared, &append)?;
        let appending = append::in_transaction(shared, transaction, Work::Append(append));
        appending.await.unwrap_or_else(|error| Err(unbegun(&error)))
    }

    /// A transaction with [`PostgresStore::append_in`] has committed: who follows looks at once,
    /// here and in other processes.
    pub fn committed(&self) {
        self.shared().appended();
    }

    /// Appends, and does what the caller wants in the same transaction: both are written, or
    /// neither.
    ///
    /// `inline` is called once the events are written, with the connection and the events as they
    /// will be read, those of the store's own too. Its error undoes all of it. It is not called
    /// where there is nothing to write: where a check fails, and where the append was done before
    /// (`replayed`), as it was done then. It must not end the transaction that it is in. While it
    /// runs, who follows sees nothing that is appended after it: keep it short.
    ///
    /// # Errors
    ///
    /// [`AppendWithError`] says whose it is.
    pub async fn append_with<E, F>(
        &self,
        append: Append,
        inline: F,
    ) -> Result<Receipt, AppendWithError<E>>
    where
        F: AsyncFnOnce(&mut PgConnection, &[RecordedEvent]) -> Result<(), E>,
    {
        let shared = self.shared();
        append::validate(shared, &append)?;
        let mut lease = shared.writer().await.map_err(AppendError::from)?;
        let outcome = both(shared, &mut lease, append, inline).await;
        let (outcome, refused) = match outcome {
            Ok(receipt) => (Ok(receipt), None),
            Err(Failed::Refused(refused)) => (Err(refused), None),
            Err(Failed::Sql(error)) => (Err(unappended(&error).into()), Some(error)),
        };
        lease.done(&refused.map_or(Ok(()), Err));
        if outcome.as_ref().is_ok_and(|receipt| !receipt.replayed) {
            shared.appended();
        }
        outcome
    }
}

enum Failed<E> {
    Refused(AppendWithError<E>),
    Sql(sqlx::Error),
}

impl<E> From<sqlx::Error> for Failed<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

async fn both<E>(
    shared: &Shared,
    lease: &mut Lease,
    append: Append,
    inline: impl AsyncFnOnce(&mut PgConnection, &[RecordedEvent]) -> Result<(), E>,
) -> Result<Receipt, Failed<E>> {
    let has_events = !append.events.is_empty();
    let mut transaction = lease.begin_with(BEGIN).await?;
    let done = append::in_transaction(shared, &mut transaction, Work::Append(append)).await?;
    let receipt = match done {
        Ok(receipt) => receipt,
        Err(error) => {
            transaction.rollback().await?;
            return Err(Failed::Refused(error.into()));
        }
    };
    if !receipt.replayed && has_events {
        let events = written(shared, &mut transaction, receipt.position).await?;
        if let Err(error) = inline(&mut transaction, &events).await {
            transaction.rollback().await?;
            return Err(Failed::Refused(AppendWithError::Inline(error)));
        }
    }
    transaction.commit().await?;
    Ok(receipt)
}

/// The events of the append whose last one this is: they share its number.
async fn written(
    shared: &Shared,
    connection: &mut PgConnection,
    last: Position,
) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    let first = last.0 - last.0 % APPEND_EVENTS_MAX as u64;
    let read = Read { from: Some(first), ..Read::query(Query::All) };
    let mut cursor = Cursor::new(Plan::of_read(read, last, None));
    let mut events = Vec::new();
    loop {
        let batch = read::next_batch(shared, connection, (&mut cursor, last.0)).await?;
        let Batch { events: more, caught_up, .. } = batch;
        events.extend(more);
        if caught_up {
            return Ok(events);
        }
    }
}
