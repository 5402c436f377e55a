//! Which declared ability an operation needs and the store does not have.

use factum_core::{Append, AsOf, Capabilities, Check, EventData, Query, Read, Select, StreamName};

/// The first ability that an append needs and is not there.
pub(super) fn missing_for_append(append: &Append, can: &Capabilities) -> Option<&'static str> {
    let events = || append.events.iter().map(|(_, event): &(StreamName, EventData)| event);
    let queries = append.checks.iter().any(|check| matches!(check, Check::NoMatch { .. }));
    let needs = [
        (can.query_checks, queries, "query checks"),
        (can.multi_stream, is_multi_stream(append), "appends to and checks of several streams"),
        (can.tags, events().any(|event| !event.tags.is_empty()), "tags"),
        (can.tracking, append.tracking.is_some(), "tracking"),
        (can.occurred_at, events().any(|event| event.occurred_at.is_some()), "`occurred at`"),
    ];
    first(&needs)
}

/// The first ability that a read needs and is not there.
pub(super) fn missing_for_read(read: &Read, can: &Capabilities) -> Option<&'static str> {
    let as_of = [(can.as_of, read.as_of != AsOf::Now, "reads as of the past")];
    first(&as_of).or_else(|| missing_for_select(&read.select, can))
}

/// The first ability that a selection needs and is not there.
pub(super) fn missing_for_select(select: &Select, can: &Capabilities) -> Option<&'static str> {
    let queries = !matches!(select, Select::Stream(_) | Select::Query(Query::All));
    let by_tag = match select {
        Select::Query(Query::AnyOf(items)) => items.iter().any(|item| !item.tags.is_empty()),
        _ => false,
    };
    first(&[(can.queries, queries, "queries"), (can.tags, by_tag, "tags")])
}

fn first(needs: &[(bool, bool, &'static str)]) -> Option<&'static str> {
    needs.iter().find(|(has, needed, _)| *needed && !has).map(|(_, _, name)| *name)
}

fn is_multi_stream(append: &Append) -> bool {
    let mut written = append.events.iter().map(|(stream, _)| stream);
    let first = written.next();
    let is_other = |stream: &StreamName| first.is_none_or(|first| first != stream);
    written.any(is_other)
        || append.checks.iter().any(|check| match check {
            Check::Stream { stream, .. } => is_other(stream),
            Check::NoMatch { .. } => false,
        })
}
