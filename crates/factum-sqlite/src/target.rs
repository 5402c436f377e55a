//! Rows of projections in SQLite, with their checkpoints: one transaction, whichever generation.
//!
//! They lie in the file of a store, and are written by that store's writer, so that nobody waits
//! for a lock of the own process. What the tables hold is in [`generations`] and [`rows`].
//!
//! A generation that is no longer needed is gone at once for who asks; its rows are removed bit by
//! bit with later commits, as nobody else could write while a million rows are deleted.

mod generations;
mod inline;
mod rows;

use crate::{
    AppendWithError, OpenError, Options, SqliteStore,
    error::{Class, stops},
};
use factum_app::{
    projection::{
        self,
        target::{
            Changes, List, Opened, Parked, Part, Renew, Role, Seen, StoredRow, Table, Target,
            TargetError,
        },
    },
    world::BoxFuture,
};
use factum_core::{AppendError, ReadError};
use generations::View;
use inline::Inlined;
use sqlx::SqliteConnection;
use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

/// Where rows of projections live: a file of SQLite, which may be that of the events.
///
/// `SELECT * FROM factum_rows` shows the rows that are read, for people and for SQL of one's own.
///
/// ```
/// use factum_sqlite::{Options, SqliteStore, SqliteTarget};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let store = SqliteStore::open_in_memory(Options::default()).await?;
/// let target = SqliteTarget::beside(&store).await?;
/// # drop(target);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteTarget {
    store: SqliteStore,
    /// Its store has no events of its own.
    is_apart: bool,
    inlined: Arc<RwLock<Vec<Inlined>>>,
}

/// Why a transaction of the target's was given up.
enum Stop {
    Target(TargetError),
    Sqlite(sqlx::Error),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<TargetError> for Stop {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<Stop> for TargetError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Target(error) => error,
            Stop::Sqlite(error) if stops(Class::of(&error)) => {
                Self::Broken { why: error.to_string() }
            }
            Stop::Sqlite(error) => Self::Away { why: error.to_string() },
        }
    }
}

fn of_append(error: &AppendError) -> TargetError {
    let why = error.to_string();
    if error.is_retryable() { TargetError::Away { why } } else { TargetError::Broken { why } }
}

fn of_read(error: &ReadError) -> TargetError {
    let why = error.to_string();
    if error.is_retryable() { TargetError::Away { why } } else { TargetError::Broken { why } }
}

impl SqliteTarget {
    /// Rows beside the events of a store, in its file, or in memory with it.
    ///
    /// # Errors
    ///
    /// [`TargetError`], where the file cannot be written.
    pub async fn beside(store: &SqliteStore) -> Result<Self, TargetError> {
        let inlined = Arc::default();
        let target = Self { store: store.clone(), is_apart: false, inlined };
        target.write(async |connection| Ok(generations::create(connection).await?)).await?;
        Ok(target)
    }

    /// Rows in a file of their own, for a store that is elsewhere.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why, and what to do.
    pub async fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let store = SqliteStore::open(path, options).await?;
        let made = Self::beside(&store).await;
        let made = made.map(|target| Self { is_apart: true, ..target });
        made.map_err(|error| OpenError::Sqlite(sqlx::Error::Protocol(error.to_string())))
    }

    async fn write<T, F>(&self, work: F) -> Result<T, TargetError>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, Stop> + Send + 'static,
    {
        self.store.write(work).await.map_err(|error| match error {
            AppendWithError::Append(error) => of_append(&error),
            AppendWithError::Inline(stop) => stop.into(),
        })
    }

    /// What appends go on with, once this is committed.
    fn inlined(&self, changes: &Changes) -> Option<Inlined> {
        let all = self.inlined.read().unwrap_or_else(PoisonError::into_inner);
        let mut of_table = all.iter().filter(|one| *one.projection.table() == changes.table);
        of_table.next().filter(|_| changes.ready).cloned()
    }

    async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Stop>,
    ) -> Result<T, TargetError> {
        let reading = self.store.with(async |connection, _| match read(connection).await {
            Ok(value) => Ok(Ok(value)),
            Err(Stop::Target(error)) => Ok(Err(error)),
            Err(Stop::Sqlite(error)) => Err(error),
        });
        reading.await.map_err(|error| of_read(&error))?
    }

    /// Looks at the generation that is read.
    async fn see<T>(
        &self,
        table: &Table,
        look: impl AsyncFnOnce(&mut SqliteConnection, (i64, i64)) -> Result<T, Stop>,
    ) -> Result<Seen<T>, TargetError> {
        self.read(async |connection| {
            let view = View::find(&mut *connection, table).await?.ok_or(TargetError::NotReady)?;
            let generation = view.read.ok_or(TargetError::NotReady)?;
            let through = view.through(&mut *connection, generation).await?;
            let value = look(connection, (view.id, generation)).await?;
            Ok(Seen { value, through, generation: generation.cast_unsigned() })
        })
        .await
    }
}

impl Target for SqliteTarget {
    fn open<'a>(
        &'a self,
        table: &'a Table,
        part: Part,
        role: Role,
    ) -> BoxFuture<'a, Result<Option<Opened>, TargetError>> {
        let table = table.clone();
        Box::pin(self.write(async move |connection| {
            Ok(generations::open(connection, &table, (part, role)).await?)
        }))
    }

    fn load<'a>(
        &'a self,
        table: &'a Table,
        generation: u64,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<StoredRow>>, TargetError>> {
        Box::pin(self.read(async move |connection| {
            let view = View::find(&mut *connection, table).await?.ok_or(TargetError::Moved)?;
            let generation = generation.cast_signed();
            if !view.has(&mut *connection, generation).await? {
                return Err(TargetError::Moved.into());
            }
            Ok(rows::load(connection, (view.id, generation), keys).await?)
        }))
    }

    fn commit(&self, changes: Changes) -> BoxFuture<'_, Result<(), TargetError>> {
        let inlined = self.inlined(&changes);
        Box::pin(self.write(async move |connection| {
            generations::commit(&mut *connection, changes).await?;
            if let Some(inlined) = inlined {
                inlined.reach_head(connection).await?;
            }
            Ok(())
        }))
    }

    fn inline(&self, projection: Arc<dyn projection::Inline>) -> Result<(), TargetError> {
        if self.is_apart {
            let name = &projection.table().name;
            let why = format!("{name:?} cannot be inline: its rows are not in the events' file");
            return Err(TargetError::Broken { why });
        }
        let inlined = Inlined::new(projection, self.store.shared());
        let mut all = self.inlined.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.name() != inlined.name());
        all.push(inlined.clone());
        self.store.shared().add_inline(inlined.name(), Arc::new(inlined));
        Ok(())
    }

    fn renew<'a>(&'a self, table: &'a Table, how: Renew) -> BoxFuture<'a, Result<(), TargetError>> {
        let table = table.clone();
        Box::pin(
            self.write(async move |connection| {
                Ok(generations::renew(connection, &table, how).await?)
            }),
        )
    }

    fn get<'a>(
        &'a self,
        table: &'a Table,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Seen<Option<StoredRow>>, TargetError>> {
        Box::pin(self.see(table, async move |connection, of| {
            let keys = [key.to_owned()];
            Ok(rows::load(connection, of, &keys).await?.into_iter().next().flatten())
        }))
    }

    fn list<'a>(
        &'a self,
        table: &'a Table,
        list: &'a List,
    ) -> BoxFuture<'a, Result<Seen<Vec<StoredRow>>, TargetError>> {
        Box::pin(
            self.see(
                table,
                async move |connection, of| Ok(rows::list(connection, of, list).await?),
            ),
        )
    }

    fn parked<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<Vec<Parked>, TargetError>> {
        Box::pin(self.read(async move |connection| {
            let Some(view) = View::find(&mut *connection, table).await? else {
                return Ok(Vec::new());
            };
            Ok(view.parked(connection).await?)
        }))
    }

    fn versions<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<u32>, TargetError>> {
        Box::pin(
            self.read(async move |connection| Ok(generations::versions(connection, name).await?)),
        )
    }

    fn remove<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<(), TargetError>> {
        let table = table.clone();
        Box::pin(
            self.write(async move |connection| Ok(generations::remove(connection, &table).await?)),
        )
    }
}
