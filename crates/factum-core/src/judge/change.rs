//! Changes to a stream as a whole, judged and turned into events of the system.

use super::{Heads, Plan, Planned, Refusal, Verdict, View, hidden, holds, metadata_event};
use crate::{
    AppendError, Change, EventData, EventType, Expected, Found, Invalid, Receipt, Revision,
    StreamMetadata, StreamName, StreamState, Written, system,
};
use bytes::Bytes;

/// Judges a change of a stream.
///
/// Deleting a stream that never was is a conflict, whatever is expected, as in KurrentDB; deleting
/// a deleted one writes nothing. Tombstoning or deleting a tombstoned one is refused;
/// its metadata may still be set.
pub fn judge_change<V: View>(
    stream: &StreamName,
    change: Change,
    expected: Option<Expected>,
    view: &mut V,
) -> Result<Verdict, Refusal<V::Error>> {
    if stream.is_metadata() {
        return Err(AppendError::from(Invalid::MetadataStream { stream: stream.clone() }).into());
    }
    let mut heads = Heads::default();
    let (judged, event) = match &change {
        Change::SetMetadata(metadata) => (stream.metadata_stream(), set(metadata, view)?),
        Change::Delete => {
            let metadata = heads.get(view, stream)?.metadata.deleted();
            (stream.clone(), metadata_event(&metadata, view.new_id()))
        }
        Change::Tombstone => (stream.clone(), tombstone(view)),
    };
    let state = heads.get(view, &judged)?.state();
    if state == StreamState::Tombstoned {
        return Err(AppendError::Tombstoned { stream: judged }.into());
    }
    if expected.is_some_and(|expected| !holds(expected, state)) {
        return Err(AppendError::Conflict { index: 0, found: Found::Stream(state) }.into());
    }
    if change == Change::Delete && never_was(stream, view, &mut heads)? {
        return Err(AppendError::Conflict { index: 0, found: Found::Stream(state) }.into());
    }
    if change == Change::Delete && heads.get(view, stream)?.metadata.is_deleted() {
        let position = view.head();
        return Ok(Verdict::Answer(Receipt { position, streams: Vec::new(), replayed: true }));
    }
    let target = match change {
        Change::Tombstone => stream.clone(),
        Change::Delete | Change::SetMetadata(_) => stream.metadata_stream(),
    };
    let revision = heads.get(view, &target)?.next();
    let given = [(target.clone(), event.clone())];
    let hidden = hidden::given_metadata(&given, view, &mut heads)?;
    let mut plan = single(target, revision, event);
    hidden::stays_hidden(hidden, &mut plan.events, view, &mut heads)?;
    Ok(Verdict::Write(plan))
}

/// Whether there is nothing of a stream that could be deleted: no event, and no metadata.
fn never_was<V: View>(
    stream: &StreamName,
    view: &mut V,
    heads: &mut Heads,
) -> Result<bool, Refusal<V::Error>> {
    let is_absent = heads.get(view, stream)?.state() == StreamState::Absent;
    Ok(is_absent && heads.get(view, &stream.metadata_stream())?.last.is_none())
}

fn set<V: View>(metadata: &StreamMetadata, view: &mut V) -> Result<EventData, Refusal<V::Error>> {
    let event = metadata_event(metadata, view.new_id());
    // The fields are public: what was put in by hand must read back, and as what it was put in. A
    // value that is no single JSON value (`1,"$tb":7`) could otherwise smuggle in another key.
    let read = StreamMetadata::from_json(&event.data).map_err(AppendError::from)?;
    if !says_the_same(&read, metadata) {
        let why = "a key of its own was given among the others, or a value that is no JSON value";
        return Err(AppendError::from(Invalid::Metadata { why: why.into() }).into());
    }
    Ok(event)
}

/// Whether both have the same keys, and the store's own ones the same values.
fn says_the_same(a: &StreamMetadata, b: &StreamMetadata) -> bool {
    let own = |m: &StreamMetadata| (m.truncate_before, m.max_count, m.max_age_s);
    own(a) == own(b) && a.other.keys().eq(b.other.keys())
}

fn tombstone<V: View>(view: &mut V) -> EventData {
    let name = EventType::trusted(system::STREAM_DELETED.into());
    EventData::new(view.new_id(), name, Bytes::from_static(b"{}"))
}

fn single(stream: StreamName, revision: Revision, event: EventData) -> Plan {
    let written = Written { stream: stream.clone(), first: revision, last: revision };
    Plan {
        events: vec![Planned { stream, revision, event }],
        tracking: None,
        streams: vec![written],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json_of_a: &str, same: bool) {
        let other = [("a".to_owned(), json_of_a.to_owned())].into();
        let given = StreamMetadata { max_count: Some(1), other, ..StreamMetadata::default() };
        let read = StreamMetadata::from_json(given.to_json().as_bytes());
        assert_eq!(read.is_ok_and(|read| says_the_same(&read, &given)), same, "{json_of_a}");
    }

    /// Cause: a value was only asked to parse, so that `1,"$tb":7` truncated the stream.
    /// Fix: what is read back must have the same keys.
    #[test]
    fn a_value_cannot_smuggle_in_a_key() {
        for good in ["1", " [1, {\"$tb\": 2}] ", "\"x\"", "null"] {
            check(good, true);
        }
        for bad in ["1,\"$tb\":7", "1,\"b\":2", "1,\"$maxCount\":2", "", "}{"] {
            check(bad, false);
        }
    }
}
