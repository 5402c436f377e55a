//! What is accepted and what is refused: replay, tombstone, checks, tracking, in that order.

use super::{Model, Said};
use factum_core::{
    Append, AppendError, Change, Check, ContentType, EventType, Expected, Found, Position, Query,
    Receipt, Revision, StreamMetadata, StreamName, StreamState, Written,
};

/// `$tb` of a deleted stream.
const DELETED: u64 = i64::MAX as u64;

fn json(metadata: &StreamMetadata) -> Vec<u8> {
    let keys = [
        ("$tb", metadata.truncate_before),
        ("$maxCount", metadata.max_count),
        ("$maxAge", metadata.max_age_s),
    ];
    let members = keys.iter().filter_map(|(key, value)| Some(format!("\"{key}\":{}", (*value)?)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes()
}

pub(super) fn system(event_type: &str, data: Vec<u8>) -> Said {
    Said {
        id: None,
        event_type: EventType::trusted(event_type.into()),
        content_type: ContentType::Json,
        data,
        metadata: Vec::new(),
        tags: Vec::new(),
        occurred_at: None,
    }
}

/// Whether a query selects an event; prefixes and all.
pub(super) fn selects(query: &Query, stream: &str, event_type: &str, tags: &[&str]) -> bool {
    let Query::AnyOf(items) = query else { return true };
    let category = stream.split('-').next().unwrap_or_default();
    items.iter().any(|item| {
        (item.types.is_empty() || item.types.iter().any(|one| one.as_str() == event_type))
            && item.tags.iter().all(|tag| tags.contains(&tag.as_str()))
            && (item.categories.is_empty() || item.categories.iter().any(|one| **one == *category))
            && (item.stream_prefixes.is_empty()
                || item.stream_prefixes.iter().any(|one| stream.starts_with(&**one)))
            && (item.type_prefixes.is_empty()
                || item.type_prefixes.iter().any(|one| event_type.starts_with(&**one)))
    })
}

impl Model {
    pub(super) fn state(&self, stream: &StreamName) -> StreamState {
        let Some(known) = self.streams.get(stream) else { return StreamState::Absent };
        let deleted = known.metadata.as_ref().is_some_and(|m| m.truncate_before == Some(DELETED));
        match known.len.checked_sub(1).map(Revision) {
            _ if known.tombstoned => StreamState::Tombstoned,
            None => StreamState::Absent,
            Some(last) if deleted => StreamState::Deleted { last },
            Some(last) => StreamState::Live { last },
        }
    }

    fn holds(&self, stream: &StreamName, expected: Expected) -> bool {
        match (self.state(stream), expected) {
            (StreamState::Absent | StreamState::Deleted { .. }, Expected::NoStream) => true,
            (StreamState::Live { .. }, Expected::Exists) => true,
            (
                StreamState::Live { last } | StreamState::Deleted { last },
                Expected::At(revision),
            ) => last == revision,
            _ => false,
        }
    }

    fn expectation(append: &Append, of: &StreamName) -> Option<Expected> {
        append.checks.iter().find_map(|check| match check {
            Check::Stream { stream, expected } if stream == of => Some(*expected),
            _ => None,
        })
    }

    /// A number that is right is no retry's.
    fn numbers_are_right(&self, append: &Append) -> bool {
        append.events.iter().all(|(stream, _)| {
            match (Self::expectation(append, stream), self.state(stream)) {
                (Some(Expected::NoStream), StreamState::Absent) => true,
                (Some(Expected::At(_)), _) => {
                    Self::expectation(append, stream).is_some_and(|e| self.holds(stream, e))
                }
                _ => false,
            }
        })
    }

    fn replayed(&self, append: &Append) -> Result<Option<Receipt>, AppendError> {
        if append.events.is_empty() || self.numbers_are_right(append) {
            return Ok(None);
        }
        let at = |(stream, event): &(StreamName, factum_core::EventData)| {
            self.ids.get(&(stream.clone(), event.id)).copied()
        };
        let found: Vec<Option<usize>> = append.events.iter().map(at).collect();
        let Some(first) = found.iter().position(Option::is_some) else { return Ok(None) };
        let mut streams: Vec<Written> = Vec::new();
        let mut whole = found.iter().all(Option::is_some) && found.is_sorted();
        for nth in found.iter().flatten() {
            let event = &self.events[*nth];
            let revision = Revision(event.revision);
            match streams.iter_mut().find(|written| written.stream == event.stream) {
                Some(written) => {
                    whole &= written.last.0 + 1 == revision.0;
                    written.last = revision;
                }
                None => {
                    let stream = event.stream.clone();
                    streams.push(Written { stream, first: revision, last: revision });
                }
            }
        }
        let position = |nth: usize| Position(found[nth].expect("it was found") as u64 + 1);
        if !whole {
            let id = append.events[first].1.id;
            return Err(AppendError::IdReused { id, at: position(first) });
        }
        let position = position(found.len() - 1);
        Ok(Some(Receipt { position, streams, replayed: true }))
    }

    fn failing(&self, check: &Check) -> Option<Found> {
        match check {
            Check::Stream { stream, expected } => {
                (!self.holds(stream, *expected)).then(|| Found::Stream(self.state(stream)))
            }
            Check::NoMatch { query, after } => {
                let after = usize::try_from(after.0).unwrap_or(usize::MAX);
                let is_match = |(nth, event): &(usize, &std::sync::Arc<super::Event>)| {
                    if self.gone.contains(nth) {
                        return false;
                    }
                    let tags: Vec<&str> = event.said.tags.iter().map(AsRef::as_ref).collect();
                    selects(query, event.stream.as_str(), event.said.event_type.as_str(), &tags)
                };
                let found = self.events.iter().enumerate().skip(after).find(is_match);
                found.map(|(nth, _)| Found::Match(Position(nth as u64 + 1)))
            }
        }
    }

    pub(super) fn append(&mut self, append: &Append) -> Result<Receipt, AppendError> {
        if let Some(receipt) = self.replayed(append)? {
            return Ok(receipt);
        }
        for (stream, _) in &append.events {
            if self.state(stream) == StreamState::Tombstoned {
                return Err(AppendError::Tombstoned { stream: stream.clone() });
            }
        }
        for (index, check) in append.checks.iter().enumerate() {
            if let Some(found) = self.failing(check) {
                return Err(AppendError::Conflict { index, found });
            }
        }
        if let Some(tracking) = &append.tracking {
            if let Some(stored) = self.tracked.get(&*tracking.source).copied()
                && stored >= tracking.position
            {
                let source_name = tracking.source.clone();
                return Err(AppendError::Tracked { source_name, stored });
            }
            self.tracked.insert(tracking.source.to_string(), tracking.position);
        }
        for (stream, _) in &append.events {
            self.reopen(stream);
        }
        let mut streams: Vec<Written> = Vec::new();
        for (stream, event) in &append.events {
            let revision = Revision(self.push(stream, event.into()));
            match streams.iter_mut().find(|written| written.stream == *stream) {
                Some(written) => written.last = revision,
                None => {
                    let stream = stream.clone();
                    streams.push(Written { stream, first: revision, last: revision });
                }
            }
        }
        Ok(Receipt { position: self.head(), streams, replayed: false })
    }

    fn head(&self) -> Position {
        Position(self.events.len() as u64)
    }

    /// A deleted stream goes on where it stopped.
    fn reopen(&mut self, stream: &StreamName) {
        let Some(known) = self.streams.get(stream) else { return };
        let Some(metadata) = known.metadata.clone() else { return };
        if metadata.truncate_before == Some(DELETED) {
            let metadata = StreamMetadata { truncate_before: Some(known.len), ..metadata };
            self.push(&stream.metadata_stream(), system("$metadata", json(&metadata)));
        }
    }

    pub(super) fn change(
        &mut self,
        stream: &StreamName,
        change: &Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        let of_metadata = stream.metadata_stream();
        let judged = match change {
            Change::SetMetadata(_) => &of_metadata,
            _ => stream,
        };
        let state = self.state(judged);
        if state == StreamState::Tombstoned {
            return Err(AppendError::Tombstoned { stream: judged.clone() });
        }
        if expected.is_some_and(|expected| !self.holds(judged, expected)) {
            return Err(AppendError::Conflict { index: 0, found: Found::Stream(state) });
        }
        let known = self.streams.get(stream).and_then(|known| known.metadata.clone());
        if *change == Change::Delete
            && self.state(stream) == StreamState::Absent
            && self.state(&of_metadata) == StreamState::Absent
        {
            return Err(AppendError::Conflict { index: 0, found: Found::Stream(state) });
        }
        let known = known.unwrap_or_default();
        let deleted = StreamMetadata { truncate_before: Some(DELETED), ..known.clone() };
        let (target, said) = match change {
            Change::Delete if known == deleted => {
                let position = self.head();
                return Ok(Receipt { position, streams: Vec::new(), replayed: true });
            }
            Change::Delete => (of_metadata, system("$metadata", json(&deleted))),
            Change::SetMetadata(given) => (of_metadata, system("$metadata", json(given))),
            Change::Tombstone => (stream.clone(), system("$streamDeleted", b"{}".to_vec())),
        };
        let events_hidden = match (self.state(stream), change) {
            (StreamState::Deleted { last }, Change::SetMetadata(given)) => {
                Some((last.0 + 1, given))
            }
            _ => None,
        };
        let revision = Revision(self.push(&target, said));
        // What is hidden stays hidden: the metadata is said again, with the place to go on at.
        if let Some((at, given)) = events_hidden
            && given.truncate_before.unwrap_or(0) < at
        {
            let again = StreamMetadata { truncate_before: Some(at), ..given.clone() };
            self.push(&target, system("$metadata", json(&again)));
        }
        let written = Written { stream: target, first: revision, last: revision };
        Ok(Receipt { position: self.head(), streams: vec![written], replayed: false })
    }
}
