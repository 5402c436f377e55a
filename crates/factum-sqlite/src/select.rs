//! Which events a query selects: each item of it as one statement over the postings.
//!
//! An item goes by the postings of one of its lists (a tag, its types, its categories): the one
//! with the fewest, and looks the rest up event by event. A prefix of streams goes by the
//! categories that it allows. SQLite would sort all that it finds, so that it is asked for one
//! window of positions after the other: each larger than the one before where little is found.

use crate::{range::Prefixes, schema::Kind};
use factum_core::{EventType, Item, Position, Query, Tag, cursor::Span};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, query::QueryScalar, sqlite::SqliteArguments};

/// Positions in the first window.
const WINDOW_MIN: u64 = 4096;
/// How many times larger each window is than the one before.
const WINDOW_GROWTH: u64 = 8;
/// Postings that are counted to choose which ones to go by.
const COUNTED_MAX: i64 = 1024;
/// Tags of an item that it may go by.
const TAGS_TO_GO_BY_MAX: usize = 8;

/// A query in SQL.
#[derive(Debug)]
pub(crate) struct Selection {
    items: Vec<Statement>,
    window: u64,
}

/// An item in SQL.
#[derive(Debug, Default)]
struct Statement {
    /// What it can go by; at least one.
    lists: Vec<List>,
    /// What else must hold.
    others: Vec<String>,
    /// Which list it goes by, once that is chosen.
    by: Option<usize>,
    /// JSON of names: the parameters from `?4` on. `?1` and `?2` are the window, `?3` the limit.
    names: Vec<String>,
}

/// A list of an item.
#[derive(Debug)]
struct List {
    /// The terms to go by.
    terms: String,
    /// What must hold where it goes by another list.
    condition: String,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Hits {
    /// In the direction asked for.
    pub(crate) positions: Vec<i64>,
    /// Where to go on; `None` where nothing is left in the span.
    pub(crate) rest: Option<Span>,
}

impl Selection {
    /// `None` for a query that selects everything.
    pub(crate) fn of(query: &Query) -> Option<Self> {
        let Query::AnyOf(items) = query else { return None };
        let items = items.iter().filter_map(Statement::of).collect();
        Some(Self { items, window: WINDOW_MIN })
    }

    /// The next positions in a span: at least one, unless there is none.
    pub(crate) async fn next(
        &mut self,
        connection: &mut SqliteConnection,
        mut span: Span,
        limit: usize,
    ) -> Result<Hits, sqlx::Error> {
        if span.last.saturating_sub(span.first) > WINDOW_MIN {
            for item in &mut self.items {
                item.choose(&mut *connection, span).await?;
            }
        }
        while span.first <= span.last {
            let (window, rest) = span.cut(self.window);
            let positions = self.in_window(connection, window, limit).await?;
            if positions.len() < limit.div_ceil(4) {
                self.window = self.window.saturating_mul(WINDOW_GROWTH);
            }
            if positions.len() >= limit
                && let Some(last) = positions.last()
            {
                self.window = (self.window / 2).max(WINDOW_MIN);
                let rest = span.past(last.cast_unsigned());
                return Ok(Hits { positions, rest });
            }
            if !positions.is_empty() {
                return Ok(Hits { positions, rest });
            }
            let Some(more) = rest else { break };
            span = more;
        }
        Ok(Hits { positions: Vec::new(), rest: None })
    }

    /// The first ones in a window, of all items.
    async fn in_window(
        &self,
        connection: &mut SqliteConnection,
        window: Span,
        limit: usize,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut all = Vec::new();
        for item in &self.items {
            all.extend(item.run(connection, window, limit).await?);
        }
        if self.items.len() > 1 {
            all.sort_unstable();
            all.dedup();
            if window.backward {
                all.reverse();
            }
            all.truncate(limit);
        }
        Ok(all)
    }
}

/// The first event that a query selects after a position, up to the head.
pub(crate) async fn first_match(
    connection: &mut SqliteConnection,
    query: &Query,
    (after, head): (Position, Position),
) -> Result<Option<Position>, sqlx::Error> {
    let span = Span { first: after.0.saturating_add(1), last: head.0, backward: false };
    if span.first > span.last {
        return Ok(None);
    }
    let found = match Selection::of(query) {
        Some(mut selection) => {
            selection.next(connection, span, 1).await?.positions.first().copied()
        }
        None => {
            let sql = "SELECT min(position) FROM factum_events WHERE position >= ?";
            sqlx::query_scalar(sql).bind(sql_number(span.first)).fetch_one(connection).await?
        }
    };
    Ok(found.map(|position| Position(position.cast_unsigned())))
}

/// A number as SQLite has it: what is past the largest one is no event's.
pub(crate) fn sql_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Statement {
    /// `None` where no event can match.
    fn of(item: &Item) -> Option<Self> {
        let mut tags: Vec<&str> = item.tags.iter().map(Tag::as_str).collect();
        tags.sort_unstable();
        tags.dedup();
        let types: Vec<&str> = item.types.iter().map(EventType::as_str).collect();
        let categories = storable(&item.categories)?;
        let type_prefixes = Prefixes::of(&storable(&item.type_prefixes)?);
        let streams = storable(&item.stream_prefixes)?;
        let mut statement = Self::default();
        let (first, others) = tags.split_at(tags.len().min(TAGS_TO_GO_BY_MAX));
        for tag in first {
            let terms = statement.terms(Kind::Tag, &[tag]);
            statement.go_by(
                terms,
                "EXISTS (SELECT 1 FROM factum_postings o \
                WHERE o.position = p.position AND o.term IN",
                ")",
            );
        }
        if !others.is_empty() {
            statement.has_all(others);
        }
        if !types.is_empty() {
            let terms = statement.terms(Kind::Type, &types);
            statement.go_by(terms, "e.type IN", "");
        }
        if !type_prefixes.is_empty() {
            let terms = statement.terms_within(Kind::Type, &type_prefixes);
            statement.go_by(terms, "e.type IN", "");
        }
        if !categories.is_empty() {
            let terms = statement.terms(Kind::Category, &categories);
            statement.go_by(terms, "s.category IN", "");
        }
        if !streams.is_empty() {
            let terms = statement.terms_within(Kind::Category, &Prefixes::categories_of(&streams));
            statement.go_by(terms, "s.category IN", "");
            statement.stream_within(&Prefixes::of(&streams));
        }
        Some(statement)
    }

    fn go_by(&mut self, terms: String, before: &str, after: &str) {
        let condition = format!("{before} {terms}{after}");
        self.lists.push(List { terms, condition });
    }

    /// Takes in names; the number of their parameter.
    fn names(&mut self, json: String) -> usize {
        self.names.push(json);
        self.names.len() + 3
    }

    fn terms(&mut self, kind: Kind, names: &[&str]) -> String {
        let names = self.names(nojson::array(|f| f.elements(names)).to_string());
        let kind = kind.number();
        format!(
            "(SELECT id FROM factum_terms WHERE kind = {kind} \
             AND name IN (SELECT value FROM json_each(?{names})))"
        )
    }

    fn terms_within(&mut self, kind: Kind, prefixes: &Prefixes) -> String {
        let (names, kind) = (self.names(prefixes.to_json()), kind.number());
        format!(
            "(SELECT t.id FROM json_each(?{names}) r CROSS JOIN factum_terms t ON t.kind = {kind} \
             AND t.name >= r.value ->> 0 AND t.name < coalesce(r.value ->> 1, x''))"
        )
    }

    fn has_all(&mut self, tags: &[&str]) {
        let (terms, count) = (self.terms(Kind::Tag, tags), tags.len());
        self.others.push(format!(
            "(SELECT count(*) FROM factum_postings o WHERE o.term IN {terms} \
             AND o.position = p.position) = {count}"
        ));
    }

    fn stream_within(&mut self, prefixes: &Prefixes) {
        let names = self.names(prefixes.to_json());
        self.others.push(format!(
            "EXISTS (SELECT 1 FROM json_each(?{names}) r WHERE s.name >= r.value ->> 0 \
             AND s.name < coalesce(r.value ->> 1, x''))"
        ));
    }

    /// Chooses the list with the fewest postings in a span, as far as they are counted.
    async fn choose(
        &mut self,
        connection: &mut SqliteConnection,
        span: Span,
    ) -> Result<(), sqlx::Error> {
        if self.by.is_some() || self.lists.len() < 2 {
            return Ok(());
        }
        let mut fewest = (i64::MAX, 0);
        for (place, list) in self.lists.iter().enumerate() {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM factum_postings p WHERE p.term IN {} \
                 AND p.position BETWEEN ?1 AND ?2 LIMIT ?3)",
                list.terms
            );
            let counting = self.bound(sql, (span, COUNTED_MAX)).fetch_one(&mut *connection);
            fewest = fewest.min((counting.await?, place));
        }
        self.by = Some(fewest.1);
        Ok(())
    }

    fn sql(&self, direction: &str) -> String {
        let by = self.by.unwrap_or(0);
        let list = self.lists.get(by).expect("a valid item restricts something");
        let conditions = self.lists.iter().enumerate().filter(|(place, _)| *place != by);
        let conditions = conditions.map(|(_, list)| &list.condition).chain(&self.others);
        let conditions: String = conditions.map(|one| format!(" AND {one}")).collect();
        let needs = |table: &str| conditions.contains(table);
        let streams = match needs("s.") {
            true => " CROSS JOIN factum_streams s ON s.id = e.stream",
            false => "",
        };
        let events = match needs("s.") || needs("e.") {
            true => " CROSS JOIN factum_events e ON e.position = p.position",
            false => "",
        };
        format!(
            "SELECT p.position FROM factum_postings p{events}{streams} WHERE p.term IN {} \
             AND p.position BETWEEN ?1 AND ?2{conditions} \
             ORDER BY p.position {direction} LIMIT ?3",
            list.terms
        )
    }

    /// The parameters of a statement, of which it need not use all.
    fn bound(&self, sql: String, (window, limit): (Span, i64)) -> Scalar<'_> {
        let query = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(sql_number(window.first))
            .bind(sql_number(window.last))
            .bind(limit);
        self.names.iter().fold(query, |query, names| query.bind(names.as_str()))
    }

    async fn run(
        &self,
        connection: &mut SqliteConnection,
        window: Span,
        limit: usize,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let sql = self.sql(if window.backward { "DESC" } else { "ASC" });
        let limit = sql_number(limit as u64);
        self.bound(sql, (window, limit)).fetch_all(connection).await
    }
}

type Scalar<'q> = QueryScalar<'q, Sqlite, i64, SqliteArguments>;

/// Names that could be stored: none has a NUL. `None` where names were given, and none could.
fn storable(names: &[std::sync::Arc<str>]) -> Option<Vec<&str>> {
    let could: Vec<&str> =
        names.iter().map(|name| &**name).filter(|name| !name.contains('\0')).collect();
    (could.is_empty() == names.is_empty()).then_some(could)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use sqlx::{Connection, Row};

    fn in_memory<T>(run: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
            schema::prepare(&mut connection).await.unwrap();
            run(&mut connection).await
        })
    }

    fn items() -> Vec<Item> {
        let tags =
            |count: usize| (0..count).map(|n| Tag::new(&format!("k:{n}")).unwrap()).collect();
        let types = vec![EventType::new("t").unwrap(), EventType::new("u").unwrap()];
        let names = || vec!["a".into(), "b-1".into()];
        vec![
            Item { tags: tags(1), ..Item::default() },
            Item { tags: tags(20), types: types.clone(), ..Item::default() },
            Item { types: types.clone(), ..Item::default() },
            Item { categories: names(), types, ..Item::default() },
            Item { type_prefixes: names(), ..Item::default() },
            Item { stream_prefixes: names(), ..Item::default() },
        ]
    }

    /// Whatever a query goes by, no table is read from one end to the other.
    #[test]
    fn every_query_goes_by_an_index() {
        in_memory(async |connection| {
            for item in items() {
                let statement = Statement::of(&item).unwrap();
                for by in 0..statement.lists.len() {
                    let statement = Statement { by: Some(by), ..Statement::of(&item).unwrap() };
                    let sql = format!("EXPLAIN QUERY PLAN {}", statement.sql("ASC"));
                    let plan = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await;
                    for row in plan.unwrap() {
                        let step: String = row.get(3);
                        let scans = step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE");
                        assert!(!scans, "{item:?}: {step}");
                    }
                }
            }
        });
    }

    #[test]
    fn the_rarest_list_is_gone_by() {
        in_memory(async |connection| {
            let fill = "INSERT INTO factum_terms VALUES (1, 3, 'k:0'), (2, 3, 'k:1'), (3, 1, 't');
                WITH RECURSIVE n(value) AS
                    (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 9000)
                INSERT INTO factum_postings
                    SELECT 1, value FROM n UNION ALL SELECT 3, value FROM n
                    UNION ALL SELECT 2, 5000";
            sqlx::raw_sql(fill).execute(&mut *connection).await.unwrap();
            let tags = ["k:0", "k:1"].map(|tag| Tag::new(tag).unwrap()).to_vec();
            let item = Item { tags, types: vec![EventType::new("t").unwrap()], ..Item::default() };
            let mut statement = Statement::of(&item).unwrap();
            let span = Span { first: 1, last: 9000, backward: false };
            statement.choose(connection, span).await.unwrap();
            assert_eq!(statement.by, Some(1));
        });
    }

    #[test]
    fn names_that_cannot_be_stored_match_nothing() {
        let with = |names: Vec<std::sync::Arc<str>>| {
            Statement::of(&Item { categories: names, ..Item::default() }).is_some()
        };
        assert!(with(vec!["a".into(), "a\0".into()]) && !with(vec!["a\0".into()]));
    }
}
