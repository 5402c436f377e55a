//! Rows of events, made into a page: as many as a batch holds in bytes, and at least one.

use crate::select::Selecting;
use factum_core::{
    ContentType, EventType, Position, RecordedEvent, Revision, StreamName, Tag, Timestamp, Uuid,
    cursor::Found,
    page::{Entry, PAGE_BYTES_MAX, PageBuilder},
};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row, postgres::PgRow};

/// The columns, by their places.
const POSITION: usize = 0;
const STREAM: usize = 1;
const REVISION: usize = 2;
const ID: usize = 3;
const TYPE: usize = 4;
const CONTENT_TYPE: usize = 5;
const RECORDED_AT: usize = 6;
const OCCURRED_AT: usize = 7;
const TAGS: usize = 8;
const DATA: usize = 9;
const METADATA: usize = 10;
/// Bytes of payload of this row and all before it.
const BYTES: usize = 11;
/// Whether a row follows.
const IS_FOLLOWED: usize = 12;

/// What comes before the rows that are wanted. Of large values the server only looks up how long
/// they are, so that of what is left out nothing is copied.
pub(super) const BEFORE: &str = "
SELECT position, stream, revision, id, type, content_type, recorded_at, occurred_at, tags, data,
    metadata, bytes, is_followed
FROM (SELECT r.*, row_number() OVER w AS nth, lead(true) OVER w IS NOT NULL AS is_followed,
        (sum(octet_length(r.data) + octet_length(r.metadata)) OVER w)::bigint AS bytes
    FROM (";

/// A statement in the making that reads a page.
pub(super) struct Page<'a> {
    pub(super) selecting: Selecting<'a>,
    pub(super) builder: QueryBuilder<Postgres>,
    pub(super) is_named: bool,
}

impl Page<'_> {
    /// Reads what was selected, in the order of a column.
    pub(super) async fn read(
        mut self,
        connection: &mut PgConnection,
        column: &str,
    ) -> Result<Found, sqlx::Error> {
        let Selecting { span, limit, .. } = self.selecting;
        let direction = if span.backward { "DESC" } else { "ASC" };
        self.builder.push(format!(
            ") r WINDOW w AS (ORDER BY r.{column} {direction} ROWS UNBOUNDED PRECEDING)) s
            WHERE s.nth = 1 OR s.bytes <= {PAGE_BYTES_MAX} ORDER BY s.nth"
        ));
        let query = self.builder.build().persistent(self.is_named);
        let rows = query.fetch_all(connection).await?;
        let Some(last) = rows.last() else { return Ok(Found::default()) };
        let is_cut: bool = last.try_get_unchecked(IS_FOLLOWED)?;
        let bytes = number(last, BYTES)?;
        let place = number(last, if column == "revision" { REVISION } else { POSITION })?;
        let rest = if is_cut || rows.len() >= limit { span.past(place) } else { None };
        Ok(Found { events: events(&rows)?, rest, is_cut, bytes })
    }
}

pub(super) fn number(row: &PgRow, column: usize) -> Result<u64, sqlx::Error> {
    row.try_get_unchecked::<i64, _>(column).map(i64::cast_unsigned)
}

/// The latest names: rows of one page mostly have the same ones.
#[derive(Default)]
struct Names {
    stream: Option<StreamName>,
    event_type: Option<EventType>,
}

fn events(rows: &[PgRow]) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    let mut page = PageBuilder::default();
    let mut names = Names::default();
    for row in rows {
        push(&mut page, row, &mut names)?;
    }
    Ok(page.build())
}

fn push(page: &mut PageBuilder, row: &PgRow, names: &mut Names) -> Result<(), sqlx::Error> {
    let bytes = |column: usize| row.try_get_unchecked::<&[u8], _>(column);
    let text = |column: usize| row.try_get_unchecked::<&str, _>(column);
    let (data, metadata) = (page.copy(bytes(DATA)?), page.copy(bytes(METADATA)?));
    let (stream, event_type) = (text(STREAM)?, text(TYPE)?);
    let stream = match names.stream.take().filter(|known| known.as_str() == stream) {
        Some(known) => known,
        None => StreamName::trusted(stream.into()),
    };
    let event_type = match names.event_type.take().filter(|known| known.as_str() == event_type) {
        Some(known) => known,
        None => EventType::trusted(event_type.into()),
    };
    let tags = row.try_get_unchecked::<Option<Vec<String>>, _>(TAGS)?.unwrap_or_default();
    let tags: Vec<Tag> = tags.into_iter().map(|tag| Tag::trusted(tag.into())).collect();
    page.push(Entry {
        stream: &stream,
        revision: Revision(number(row, REVISION)?),
        position: Position(number(row, POSITION)?),
        recorded_at: Timestamp(row.try_get_unchecked(RECORDED_AT)?),
        id: row.try_get_unchecked::<Uuid, _>(ID)?,
        event_type: &event_type,
        tags: &tags,
        content_type: match row.try_get_unchecked::<i16, _>(CONTENT_TYPE)? {
            0 => ContentType::Json,
            _ => ContentType::Binary,
        },
        occurred_at: row.try_get_unchecked::<Option<i64>, _>(OCCURRED_AT)?.map(Timestamp),
        data,
        metadata,
    });
    *names = Names { stream: Some(stream), event_type: Some(event_type) };
    Ok(())
}
