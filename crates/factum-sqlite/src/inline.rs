//! The caller's own tables, in the transaction of the events.

use crate::{
    SqliteStore,
    store::{Refused, Work},
};
use factum_core::{Append, AppendError, EventStore, Receipt, RecordedEvent, judge};
use sqlx::SqliteConnection;
use std::{any::Any, fmt, pin::Pin, sync::mpsc};
use tokio::runtime::{Handle, Runtime};

/// What a hook of this crate's users fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A future that runs on the writer's thread.
pub type Applied<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

/// What happens in the transaction of every append: an inline projection.
///
/// What it writes through `connection` commits together with the events, or not at all. It must
/// not end that transaction, and must not call the store: see
/// [`SqliteStore::append_with`](crate::SqliteStore::append_with), where both are said.
///
/// Every process that writes to the file needs it: one without it writes events that it never saw.
pub trait Inline: fmt::Debug + Send + Sync + 'static {
    /// Takes in the events of one append, in order, those of the system too. An error refuses the
    /// append, with nothing written, as
    /// [`AppendError::Unavailable`](factum_core::AppendError::Unavailable), unless it is an
    /// [`AppendError`] itself.
    fn apply<'a>(
        &'a self,
        connection: &'a mut SqliteConnection,
        events: &'a [RecordedEvent],
    ) -> Applied<'a>;
}

/// What the caller of one append wants in its transaction. Runs on the writer's thread, whose
/// runtime it is lent.
pub(crate) type Hook = Box<
    dyn FnOnce(&Runtime, &mut SqliteConnection, &[RecordedEvent]) -> Result<(), Box<dyn Any + Send>>
        + Send,
>;

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

impl SqliteStore {
    /// Appends, and does what the caller wants in the same transaction: both are written, or
    /// neither.
    ///
    /// `inline` is called once the events are written, with the connection and the events as they
    /// will be read. Its error undoes all of it. It is not called where there is nothing to write:
    /// where a check fails, and where the append was done before (`replayed`), as it was done then.
    ///
    /// While it runs nobody else writes to the file: keep it short, and wait for nothing but the
    /// connection. It must not end the transaction that it is in (then the outcome of all that
    /// share it is [`AppendError::Unknown`]), nor call the store, which refuses that. It runs on
    /// the writer's thread, within the runtime that `append_with` was called in, if in any.
    ///
    /// # Errors
    ///
    /// [`AppendWithError`] says whose it is.
    ///
    /// ```
    /// use factum_core::{Append, EventData, EventType, StreamName, Uuid};
    /// use factum_sqlite::{Options, SqliteStore, sqlx};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let store = SqliteStore::open_in_memory(Options::default()).await?;
    /// let placed = EventData::new(Uuid::from_u128(1), EventType::new("order.placed")?, "{}");
    /// let append = Append::to(StreamName::new("order-1")?, [placed]);
    /// let receipt = store.append_with(append, async |connection, events| {
    ///     let table = "CREATE TABLE IF NOT EXISTS orders (position INTEGER PRIMARY KEY)";
    ///     sqlx::query(table).execute(&mut *connection).await?;
    ///     for event in events {
    ///         let row = sqlx::query("INSERT INTO orders VALUES (?)");
    ///         row.bind(event.position().0.cast_signed()).execute(&mut *connection).await?;
    ///     }
    ///     Ok::<(), sqlx::Error>(())
    /// });
    /// assert_eq!(receipt.await?.position.0, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn append_with<E, F>(
        &self,
        append: Append,
        inline: F,
    ) -> Result<Receipt, AppendWithError<E>>
    where
        E: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection, &[RecordedEvent]) -> Result<(), E> + Send + 'static,
    {
        judge::validate(&append, &self.capabilities().limits)?;
        let within = Handle::try_current().ok();
        let hook: Hook = Box::new(move |runtime, connection, events| {
            let applying = inline(connection, events);
            let applied = match within {
                Some(within) => within.block_on(applying),
                None => runtime.block_on(applying),
            };
            applied.map_err(|error| Box::new(error) as Box<dyn Any + Send>)
        });
        self.submit(Work::Append(append), Some(hook)).await.map_err(of_caller)
    }

    /// Does what the caller wants in a transaction of its own, in turn with appends: rows of an
    /// application, without events. What holds of [`SqliteStore::append_with`] holds of it.
    ///
    /// Who writes through a connection of their own waits for the file's lock, and so does the
    /// store; who writes through this waits for neither.
    ///
    /// # Errors
    ///
    /// [`AppendWithError`] says whose it is.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, AppendWithError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, E> + Send + 'static,
    {
        let within = Handle::try_current().ok();
        let (sender, receiver) = mpsc::sync_channel(1);
        let hook: Hook = Box::new(move |runtime, connection, _| {
            let working = work(connection);
            let worked = match within {
                Some(within) => within.block_on(working),
                None => runtime.block_on(working),
            };
            let value = worked.map_err(|error| Box::new(error) as Box<dyn Any + Send>)?;
            // Who asked may have gone away.
            let _ = sender.send(value);
            Ok(())
        });
        self.submit(Work::Rows, Some(hook)).await.map_err(of_caller)?;
        Ok(receiver.try_recv().expect("it was sent before the commit"))
    }
}

fn of_caller<E: 'static>(refused: Refused) -> AppendWithError<E> {
    match refused {
        Refused::Append(error) => AppendWithError::Append(error),
        Refused::Inline(error) => {
            let error = error.downcast::<E>().expect("the hook made it");
            AppendWithError::Inline(*error)
        }
    }
}
