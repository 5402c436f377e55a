//! The head of a stream: what its last event and its metadata say.

use factum_core::{Revision, StreamMetadata, StreamName, Uuid, judge::StreamHead};
use sqlx::{Row, SqliteConnection};
use std::sync::Arc;

/// The stream's number, whether its last event is a tombstone, its metadata's last event, and where
/// it has an event with an id, the last of these.
const HEAD: &str = "
SELECT s.id, e.revision,
    e.type = (SELECT id FROM factum_terms WHERE kind = 1 AND name = '$streamDeleted'),
    (SELECT data FROM factum_events
        WHERE stream = (SELECT id FROM factum_streams WHERE name = ?2)
        ORDER BY revision DESC LIMIT 1),
    (SELECT max(position) FROM factum_events WHERE stream = s.id AND id = ?3)
FROM (SELECT 1)
    LEFT JOIN factum_streams s ON s.name = ?1
    LEFT JOIN factum_events e ON e.stream = s.id
        AND e.revision = (SELECT max(revision) FROM factum_events WHERE stream = s.id)";

/// What is looked up of a stream at once.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    pub(crate) head: StreamHead,
    /// Its number, if it has one.
    pub(crate) number: Option<i64>,
    /// The position of its last event with the id that was asked for.
    pub(crate) with_id: Option<i64>,
}

/// A stream's head, and whether it has an event with an id.
pub(crate) async fn look(
    connection: &mut SqliteConnection,
    stream: &StreamName,
    id: Option<Uuid>,
) -> Result<Looked, sqlx::Error> {
    let id = id.map(|id| id.as_bytes().to_vec());
    let metadata_stream = stream.metadata_stream();
    let of = sqlx::query(HEAD).bind(stream.as_str()).bind(metadata_stream.as_str()).bind(id);
    let row = of.fetch_one(connection).await?;
    let last: Option<i64> = row.try_get(1)?;
    let set: Option<&[u8]> = row.try_get(3)?;
    let metadata = set.and_then(|json| StreamMetadata::from_json(json).ok());
    let head = StreamHead {
        last: last.map(|last| Revision(last.cast_unsigned())),
        tombstoned: row.try_get::<Option<bool>, _>(2)?.unwrap_or(false),
        metadata: Arc::new(metadata.unwrap_or_else(|| StreamMetadata::initial(stream))),
    };
    Ok(Looked { head, number: row.try_get(0)?, with_id: row.try_get(4)? })
}

/// A stream's head, and its number if it has one.
pub(crate) async fn stream_head(
    connection: &mut SqliteConnection,
    stream: &StreamName,
) -> Result<(StreamHead, Option<i64>), sqlx::Error> {
    let Looked { head, number, .. } = look(connection, stream, None).await?;
    Ok((head, number))
}

/// The position of the last event.
pub(crate) async fn head(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let head: i64 =
        sqlx::query_scalar("SELECT head FROM factum_store").fetch_one(connection).await?;
    Ok(head.cast_unsigned())
}

/// The tracked position of a source.
pub(crate) async fn tracked(
    connection: &mut SqliteConnection,
    source: &str,
) -> Result<Option<u64>, sqlx::Error> {
    let sql = "SELECT position FROM factum_tracked WHERE source = ?";
    let found = sqlx::query_scalar::<_, i64>(sql).bind(source).fetch_optional(connection).await?;
    // All 64 bits of the caller's number are kept; those past 2^63 look negative in the table.
    Ok(found.map(i64::cast_unsigned))
}
