//! Events as columns: a list of each, which a statement makes rows of.

use factum_core::{ContentType, EventData, Tag, Uuid};
use sqlx::{Postgres, postgres::PgArguments, query::Query};

/// The columns that events have wherever they are written.
pub(super) struct Columns<'a> {
    ids: Vec<Uuid>,
    types: Vec<&'a str>,
    contents: Vec<i16>,
    occurred: Vec<Option<i64>>,
    tags: Vec<Option<String>>,
    data: Vec<&'a [u8]>,
    metadata: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(events: impl Iterator<Item = &'a EventData>) -> Self {
        let mut all = Self {
            ids: Vec::new(),
            types: Vec::new(),
            contents: Vec::new(),
            occurred: Vec::new(),
            tags: Vec::new(),
            data: Vec::new(),
            metadata: Vec::new(),
        };
        for event in events {
            all.ids.push(event.id);
            all.types.push(event.event_type.as_str());
            all.contents.push(i16::from(event.content_type == ContentType::Binary));
            all.occurred.push(event.occurred_at.map(|at| at.0));
            all.tags.push((!event.tags.is_empty()).then(|| literal(&event.tags)));
            all.data.push(&event.data);
            all.metadata.push(&event.metadata);
        }
        all
    }
}

/// A statement with these as its next arguments.
pub(super) fn bound(
    query: Query<'static, Postgres, PgArguments>,
    columns: &Columns<'_>,
) -> Query<'static, Postgres, PgArguments> {
    query
        .bind(&columns.ids)
        .bind(&columns.types)
        .bind(&columns.contents)
        .bind(&columns.occurred)
        .bind(&columns.tags)
        .bind(&columns.data)
        .bind(&columns.metadata)
}

/// A list as PostgreSQL reads it from a text: `{"a","b"}`. An array of arrays would have to be as
/// wide as its widest one.
fn literal(tags: &[Tag]) -> String {
    let mut text = String::from("{");
    for (nth, tag) in tags.iter().enumerate() {
        text.push_str(if nth == 0 { "\"" } else { ",\"" });
        for character in tag.as_str().chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    }
    text + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_is_read_as_it_was_written() {
        let tags = ["a:1", "say \"hi\"", "back\\slash", "{x},"].map(|tag| Tag::new(tag).unwrap());
        assert_eq!(literal(&tags), r#"{"a:1","say \"hi\"","back\\slash","{x},"}"#);
    }
}
