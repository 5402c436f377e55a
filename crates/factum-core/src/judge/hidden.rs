//! What a soft delete has hidden stays hidden when the stream is given new metadata.
//!
//! As in KurrentDB: new metadata lets a deleted stream go on, from its next revision. The store
//! writes it again with that `$tb`, after the events of the caller.

use super::{Heads, Planned, Refusal, View, metadata_event};
use crate::{EventData, Revision, StreamMetadata, StreamName, StreamState};

/// The deleted streams that are given metadata, each with the revision at which it goes on.
pub(super) fn given_metadata<V: View>(
    events: &[(StreamName, EventData)],
    view: &mut V,
    heads: &mut Heads,
) -> Result<Vec<(StreamName, Revision)>, Refusal<V::Error>> {
    let mut deleted: Vec<(StreamName, Revision)> = Vec::new();
    for (stream, _) in events {
        let Some(of) = stream.metadata_of() else { continue };
        let head = heads.get(view, &of)?;
        let is_hidden = matches!(head.state(), StreamState::Deleted { .. });
        if is_hidden && deleted.iter().all(|(known, _)| *known != of) {
            deleted.push((of, head.next()));
        }
    }
    Ok(deleted)
}

/// Adds what keeps the events of those streams hidden, where the new metadata does not.
pub(super) fn stays_hidden<V: View>(
    deleted: Vec<(StreamName, Revision)>,
    events: &mut Vec<Planned>,
    view: &mut V,
    heads: &mut Heads,
) -> Result<(), Refusal<V::Error>> {
    for (stream, at) in deleted {
        let target = stream.metadata_stream();
        let given = events.iter().rfind(|planned| planned.stream == target);
        let given = given.and_then(|last| StreamMetadata::from_json(&last.event.data).ok());
        let Some(given) = given.filter(|given| given.truncate_before.unwrap_or(0) < at.0) else {
            continue;
        };
        let event = metadata_event(&given.reopened(at), view.new_id());
        let revision = match events.iter().rfind(|planned| planned.stream == target) {
            Some(last) => Revision(last.revision.0 + 1),
            None => heads.get(view, &target)?.next(),
        };
        events.push(Planned { stream: target, revision, event });
    }
    Ok(())
}
