//! The tables of a store, made and moved on by numbered migrations: each once, all of them in one
//! transaction, one process at a time.
//!
//! | table | a row is |
//! |---|---|
//! | `factum_store` | the store: its format, its id |
//! | `factum_events` | an event, by position |
//! | `factum_tags` | a tag, and the position of an event that has it |
//! | `factum_tracked` | a source, and its tracked position |
//!
//! The view `factum_log` shows events for people. What writes and judges is in functions beside
//! them: one call an append.

use crate::{OpenError, options::Options, shared::BEGIN, terms};
use factum_core::Uuid;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// Each brings the tables from the format before it to its own number.
const MIGRATIONS: &[&str] =
    &[include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// What every branch of `factum_first` asks of an event, whatever it goes by.
const CONDITIONS: &str = "
    AND (p_tags IS NULL OR e.tags @> p_tags)
    AND (p_types IS NULL OR e.type = ANY (p_types))
    AND (p_categories IS NULL OR split_part(e.stream, '-', 1) = ANY (p_categories))
    AND (p_streams IS NULL OR EXISTS (
        SELECT FROM unnest(p_streams) AS x(prefix) WHERE starts_with(e.stream, x.prefix)))
    AND (p_prefixes IS NULL OR EXISTS (
        SELECT FROM unnest(p_prefixes) AS x(prefix) WHERE starts_with(e.type, x.prefix)))";

/// A lock of those that keep the settled head back: the bit that tells it from a term's.
const HORIZON: i64 = 1 << 62;

/// Where a store is in its database.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its schema, quoted.
    pub(crate) schema: String,
    /// The same as it is.
    name: String,
    /// What its locks are hashed with.
    pub(crate) seed: u64,
    /// The locks on its numbers of appends begin here.
    pub(crate) horizon: i64,
    /// The channel of its notifications.
    pub(crate) channel: String,
}

impl Place {
    pub(crate) fn of(options: &Options) -> Self {
        let seed = terms::hash(0, options.schema.as_bytes());
        let horizon = HORIZON | (seed & 0xffff).cast_signed() << 46;
        let schema = format!("\"{}\"", options.schema.replace('"', "\"\""));
        // A name of PostgreSQL has at most 63 bytes.
        let (name, channel) = (options.schema.clone(), format!("factum_{seed:016x}"));
        Self { schema, name, seed, horizon, channel }
    }

    fn filled(&self, sql: &str) -> String {
        sql.replace("{conditions}", CONDITIONS)
            .replace("{schema}", &self.schema)
            .replace("{lock}", &self.horizon.to_string())
    }
}

/// Makes the tables where they are missing, moves those of an older format on, and refuses those
/// of a newer one. The store's id.
pub(crate) async fn prepare(
    connection: &mut PgConnection,
    place: &Place,
) -> Result<Uuid, OpenError> {
    let newest = i32::try_from(MIGRATIONS.len()).expect("migrations are few");
    // Mostly there is nothing to do, and nothing that would need rights to do it.
    let mut looking = connection.begin_with(BEGIN).await?;
    let found = stored(&mut looking, place).await?;
    looking.commit().await?;
    if let Some((_, id)) = found.filter(|(format, _)| *format == newest) {
        return Ok(id);
    }
    let mut all = connection.begin_with(BEGIN).await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)");
    lock.persistent(false).bind(place.horizon | ((1 << 46) - 1)).execute(&mut *all).await?;
    let format = stored(&mut all, place).await?.map_or(0, |(format, _)| format);
    if format > newest {
        return Err(OpenError::NewerFormat { found: format, known: newest });
    }
    if format == 0 && !has_schema(&mut all, place).await? {
        let sql = format!("CREATE SCHEMA {}", place.schema);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *all).await?;
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(format).unwrap_or_default()) {
        sqlx::raw_sql(AssertSqlSafe(place.filled(migration))).execute(&mut *all).await?;
    }
    let sql = format!("UPDATE {}.factum_store SET format = {newest}", place.schema);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *all).await?;
    let made = stored(&mut all, place).await?;
    all.commit().await?;
    made.map(|(_, id)| id).ok_or_else(|| sqlx::Error::RowNotFound.into())
}

async fn has_schema(connection: &mut PgConnection, place: &Place) -> Result<bool, sqlx::Error> {
    let sql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    let asking = sqlx::query_scalar(sql).persistent(false).bind(&place.name);
    asking.fetch_one(connection).await
}

/// The format and the id of the tables that are there.
async fn stored(
    connection: &mut PgConnection,
    place: &Place,
) -> Result<Option<(i32, Uuid)>, sqlx::Error> {
    // By the catalogue's rows: what a session remembers of names may be older than the lock.
    let sql = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'factum_store')";
    let there = sqlx::query_scalar(sql).persistent(false).bind(&place.name);
    if !there.fetch_one(&mut *connection).await? {
        return Ok(None);
    }
    let sql = AssertSqlSafe(format!("SELECT format, id FROM {}.factum_store", place.schema));
    let row = sqlx::query(sql).persistent(false).fetch_one(connection).await?;
    Ok(Some((row.try_get(0)?, row.try_get(1)?)))
}
