//! What of a query the server can select: prefixes of streams, or of types.
//!
//! It selects no less than what the query does; the query itself is then asked here of every event.
//! So any query is exact, and cheap if each of its items names streams, or each names types. Others
//! have the whole store pass by.

use factum_core::{Item, Query};
use factum_proto::event_store::client::{
    Empty,
    streams::read_req::options::{
        FilterOption, FilterOptions,
        filter_options::{Expression, Filter, Window},
    },
};
use std::sync::Arc;

/// How many events a KurrentDB looks at in one go, and before it tells how far it is: as its own
/// clients ask it. Fewer would make it slow.
pub(super) const WINDOW_EVENTS: u32 = 32;

/// The filter that is sent with a query.
pub(super) fn filter(query: &Query, window_events: u32) -> FilterOption {
    let narrowed = match query {
        Query::All => None,
        Query::AnyOf(items) => prefixes(items, of_streams)
            .map(Filter::StreamIdentifier)
            .or_else(|| prefixes(items, of_types).map(Filter::EventType)),
    };
    match narrowed {
        None => FilterOption::NoFilter(Empty {}),
        Some(filter) => FilterOption::Filter(FilterOptions {
            filter: Some(filter),
            window: Some(Window::Max(window_events)),
            checkpoint_interval_multiplier: 1,
        }),
    }
}

/// The prefixes of all items, if each has some, and none is empty.
fn prefixes(items: &[Item], of: fn(&Item) -> Vec<Arc<str>>) -> Option<Expression> {
    let mut all: Vec<String> = Vec::new();
    for item in items {
        let some = of(item);
        if some.is_empty() || some.iter().any(|prefix| prefix.is_empty()) {
            return None;
        }
        all.extend(some.iter().map(|prefix| prefix.to_string()));
    }
    all.sort_unstable();
    all.dedup();
    Some(Expression { regex: String::new(), prefix: all })
}

fn of_streams(item: &Item) -> Vec<Arc<str>> {
    if !item.stream_prefixes.is_empty() {
        return item.stream_prefixes.clone();
    }
    // A name of the category without a name begins with the dash.
    let prefix =
        |category: &Arc<str>| if category.is_empty() { "-".into() } else { category.clone() };
    item.categories.iter().map(prefix).collect()
}

fn of_types(item: &Item) -> Vec<Arc<str>> {
    if !item.types.is_empty() {
        return item.types.iter().map(|name| name.as_str().into()).collect();
    }
    item.type_prefixes.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::{EventType, Tag};

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn types(names: &[&str]) -> Vec<EventType> {
        names.iter().map(|name| EventType::new(name).unwrap()).collect()
    }

    fn check(query: impl Into<Query>, expected: Option<(char, &[&str])>) {
        let query = query.into();
        let got = match filter(&query, 7) {
            FilterOption::NoFilter(_) => None,
            FilterOption::Filter(options) => match options.filter.unwrap() {
                Filter::StreamIdentifier(by) => Some(('s', by.prefix)),
                Filter::EventType(by) => Some(('t', by.prefix)),
            },
        };
        let got =
            got.as_ref().map(|(on, by)| (*on, by.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(got, expected.map(|(on, by)| (on, by.to_vec())), "{query:?}");
    }

    #[test]
    fn what_names_streams_or_types_is_narrowed() {
        let item = Item::default;
        let tags = vec![Tag::new("k:1").unwrap()];
        check(Query::All, None);
        check(Item { tags: tags.clone(), ..item() }, None);
        check(Item { categories: names(&["b", "a", ""]), ..item() }, Some(('s', &["-", "a", "b"])));
        let both = Item { categories: names(&["a"]), stream_prefixes: names(&["a-1"]), ..item() };
        check(both, Some(('s', &["a-1"])));
        check(Item { types: types(&["x"]), tags, ..item() }, Some(('t', &["x"])));
        check(Item { type_prefixes: names(&["x."]), ..item() }, Some(('t', &["x."])));
        check(Item { type_prefixes: names(&[""]), ..item() }, None);
        check(
            Item { stream_prefixes: names(&["a", ""]), types: types(&["x"]), ..item() },
            Some(('t', &["x"])),
        );
    }

    #[test]
    fn items_of_different_kinds_are_not() {
        let stream = Item { categories: names(&["a"]), ..Item::default() };
        let of_type = Item { types: types(&["x"]), ..Item::default() };
        let both = Item { types: types(&["y"]), ..stream.clone() };
        check(Query::AnyOf(vec![stream.clone(), of_type.clone()]), None);
        check(Query::AnyOf(vec![stream, both.clone()]), Some(('s', &["a"])));
        check(Query::AnyOf(vec![of_type, both]), Some(('t', &["x", "y"])));
    }
}
