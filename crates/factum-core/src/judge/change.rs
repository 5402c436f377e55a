//! Changes to a stream as a whole, judged and turned into events of the system.

use super::{Heads, Plan, Planned, Refusal, Verdict, View, holds, metadata_event};
use crate::{
    AppendError, Change, EventData, EventType, Expected, Found, Invalid, Receipt, Revision,
    StreamMetadata, StreamName, StreamState, Written, system,
};
use bytes::Bytes;

/// Judges a change of a stream.
///
/// Deleting a deleted stream writes nothing. Tombstoning or deleting a tombstoned one is refused;
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
    if change == Change::Delete && heads.get(view, stream)?.metadata.is_deleted() {
        let position = view.head();
        return Ok(Verdict::Answer(Receipt { position, streams: Vec::new(), replayed: true }));
    }
    let target = match change {
        Change::Tombstone => stream.clone(),
        Change::Delete | Change::SetMetadata(_) => stream.metadata_stream(),
    };
    let revision = heads.get(view, &target)?.next();
    Ok(Verdict::Write(single(target, revision, event)))
}

fn set<V: View>(metadata: &StreamMetadata, view: &mut V) -> Result<EventData, Refusal<V::Error>> {
    let event = metadata_event(metadata, view.new_id());
    // The fields are public: what was put in by hand must read back.
    StreamMetadata::from_json(&event.data).map_err(AppendError::from)?;
    Ok(event)
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
