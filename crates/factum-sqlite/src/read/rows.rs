//! Rows of events, made into a page: as many as a batch holds in bytes, and at least one.

use crate::{
    names::NamesOfBatch,
    select::{Span, sql_number},
    shared::Shared,
};
use factum_core::{
    ContentType, Position, RecordedEvent, Revision, Tag, Timestamp, Uuid,
    page::{Entry, PAGE_BYTES_MAX, PageBuilder},
};
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};
use std::collections::BTreeSet;

/// Which events.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Every one in a span of positions.
    All { span: Span, limit: usize },
    /// Those at these positions, which are in a span.
    Positions { positions: Vec<i64>, span: Span },
    /// Those of a stream in a span of revisions, up to a position.
    Stream { id: i64, span: Span, limit: usize, until: u64 },
}

/// What was read.
pub(super) struct Rows {
    pub(super) events: Vec<RecordedEvent>,
    /// The position of the last one.
    pub(super) last: Option<u64>,
    /// Nothing wanted was left out.
    pub(super) is_all: bool,
}

impl Rows {
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        shared: &Shared,
        wanted: &Wanted,
    ) -> Result<Self, sqlx::Error> {
        let rows = wanted.fetch(&mut *connection).await?;
        let (mut streams, mut types) = (BTreeSet::new(), BTreeSet::new());
        for row in &rows {
            streams.insert(row.try_get_unchecked(STREAM)?);
            types.insert(row.try_get_unchecked(TYPE)?);
        }
        let names = shared.names.of(connection, (streams, types)).await?;
        let mut page = PageBuilder::default();
        for row in &rows {
            push(&mut page, row, &names)?;
        }
        let events = page.build();
        let last = events.last().map(|event| event.position().0);
        let is_all = wanted.is_all(&rows)?;
        Ok(Self { events, last, is_all })
    }
}

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
/// How many rows were wanted, where that is not known otherwise.
const COUNT: usize = 11;

impl Wanted {
    fn backward(&self) -> bool {
        match self {
            Self::All { span, .. } | Self::Positions { span, .. } | Self::Stream { span, .. } => {
                span.backward
            }
        }
    }

    /// The positions wanted, as SQL; `?1` is the most bytes.
    fn hits(&self, direction: &str) -> String {
        match self {
            Self::All { .. } => format!(
                "SELECT position FROM factum_events WHERE position BETWEEN ?2 AND ?3 \
                 ORDER BY position {direction} LIMIT ?4"
            ),
            Self::Positions { .. } => "SELECT value AS position FROM json_each(?2)".to_owned(),
            Self::Stream { .. } => format!(
                "SELECT position FROM factum_events WHERE stream = ?5 \
                 AND revision BETWEEN ?2 AND ?3 AND +position <= ?6 \
                 ORDER BY revision {direction} LIMIT ?4"
            ),
        }
    }

    /// The rows, cut by SQLite where they have more bytes than a batch holds: of what is left out
    /// nothing is copied.
    async fn fetch(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let direction = if self.backward() { "DESC" } else { "ASC" };
        let sql = format!(
            "WITH hits AS ({hits}),
            sized AS (
                SELECT h.position, count(*) OVER () AS wanted, row_number() OVER w AS nth,
                    sum(length(e.data) + length(e.metadata)) OVER w AS bytes
                FROM hits h CROSS JOIN factum_events e ON e.position = h.position
                WINDOW w AS (ORDER BY h.position {direction})
            )
            SELECT e.position, e.stream, e.revision, e.id, e.type, e.content_type, e.recorded_at,
                e.occurred_at, e.tags, e.data, e.metadata, s.wanted
            FROM sized s CROSS JOIN factum_events e ON e.position = s.position
            WHERE s.nth = 1 OR s.bytes <= ?1
            ORDER BY s.nth",
            hits = self.hits(direction)
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(sql_number(PAGE_BYTES_MAX as u64));
        let span = |span: &Span| (sql_number(span.first), sql_number(span.last));
        let query = match self {
            Self::All { span: of, limit } => {
                query.bind(span(of).0).bind(span(of).1).bind(sql_number(*limit as u64))
            }
            Self::Positions { positions, .. } => {
                query.bind(nojson::array(|f| f.elements(positions)).to_string())
            }
            Self::Stream { id, span: of, limit, until } => query
                .bind(span(of).0)
                .bind(span(of).1)
                .bind(sql_number(*limit as u64))
                .bind(*id)
                .bind(sql_number(*until)),
        };
        query.fetch_all(connection).await
    }

    /// Whether the rows are all that there is in what was asked for.
    fn is_all(&self, rows: &[SqliteRow]) -> Result<bool, sqlx::Error> {
        let wanted: i64 = match rows.first() {
            Some(row) => row.try_get_unchecked(COUNT)?,
            None => 0,
        };
        let has_limit = match self {
            Self::All { limit, .. } | Self::Stream { limit, .. } => rows.len() >= *limit,
            Self::Positions { .. } => false,
        };
        Ok(rows.len() as u64 == wanted.cast_unsigned() && !has_limit)
    }
}

fn push(page: &mut PageBuilder, row: &SqliteRow, names: &NamesOfBatch) -> Result<(), sqlx::Error> {
    let number = |column: usize| row.try_get_unchecked::<i64, _>(column);
    let bytes = |column: usize| row.try_get_unchecked::<&[u8], _>(column);
    let (data, metadata) = (page.copy(bytes(DATA)?), page.copy(bytes(METADATA)?));
    let stream = names.streams.get(&number(STREAM)?);
    let event_type = names.types.get(&number(TYPE)?);
    let tags = tags(row.try_get_unchecked(TAGS)?)?;
    page.push(Entry {
        stream: stream.ok_or_else(|| damaged("an event of a stream without a name"))?,
        revision: Revision(number(REVISION)?.cast_unsigned()),
        position: Position(number(POSITION)?.cast_unsigned()),
        recorded_at: Timestamp(number(RECORDED_AT)?),
        id: Uuid::from_slice(bytes(ID)?).map_err(|_| damaged("an id that has not 16 bytes"))?,
        event_type: event_type.ok_or_else(|| damaged("an event of a type without a name"))?,
        tags: &tags,
        content_type: match number(CONTENT_TYPE)? {
            0 => ContentType::Json,
            _ => ContentType::Binary,
        },
        occurred_at: row.try_get_unchecked::<Option<i64>, _>(OCCURRED_AT)?.map(Timestamp),
        data,
        metadata,
    });
    Ok(())
}

/// Reads the list of an event's tags: JSON, as they were given.
fn tags(json: Option<&str>) -> Result<Vec<Tag>, sqlx::Error> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let broken = |_| damaged("tags that are no list of texts");
    let list = nojson::RawJson::parse(json).map_err(broken)?;
    let elements = list.value().to_array().map_err(broken)?;
    let tag = |value: nojson::RawJsonValue<'_, '_>| {
        let text = value.to_unquoted_string_str().map_err(broken)?;
        Ok(Tag::trusted(text.into()))
    };
    elements.map(tag).collect()
}

fn damaged(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the table of events holds {what}").into())
}
