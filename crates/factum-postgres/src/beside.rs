//! Tables of their own beside an application's, over its pool: what the outbox and the inbox share.

use crate::{
    OpenError, Options,
    error::{Class, passes},
    server,
    shared::{BEGIN, in_transaction},
    terms,
};
use factum_app::outbox::OutboxError;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, pool::PoolConnection,
    postgres::PgArguments, query::Query,
};
use std::sync::Arc;

/// A pool of the application's, and where our tables are in its database.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    pub(crate) pool: PgPool,
    pub(crate) options: Arc<Options>,
    /// Quoted.
    schema: Arc<str>,
}

/// What an error of PostgreSQL means to who relays, or forgets.
pub(crate) fn of_postgres(error: &sqlx::Error) -> OutboxError {
    let why = error.to_string();
    match Class::of(error) {
        Class::Damaged | Class::Refused if !passes(error) => OutboxError::Broken { why },
        _ => OutboxError::Away { why },
    }
}

/// A connection of the application's pool that is to begin a transaction. As long as it is not
/// known to have one, nobody undoes it: given back, the next to borrow it would be in it.
struct Lent {
    connection: PoolConnection<Postgres>,
    has_begun: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.has_begun {
            self.connection.close_on_drop();
        }
    }
}

impl Beside {
    /// Where a table is missing it is made, and its schema too.
    pub(crate) async fn open(
        pool: PgPool,
        options: Options,
        (table, sql): (&str, &str),
    ) -> Result<Self, OpenError> {
        let schema = format!("\"{}\"", options.schema.replace('"', "\"\"")).into();
        let beside = Self { pool, options: Arc::new(options), schema };
        let mut connection = beside.pool.acquire().await?;
        let mut all = connection.begin_with(BEGIN).await?;
        server::check(&mut all).await?;
        if !beside.has(&mut all, table).await? {
            // Another process may be making it too.
            let lock = beside.query("SELECT pg_advisory_xact_lock($1, 0)");
            lock.bind(beside.hash("tables")).execute(&mut *all).await?;
            if !beside.has(&mut all, table).await? {
                beside.make(&mut all, sql).await?;
            }
        }
        all.commit().await?;
        Ok(beside)
    }

    /// By the catalogue's rows: what a session remembers of names may be older than the lock.
    async fn has(&self, connection: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
        let sql = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n
            ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)";
        let asking = sqlx::query_scalar(sql).persistent(false);
        asking.bind(&self.options.schema).bind(table).fetch_one(connection).await
    }

    async fn make(&self, connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
        let there = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
        let there = sqlx::query_scalar(there).persistent(false).bind(&self.options.schema);
        if !there.fetch_one(&mut *connection).await? {
            sqlx::raw_sql(self.filled("CREATE SCHEMA {s}")).execute(&mut *connection).await?;
        }
        sqlx::raw_sql(self.filled(sql)).execute(connection).await.map(drop)
    }

    /// Of names in this schema: for locks by two numbers, whose keys no store has.
    pub(crate) fn hash(&self, name: &str) -> i32 {
        let hash = terms::hash(0, format!("{} {name}", self.schema).as_bytes());
        ((hash >> 32) as u32).cast_signed()
    }

    /// A statement in which `{s}` is the schema.
    pub(crate) fn filled(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(sql.replace("{s}", &self.schema))
    }

    /// The same, prepared by name unless a pooler would lose it.
    pub(crate) fn query(&self, sql: &str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(self.filled(sql)).persistent(!self.options.pooler)
    }

    /// Something of one statement: with a pooler in a transaction, as it gives each of them another
    /// connection.
    pub(crate) async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, OutboxError> {
        let running = async {
            let mut connection = self.pool.acquire().await?;
            match self.options.pooler {
                false => work(&mut connection).await,
                true => in_transaction(&mut connection, work).await,
            }
        };
        running.await.map_err(|error| of_postgres(&error))
    }

    /// Something in a transaction whose first statements are these.
    pub(crate) async fn run_in<T>(
        &self,
        first: String,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, OutboxError> {
        let running = async {
            let mut lent = Lent { connection: self.pool.acquire().await?, has_begun: false };
            let mut transaction = lent.connection.begin_with(BEGIN).await?;
            lent.has_begun = true;
            // Not one statement with `BEGIN`: what fails or is dropped from here on is undone
            // before the connection is lent again.
            sqlx::raw_sql(AssertSqlSafe(first)).execute(&mut *transaction).await?;
            let value = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(value)
        };
        running.await.map_err(|error| of_postgres(&error))
    }
}
