//! The rows that an append is.

use super::known::Ids;
use factum_core::{ContentType, EventData, Timestamp, Tracking, judge::Planned};
use sqlx::{AssertSqlSafe, SqliteConnection};
use std::iter;

/// Rows in one statement, at most. Fewer are written by statements of 32, 16, …, so that few
/// statements are prepared.
const ROWS_MAX: usize = 64;

/// Writes events, the first of them at a position, and the postings by which they are found.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    (events, ids): (&[Planned], &[Ids]),
    (first, recorded_at): (u64, Timestamp),
) -> Result<(), sqlx::Error> {
    let (mut events, mut ids, mut position) = (events, ids, first.cast_signed());
    while !events.is_empty() {
        let count = ROWS_MAX.min(1 << events.len().ilog2());
        let (now, later) = events.split_at(count);
        let (ids_now, ids_later) = ids.split_at(count);
        let mut query = sqlx::query(AssertSqlSafe(insert_of(count)));
        for ((planned, ids), position) in now.iter().zip(ids_now).zip(position..) {
            let event = &planned.event;
            query = query
                .bind(position)
                .bind(ids.stream)
                .bind(planned.revision.0.cast_signed())
                .bind(&event.id.as_bytes()[..])
                .bind(ids.event_type)
                .bind(i64::from(event.content_type == ContentType::Binary))
                .bind(recorded_at.0)
                .bind(event.occurred_at.map(|at| at.0))
                .bind(tags_of(event))
                .bind(&event.data[..])
                .bind(&event.metadata[..]);
        }
        query.bind(postings_of(ids_now, position)).execute(&mut *connection).await?;
        position += count.cast_signed() as i64;
        (events, ids) = (later, ids_later);
    }
    Ok(())
}

/// So many events, and their postings: two statements that are sent as one.
fn insert_of(count: usize) -> String {
    let rows: Vec<&str> = iter::repeat_n("(?,?,?,?,?,?,?,?,?,?,?)", count).collect();
    format!(
        "INSERT INTO factum_events VALUES {}; INSERT INTO factum_postings (term, position)
        SELECT t.value, e.value ->> 0 FROM json_each(?) e CROSS JOIN json_each(e.value) t
        WHERE t.key > 0",
        rows.join(",")
    )
}

/// A list in JSON: of each event its position, then its terms.
fn postings_of(ids: &[Ids], first: i64) -> String {
    let of_event = |(ids, position): (&Ids, i64)| {
        let terms: Vec<String> = ids.terms.iter().map(i64::to_string).collect();
        format!("[{position},{}]", terms.join(","))
    };
    let all: Vec<String> = ids.iter().zip(first..).map(of_event).collect();
    format!("[{}]", all.join(","))
}

/// An event's tags as they were given: a list in JSON, or nothing.
fn tags_of(event: &EventData) -> Option<String> {
    let tags = event.tags.iter().map(factum_core::Tag::as_str);
    (!event.tags.is_empty()).then(|| nojson::array(|f| f.elements(tags.clone())).to_string())
}

/// Moves a tracked position.
pub(super) async fn track(
    connection: &mut SqliteConnection,
    tracking: &Tracking,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO factum_tracked VALUES (?1, ?2)
        ON CONFLICT (source) DO UPDATE SET position = ?2";
    let moved = sqlx::query(sql).bind(&*tracking.source).bind(tracking.position.cast_signed());
    moved.execute(connection).await?;
    Ok(())
}

/// Moves what the store says of itself: its head, and when that was recorded.
pub(super) async fn reach(
    connection: &mut SqliteConnection,
    (head, recorded_at): (u64, Timestamp),
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE factum_store SET head = ?, recorded_at = ?";
    let moved = sqlx::query(sql).bind(head.cast_signed()).bind(recorded_at.0);
    moved.execute(connection).await?;
    Ok(())
}
