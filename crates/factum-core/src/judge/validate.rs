//! What can be refused without looking at any state: shape, names, limits.

use crate::{
    Append, AppendError, Change, Check, EventData, Invalid, Limits, Query, StreamMetadata,
    StreamName, Tracking, name::NAME_BYTES_MAX, system,
};
use foldhash::fast::RandomState;
use std::collections::HashSet;

/// Refuses what no state could make acceptable.
pub fn validate(append: &Append, limits: &Limits) -> Result<(), AppendError> {
    if append.events.is_empty() && append.tracking.is_none() {
        return Err(Invalid::Empty.into());
    }
    within("events in the append", append.events.len(), limits.append_events_max)?;
    within("checks in the append", append.checks.len(), limits.checks_max)?;
    let mut ids = HashSet::<_, RandomState>::default();
    if append.events.len() > 1 {
        ids.reserve(append.events.len());
    }
    let mut bytes = 0;
    for (index, (stream, event)) in append.events.iter().enumerate() {
        if event.id.is_nil() {
            return Err(Invalid::NilId { index }.into());
        }
        if append.events.len() > 1 && !ids.insert((stream, event.id)) {
            return Err(Invalid::DuplicateId { id: event.id, stream: stream.clone() }.into());
        }
        validate_event(stream, event, limits)?;
        bytes += event.weight() + stream.as_str().len();
    }
    within("bytes in the append", bytes, limits.append_bytes_max)?;
    validate_checks(&append.checks, limits)?;
    append.tracking.as_ref().map_or(Ok(()), validate_tracking)
}

/// Refuses a change of a stream that no state could make acceptable: metadata over the limit of an
/// event's data, as it is stored as one.
pub fn validate_change(change: &Change, limits: &Limits) -> Result<(), AppendError> {
    match change {
        Change::Delete | Change::Tombstone => Ok(()),
        Change::SetMetadata(metadata) => {
            let bytes = metadata.to_json().len();
            within("bytes in the stream's metadata", bytes, limits.event_bytes_max)
        }
    }
}

fn validate_event(
    stream: &StreamName,
    event: &EventData,
    limits: &Limits,
) -> Result<(), AppendError> {
    within("bytes in the event's data", event.data.len(), limits.event_bytes_max)?;
    within("bytes in the event's metadata", event.metadata.len(), limits.metadata_bytes_max)?;
    within("tags on the event", event.tags.len(), limits.tags_max)?;
    let event_type = event.event_type.as_str();
    if event_type == system::STREAM_DELETED {
        return Err(Invalid::ReservedType.into());
    }
    let is_metadata = event_type == system::METADATA;
    if is_metadata != stream.is_metadata() {
        let event_type = event_type.to_owned();
        return Err(Invalid::MetadataType { stream: stream.clone(), event_type }.into());
    }
    if is_metadata {
        StreamMetadata::from_json(&event.data)?;
    }
    Ok(())
}

fn validate_checks(checks: &[Check], limits: &Limits) -> Result<(), AppendError> {
    let mut streams = HashSet::<_, RandomState>::default();
    for check in checks {
        match check {
            Check::NoMatch { query, .. } => validate_query(query, limits)?,
            Check::Stream { stream, .. } if !streams.insert(stream) => {
                return Err(Invalid::DuplicateCheck { stream: stream.clone() }.into());
            }
            Check::Stream { .. } => {}
        }
    }
    Ok(())
}

fn validate_tracking(tracking: &Tracking) -> Result<(), AppendError> {
    let source = &*tracking.source;
    if source.is_empty() || source.len() > NAME_BYTES_MAX || source.contains('\0') {
        return Err(Invalid::Source.into());
    }
    Ok(())
}

/// Refuses a query that selects by nothing, or is over the limits.
pub fn validate_query(query: &Query, limits: &Limits) -> Result<(), AppendError> {
    if !query.is_valid() {
        return Err(Invalid::Query.into());
    }
    let Query::AnyOf(items) = query else {
        return Ok(());
    };
    within("items in the query", items.len(), limits.query_items_max)?;
    let terms = items.iter().map(|item| {
        item.types.len()
            + item.tags.len()
            + item.categories.len()
            + item.stream_prefixes.len()
            + item.type_prefixes.len()
    });
    within("values in the query", terms.sum(), limits.query_terms_max)
}

fn within(what: &'static str, actual: usize, limit: usize) -> Result<(), AppendError> {
    if actual > limit { Err(AppendError::TooLarge { what, actual, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cause: the limits were asked of appends only, so that a change could store what no append
    /// could. Fix: a change is validated too.
    #[test]
    fn metadata_has_the_limit_of_an_events_data() {
        let metadata = StreamMetadata { max_count: Some(7), ..StreamMetadata::default() };
        let change = Change::SetMetadata(metadata);
        let bytes = r#"{"$maxCount":7}"#.len();
        let limits = |event_bytes_max| Limits { event_bytes_max, ..Limits::default() };
        assert_eq!(validate_change(&change, &limits(bytes)), Ok(()));
        let refused = validate_change(&change, &limits(bytes - 1));
        assert!(matches!(refused, Err(AppendError::TooLarge { actual, .. }) if actual == bytes));
    }
}
