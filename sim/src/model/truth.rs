//! What each read must answer, from the list of all events alone.

use super::judge::selects;
use factum_core::{Query, RecordedEvent, Revision, StreamMetadata, StreamName, StreamState};

/// All events of a store, in order.
#[derive(Clone, Copy, Debug)]
pub struct Truth<'a>(pub &'a [RecordedEvent]);

/// What may be seen of a stream.
#[derive(Debug)]
pub struct Visible {
    /// Its events, in order.
    pub events: Vec<RecordedEvent>,
    /// What it is.
    pub state: StreamState,
    /// Whether some are hidden by their age: how many is a matter of the clock.
    pub ages: bool,
}

impl Truth<'_> {
    /// The events that a query selects, in order.
    #[must_use]
    pub fn of_query(&self, query: &Query) -> Vec<RecordedEvent> {
        let is_selected = |event: &&RecordedEvent| {
            let tags: Vec<&str> = event.tags().iter().map(AsRef::as_ref).collect();
            selects(query, event.stream().as_str(), event.event_type().as_str(), &tags)
        };
        self.0.iter().filter(is_selected).cloned().collect()
    }

    fn all_of(&self, stream: &StreamName) -> Vec<RecordedEvent> {
        self.0.iter().filter(|event| event.stream() == stream).cloned().collect()
    }

    /// What may be seen of a stream; age apart.
    #[must_use]
    pub fn of_stream(&self, stream: &StreamName) -> Visible {
        let mut events = self.all_of(stream);
        let metadata = match stream.is_metadata() {
            true => StreamMetadata { max_count: Some(1), ..StreamMetadata::default() },
            false => {
                let last = self.all_of(&stream.metadata_stream()).pop();
                last.map_or_else(StreamMetadata::default, |event| {
                    StreamMetadata::from_json(event.data()).expect("it was accepted")
                })
            }
        };
        let Some(last) = events.last() else {
            return Visible { events, state: StreamState::Absent, ages: false };
        };
        let revision = last.revision().0;
        let state = if last.event_type().as_str() == "$streamDeleted" {
            StreamState::Tombstoned
        } else if metadata.truncate_before == Some(i64::MAX as u64) {
            StreamState::Deleted { last: Revision(revision) }
        } else {
            StreamState::Live { last: Revision(revision) }
        };
        let by_count = metadata.max_count.map_or(0, |count| (revision + 1).saturating_sub(count));
        let first = by_count.max(metadata.truncate_before.unwrap_or(0));
        events.retain(|event| event.revision().0 >= first && state != StreamState::Tombstoned);
        Visible { events, state, ages: metadata.max_age_s.is_some() }
    }
}
