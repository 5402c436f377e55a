//! The tables of a store, all of whose names begin with `factum_`: they may lie in a file that has
//! tables of the application's too.
//!
//! | table | a row is |
//! |---|---|
//! | `factum_store` | the store: its format, its id, the last position ever given, the last time |
//! | `factum_events` | an event, by position |
//! | `factum_streams` | the name of a stream |
//! | `factum_terms` | the name of an event type, a category or a tag |
//! | `factum_postings` | a term, and the position of an event that has it: what queries go by |
//! | `factum_tracked` | a source, and its tracked position |
//!
//! The view `factum_log` shows events with their names, for people. Positions are counted in
//! `factum_store` and not by SQLite, which gives a row number again once its row is gone.

use crate::OpenError;
use factum_core::Uuid;
use sqlx::{Connection, Row, SqliteConnection};

/// The format that this release writes, and the only one that it reads.
pub(crate) const FORMAT: i64 = 1;

/// The kinds of terms, as they are stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    Type = 1,
    Category = 2,
    Tag = 3,
}

impl Kind {
    pub(crate) fn number(self) -> i64 {
        self as i64
    }
}

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS factum_store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    id BLOB NOT NULL,
    head INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS factum_streams (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    category INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS factum_terms (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;
CREATE TABLE IF NOT EXISTS factum_events (
    position INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    id BLOB NOT NULL,
    type INTEGER NOT NULL,
    content_type INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    occurred_at INTEGER,
    tags TEXT,
    data BLOB NOT NULL,
    metadata BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS factum_events_by_revision ON factum_events (stream, revision);
CREATE INDEX IF NOT EXISTS factum_events_by_id ON factum_events (stream, id);
CREATE TABLE IF NOT EXISTS factum_postings (
    term INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (term, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS factum_tracked (
    source TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS factum_log AS
    SELECT e.position, s.name AS stream, e.revision, lower(hex(e.id)) AS id, t.name AS type,
        strftime('%Y-%m-%dT%H:%M:%fZ', e.recorded_at / 1e9, 'unixepoch') AS recorded_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_at / 1e9, 'unixepoch') AS occurred_at,
        e.tags, iif(e.content_type = 0, CAST(e.data AS TEXT), e.data) AS data,
        CAST(e.metadata AS TEXT) AS metadata
    FROM factum_events e
        JOIN factum_streams s ON s.id = e.stream
        JOIN factum_terms t ON t.id = e.type;
";

/// Makes the tables where they are missing, and refuses those of another format.
pub(crate) async fn prepare(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let has = "SELECT count(*) FROM sqlite_schema WHERE name = 'factum_store'";
    if sqlx::query_scalar::<_, i64>(has).fetch_one(&mut *connection).await? == 0 {
        create(connection).await?;
    }
    let row = sqlx::query("SELECT format FROM factum_store").fetch_one(&mut *connection).await?;
    match row.try_get(0)? {
        FORMAT => Ok(()),
        found => Err(OpenError::OtherFormat { found, known: FORMAT }),
    }
}

async fn create(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let mut all = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(TABLES).execute(&mut *all).await?;
    // Somebody else may have made them meanwhile: the first one stays.
    let row = "INSERT OR IGNORE INTO factum_store VALUES (1, ?, ?, 0, ?)";
    let id = crate::store::random_id();
    sqlx::query(row)
        .bind(FORMAT)
        .bind(&id.as_bytes()[..])
        .bind(i64::MIN)
        .execute(&mut *all)
        .await?;
    all.commit().await?;
    Ok(())
}

/// The id that the store was given when it was made.
pub(crate) async fn store_id(connection: &mut SqliteConnection) -> Result<Uuid, OpenError> {
    let row = sqlx::query("SELECT id FROM factum_store").fetch_one(connection).await?;
    let id: Vec<u8> = row.try_get(0)?;
    Uuid::from_slice(&id).map_err(|_| OpenError::Damaged { what: "the store's id".into() })
}
