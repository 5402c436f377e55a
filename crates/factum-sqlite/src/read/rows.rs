//! Rows of events, made into a page: as many as a batch holds in bytes, and at least one.

use crate::{names::NamesOfBatch, select::sql_number, shared::Shared};
use factum_core::{
    ContentType, Position, RecordedEvent, Revision, Tag, Timestamp, Uuid,
    cursor::{Found, Span},
    page::{Entry, PAGE_BYTES_MAX, PageBuilder},
};
use sqlx::{
    AssertSqlSafe, Row, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};
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
    /// They had more bytes than a batch holds.
    is_cut: bool,
    /// The bytes of all that was wanted.
    bytes: u64,
}

/// How many there are of what is wanted, as far as the limit goes, and how large they are.
struct Size {
    count: usize,
    bytes: u64,
}

impl Rows {
    pub(super) async fn read(
        connection: &mut SqliteConnection,
        shared: &Shared,
        wanted: &Wanted,
    ) -> Result<Self, sqlx::Error> {
        let size = wanted.size(&mut *connection).await?;
        let fits = size.bytes <= PAGE_BYTES_MAX as u64 || size.count <= 1;
        let rows = match size.count {
            0 => Vec::new(),
            _ => wanted.fetch(&mut *connection, fits).await?,
        };
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
        let is_all =
            rows.len() == size.count && wanted.limit().is_none_or(|most| size.count < most);
        Ok(Self { events, last, is_all, is_cut: !fits, bytes: size.bytes })
    }

    /// What a cursor is told: it goes on with this.
    pub(super) fn found(self, rest: Option<Span>) -> Found {
        let Self { events, is_cut, bytes, .. } = self;
        Found { events, rest, is_cut, bytes }
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
const COLUMNS: &str = "e.position, e.stream, e.revision, e.id, e.type, e.content_type, \
    e.recorded_at, e.occurred_at, e.tags, e.data, e.metadata";

impl Wanted {
    fn backward(&self) -> bool {
        match self {
            Self::All { span, .. } | Self::Positions { span, .. } | Self::Stream { span, .. } => {
                span.backward
            }
        }
    }

    fn limit(&self) -> Option<usize> {
        match self {
            Self::All { limit, .. } | Self::Stream { limit, .. } => Some(*limit),
            Self::Positions { .. } => None,
        }
    }

    /// The rows wanted, as SQL.
    fn rows(&self, columns: &str) -> String {
        let direction = if self.backward() { "DESC" } else { "ASC" };
        match self {
            Self::All { .. } => format!(
                "SELECT {columns} FROM factum_events e WHERE e.position BETWEEN ?2 AND ?3 \
                 ORDER BY e.position {direction} LIMIT ?4"
            ),
            Self::Positions { .. } => format!(
                "SELECT {columns} FROM json_each(?2) h \
                 CROSS JOIN factum_events e ON e.position = h.value ORDER BY h.key"
            ),
            Self::Stream { .. } => format!(
                "SELECT {columns} FROM factum_events e WHERE e.stream = ?5 \
                 AND e.revision BETWEEN ?2 AND ?3 AND +e.position <= ?6 \
                 ORDER BY e.revision {direction} LIMIT ?4"
            ),
        }
    }

    /// How much there is. Of large values only their lengths are read.
    async fn size(&self, connection: &mut SqliteConnection) -> Result<Size, sqlx::Error> {
        let rows = self.rows("length(e.data) + length(e.metadata) AS bytes");
        let sql = format!("SELECT count(*), coalesce(sum(bytes), 0) FROM ({rows})");
        let row = self.bound(&sql).fetch_one(connection).await?;
        let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
        let count = usize::try_from(number(0)?).unwrap_or(usize::MAX);
        Ok(Size { count, bytes: number(1)? })
    }

    /// The rows. Where they have more bytes than a batch holds, SQLite cuts them, so that of what
    /// is left out nothing is copied; that costs three times as much, so it is not asked of it
    /// otherwise.
    async fn fetch(
        &self,
        connection: &mut SqliteConnection,
        fits: bool,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        if fits {
            return self.bound(&self.rows(COLUMNS)).fetch_all(connection).await;
        }
        let direction = if self.backward() { "DESC" } else { "ASC" };
        let rows =
            self.rows("e.position AS position, length(e.data) + length(e.metadata) AS bytes");
        let sql = format!(
            "WITH wanted AS ({rows}),
            sized AS (
                SELECT position, row_number() OVER w AS nth, sum(bytes) OVER w AS bytes
                FROM wanted WINDOW w AS (ORDER BY position {direction})
            )
            SELECT {COLUMNS} FROM sized s CROSS JOIN factum_events e ON e.position = s.position
            WHERE s.nth = 1 OR s.bytes <= ?1
            ORDER BY s.nth"
        );
        self.bound(&sql).fetch_all(connection).await
    }

    fn bound(&self, sql: &str) -> Query<'_, Sqlite, SqliteArguments> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(PAGE_BYTES_MAX as i64);
        match self {
            Self::All { span, limit } => query
                .bind(sql_number(span.first))
                .bind(sql_number(span.last))
                .bind(sql_number(*limit as u64)),
            Self::Positions { positions, .. } => {
                query.bind(nojson::array(|f| f.elements(positions)).to_string())
            }
            Self::Stream { id, span, limit, until } => query
                .bind(sql_number(span.first))
                .bind(sql_number(span.last))
                .bind(sql_number(*limit as u64))
                .bind(*id)
                .bind(sql_number(*until)),
        }
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
