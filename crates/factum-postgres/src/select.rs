//! Which events a query selects, as SQL: each item goes by one of its lists, in the order of
//! positions, and no further than is asked for.
//!
//! An item with tags goes by one of them, else by its types, else by its categories, where several
//! are merged; what is left of it is asked of each event. A query that has none of these, of
//! prefixes alone, looks at one event after the other.

use crate::{
    heads::sql_number,
    terms::{categories_of, tag_of},
};
use factum_core::{Check, EventType, Item, Query, Tag, cursor::Span};
use sqlx::{Postgres, QueryBuilder};
use std::{fmt::Write, sync::Arc};

/// Names that could be stored: none has a NUL. `None` where names were given, and none could.
fn storable(names: &[Arc<str>]) -> Option<Vec<String>> {
    let could = names.iter().filter(|name| !name.contains('\0'));
    let could: Vec<String> = could.map(ToString::to_string).collect();
    (could.is_empty() == names.is_empty()).then_some(could)
}

/// What an item asks for, of names that could be stored.
struct Asked {
    tags: Vec<String>,
    types: Vec<String>,
    categories: Vec<String>,
    streams: Vec<String>,
    prefixes: Vec<String>,
}

impl Asked {
    /// `None` where no event can match. The tag to go by is the first.
    fn of(item: &Item) -> Option<Self> {
        let streams = storable(&item.stream_prefixes)?;
        let prefixes = storable(&item.type_prefixes)?;
        storable(&item.categories)?;
        let mut tags: Vec<String> = item.tags.iter().map(Tag::to_string).collect();
        tags.sort_unstable();
        tags.dedup();
        if let Some(first) = tag_of(item)
            && let Some(at) = tags.iter().position(|tag| tag == first.as_str())
        {
            tags.swap(0, at);
        }
        let categories = categories_of(item).unwrap_or_default();
        let categories = categories.into_iter().filter(|name| !name.contains('\0'));
        let mut categories: Vec<String> = categories.map(ToOwned::to_owned).collect();
        categories.sort_unstable();
        categories.dedup();
        let mut types: Vec<String> = item.types.iter().map(EventType::to_string).collect();
        types.sort_unstable();
        types.dedup();
        Some(Self { tags, types, categories, streams, prefixes })
    }
}

/// The query checks of an append as JSON, in their order; `None` where there are none.
pub(crate) fn items_of_checks(checks: &[Check]) -> Option<String> {
    let mut json = String::new();
    for (index, check) in checks.iter().enumerate() {
        let Check::NoMatch { query, after } = check else { continue };
        let after = sql_number(after.0);
        let mut push = |lists: String| {
            json.push(if json.is_empty() { '[' } else { ',' });
            write!(json, "{{\"check\":{index},\"after\":{after}{lists}}}").expect("text takes all");
        };
        match query {
            Query::All => push(String::new()),
            Query::AnyOf(items) => items.iter().filter_map(Asked::of).for_each(|asked| {
                push(lists_of(&asked));
            }),
        }
    }
    (!json.is_empty()).then(|| json + "]")
}

fn lists_of(asked: &Asked) -> String {
    let lists = [
        ("types", &asked.types),
        ("tags", &asked.tags),
        ("categories", &asked.categories),
        ("streams", &asked.streams),
        ("prefixes", &asked.prefixes),
    ];
    let mut json = String::new();
    for (name, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        let list = nojson::array(|f| f.elements(names));
        write!(json, ",\"{name}\":{list}").expect("text takes all");
    }
    json
}

/// Which rows of events, in SQL.
pub(crate) struct Selecting<'a> {
    pub(crate) schema: &'a str,
    pub(crate) span: Span,
    /// So many, at most.
    pub(crate) limit: usize,
}

type Builder = QueryBuilder<Postgres>;

impl Selecting<'_> {
    fn direction(&self) -> &'static str {
        if self.span.backward { "DESC" } else { "ASC" }
    }

    /// `e.position` within the span.
    fn within(&self, builder: &mut Builder, column: &str) {
        builder.push(format!("{column} BETWEEN "));
        builder.push_bind(sql_number(self.span.first));
        builder.push(" AND ").push_bind(sql_number(self.span.last));
    }

    fn in_order(&self, builder: &mut Builder, column: &str) {
        builder.push(format!(" ORDER BY {column} {} LIMIT ", self.direction()));
        builder.push_bind(sql_number(self.limit as u64));
    }

    /// The events of a stream, up to a position.
    pub(crate) fn stream(&self, builder: &mut Builder, stream: &str, until: u64) {
        builder.push(format!("SELECT e.* FROM {}.factum_events e WHERE e.stream = ", self.schema));
        builder.push_bind(stream.to_owned()).push(" AND e.position <= ");
        builder.push_bind(sql_number(until)).push(" AND ");
        self.within(builder, "e.revision");
        self.in_order(builder, "e.revision");
    }

    /// The events that a query selects; false where there can be none.
    pub(crate) fn query(&self, builder: &mut Builder, query: &Query) -> bool {
        let events = format!("SELECT e.* FROM {}.factum_events e", self.schema);
        let Query::AnyOf(items) = query else {
            builder.push(events).push(" WHERE ");
            self.within(builder, "e.position");
            self.in_order(builder, "e.position");
            return true;
        };
        let asked: Vec<Asked> = items.iter().filter_map(Asked::of).collect();
        builder.push(events).push(" JOIN (SELECT DISTINCT u.position FROM (");
        for (nth, item) in asked.iter().enumerate() {
            builder.push(if nth == 0 { "(" } else { " UNION ALL (" });
            self.item(builder, item);
            builder.push(")");
        }
        builder.push(") u");
        self.in_order(builder, "u.position");
        builder.push(") p ON p.position = e.position");
        !asked.is_empty()
    }

    /// The positions of an item.
    fn item(&self, builder: &mut Builder, item: &Asked) {
        let schema = self.schema;
        if let Some(tag) = item.tags.first() {
            builder.push(format!(
                "SELECT g.position FROM {schema}.factum_tags g JOIN {schema}.factum_events e \
                 ON e.position = g.position WHERE g.tag = "
            ));
            builder.push_bind(tag.clone()).push(" AND ");
            self.within(builder, "g.position");
            conditions(builder, item);
            self.in_order(builder, "g.position");
            return;
        }
        let by = match (item.types.is_empty(), item.categories.is_empty()) {
            (false, _) => Some((&item.types, "e.type")),
            (true, false) => Some((&item.categories, "split_part(e.stream, '-', 1)")),
            (true, true) => None,
        };
        if let Some((names, _)) = by {
            builder.push("SELECT f.position FROM unnest(").push_bind(names.clone());
            builder.push(") AS n(name) CROSS JOIN LATERAL (");
        }
        builder.push(format!("SELECT e.position FROM {schema}.factum_events e WHERE "));
        self.within(builder, "e.position");
        if let Some((_, column)) = by {
            builder.push(format!(" AND {column} = n.name"));
        }
        conditions(builder, item);
        self.in_order(builder, "e.position");
        if by.is_some() {
            builder.push(") f");
        }
    }
}

/// What is asked of each event.
fn conditions(builder: &mut Builder, item: &Asked) {
    let lists = [
        (&item.tags, " AND e.tags @> ", ""),
        (&item.types, " AND e.type = ANY (", ")"),
        (&item.categories, " AND split_part(e.stream, '-', 1) = ANY (", ")"),
        (
            &item.streams,
            " AND EXISTS (SELECT FROM unnest(",
            ") AS x(prefix) WHERE starts_with(e.stream, x.prefix))",
        ),
        (
            &item.prefixes,
            " AND EXISTS (SELECT FROM unnest(",
            ") AS x(prefix) WHERE starts_with(e.type, x.prefix))",
        ),
    ];
    for (names, before, after) in lists.into_iter().filter(|(names, ..)| !names.is_empty()) {
        builder.push(before).push_bind(names.clone()).push(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::Position;

    #[test]
    fn checks_are_told_in_their_order() {
        let tag = Query::tag(Tag::new("a\"b").unwrap());
        let checks = [
            Check::NoMatch { query: Query::All, after: Position(7) },
            Check::NoMatch { query: tag, after: Position::START },
        ];
        let json = items_of_checks(&checks).unwrap();
        let second = r#"{"check":1,"after":0,"tags":["a\"b"]}"#;
        assert_eq!(json, format!("[{{\"check\":0,\"after\":7}},{second}]"));
        assert_eq!(items_of_checks(&[]), None);
    }

    #[test]
    fn names_that_cannot_be_stored_match_nothing() {
        let with = |names: Vec<Arc<str>>| {
            Asked::of(&Item { categories: names, ..Item::default() }).is_some()
        };
        assert!(with(vec!["a".into(), "a\0".into()]) && !with(vec!["a\0".into()]));
    }
}
