//! Rows of projections in PostgreSQL with their checkpoints: one transaction, whichever generation.
//!
//! They lie beside the events of a store. Whoever writes a projection locks its row first, so that
//! of two who write one comes after the other, and is refused. What the tables hold is in
//! [`generations`] and [`rows`].
//!
//! A generation that is no longer needed is gone at once for who asks; its rows are removed bit by
//! bit with later commits, as nobody else could write while a million rows are deleted.

mod generations;
mod rows;

use crate::{
    PostgresStore,
    error::Class,
    shared::{Shared, in_transaction},
};
use factum_app::{
    projection::target::{
        Changes, List, Opened, Parked, Part, Renew, Role, Seen, StoredRow, Table, Target,
        TargetError,
    },
    world::BoxFuture,
};
use factum_core::ReadError;
use generations::View;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, postgres::PgArguments, query::Query};

/// What a statement is run with: the store, and a connection in a transaction of it.
pub(crate) struct On<'a> {
    shared: &'a Shared,
    connection: &'a mut PgConnection,
}

impl On<'_> {
    /// A statement in which `{s}` is the schema.
    fn query(&self, sql: &str) -> Query<'static, Postgres, PgArguments> {
        let sql = sql.replace("{s}", &self.shared.place.schema);
        sqlx::query(AssertSqlSafe(sql)).persistent(!self.shared.options.pooler)
    }
}

/// Where rows of projections live: beside the events of a store.
///
/// `SELECT * FROM factum.factum_rows` shows the rows that are read, for people and for SQL of one's
/// own.
///
/// ```no_run
/// # async fn run(store: factum_postgres::PostgresStore) {
/// let target = factum_postgres::PostgresTarget::beside(&store);
/// # drop(target);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresTarget {
    store: PostgresStore,
}

/// Why a transaction of the target's was given up.
enum Stop {
    Target(TargetError),
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
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
            Stop::Sql(error) => match Class::of(&error) {
                Class::Damaged | Class::ReadOnly | Class::Refused => {
                    Self::Broken { why: error.to_string() }
                }
                _ => Self::Away { why: error.to_string() },
            },
        }
    }
}

fn of_read(error: &ReadError) -> TargetError {
    let why = error.to_string();
    if error.is_retryable() { TargetError::Away { why } } else { TargetError::Broken { why } }
}

impl PostgresTarget {
    /// Rows beside the events of a store, in its schema.
    #[must_use]
    pub fn beside(store: &PostgresStore) -> Self {
        Self { store: store.clone() }
    }

    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut On<'_>) -> Result<T, Stop>,
    ) -> Result<T, TargetError> {
        let shared = self.store.shared();
        let lease = shared.writer().await.map_err(|none| of_read(&none.into()))?;
        self.within(lease, work).await
    }

    async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&mut On<'_>) -> Result<T, Stop>,
    ) -> Result<T, TargetError> {
        let lease = self.store.shared().reader().await.map_err(|none| of_read(&none.into()))?;
        self.within(lease, read).await
    }

    /// In a transaction, which a refusal undoes.
    async fn within<T>(
        &self,
        mut lease: crate::pool::Lease,
        work: impl AsyncFnOnce(&mut On<'_>) -> Result<T, Stop>,
    ) -> Result<T, TargetError> {
        let shared = self.store.shared();
        let mut refused = None;
        let outcome = in_transaction(&mut lease, async |connection| {
            match work(&mut On { shared, connection }).await {
                Ok(value) => Ok(value),
                Err(Stop::Sql(error)) => Err(error),
                Err(Stop::Target(error)) => {
                    refused = Some(error);
                    Err(sqlx::Error::RowNotFound)
                }
            }
        });
        let outcome = outcome.await;
        match refused {
            Some(error) => {
                lease.done::<()>(&Ok(()));
                Err(error)
            }
            None => {
                lease.done(&outcome);
                outcome.map_err(|error| Stop::Sql(error).into())
            }
        }
    }

    /// Looks at the generation that is read.
    async fn see<T>(
        &self,
        table: &Table,
        look: impl AsyncFnOnce(&mut On<'_>, (i64, i64)) -> Result<T, Stop>,
    ) -> Result<Seen<T>, TargetError> {
        self.read(async |on| {
            let view = View::find(on, table).await?.ok_or(TargetError::NotReady)?;
            let generation = view.read.ok_or(TargetError::NotReady)?;
            let through = view.through(on, generation).await?;
            let value = look(on, (view.id, generation)).await?;
            Ok(Seen { value, through, generation: generation.cast_unsigned() })
        })
        .await
    }
}

impl Target for PostgresTarget {
    fn open<'a>(
        &'a self,
        table: &'a Table,
        part: Part,
        role: Role,
    ) -> BoxFuture<'a, Result<Option<Opened>, TargetError>> {
        let table = table.clone();
        Box::pin(self.write(async move |on| Ok(generations::open(on, &table, (part, role)).await?)))
    }

    fn load<'a>(
        &'a self,
        table: &'a Table,
        generation: u64,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<StoredRow>>, TargetError>> {
        Box::pin(self.read(async move |on| {
            let view = View::find(on, table).await?.ok_or(TargetError::Moved)?;
            let generation = generation.cast_signed();
            if !view.has(on, generation).await? {
                return Err(TargetError::Moved.into());
            }
            Ok(rows::load(on, (view.id, generation), keys).await?)
        }))
    }

    fn commit(&self, changes: Changes) -> BoxFuture<'_, Result<(), TargetError>> {
        Box::pin(self.write(async move |on| generations::commit(on, changes).await))
    }

    fn renew<'a>(&'a self, table: &'a Table, how: Renew) -> BoxFuture<'a, Result<(), TargetError>> {
        let table = table.clone();
        Box::pin(self.write(async move |on| Ok(generations::renew(on, &table, how).await?)))
    }

    fn get<'a>(
        &'a self,
        table: &'a Table,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Seen<Option<StoredRow>>, TargetError>> {
        Box::pin(self.see(table, async move |on, of| {
            let keys = [key.to_owned()];
            Ok(rows::load(on, of, &keys).await?.into_iter().next().flatten())
        }))
    }

    fn list<'a>(
        &'a self,
        table: &'a Table,
        list: &'a List,
    ) -> BoxFuture<'a, Result<Seen<Vec<StoredRow>>, TargetError>> {
        Box::pin(self.see(table, async move |on, of| Ok(rows::list(on, of, list).await?)))
    }

    fn parked<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<Vec<Parked>, TargetError>> {
        Box::pin(self.read(async move |on| {
            let Some(view) = View::find(on, table).await? else {
                return Ok(Vec::new());
            };
            Ok(view.parked(on).await?)
        }))
    }

    fn versions<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<u32>, TargetError>> {
        Box::pin(self.read(async move |on| Ok(generations::versions(on, name).await?)))
    }

    fn remove<'a>(&'a self, table: &'a Table) -> BoxFuture<'a, Result<(), TargetError>> {
        let table = table.clone();
        Box::pin(self.write(async move |on| Ok(generations::remove(on, &table).await?)))
    }
}
