//! Ids made of content: the same fact gets the same id wherever and whenever it is imported.
//!
//! What must hold: an id never changes from release to release, or a file that was imported before
//! would be imported again. `ids_are_pinned` holds it.

use factum::{ContentType, EventData, StreamName, Uuid};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The id of an ordered list of texts.
pub(crate) fn of_parts(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| add(&mut hash, part.as_bytes()));
    id(hash)
}

/// Ids of imported events: of the stream, the content, and how many times that same content came
/// before in that stream. Real logs hold identical events.
#[derive(Debug, Default)]
pub(crate) struct Occurrences(HashMap<[u8; 32], u64>);

impl Occurrences {
    /// The id of the next event; its own `id` is not looked at.
    pub(crate) fn id_of(&mut self, stream: &StreamName, event: &EventData) -> Uuid {
        let content = content(stream, event);
        let before = self.0.entry(content).or_insert(0);
        let mut hash = Sha256::new();
        add(&mut hash, b"factum.import.1");
        add(&mut hash, &content);
        add(&mut hash, &before.to_le_bytes());
        *before += 1;
        id(hash)
    }
}

/// A digest of everything that an event says, and where.
pub(crate) fn content(stream: &StreamName, event: &EventData) -> [u8; 32] {
    let mut hash = Sha256::new();
    add(&mut hash, stream.as_str().as_bytes());
    add(&mut hash, event.event_type.as_str().as_bytes());
    add(&mut hash, &[u8::from(event.content_type == ContentType::Binary)]);
    add(&mut hash, &event.data);
    add(&mut hash, &event.metadata);
    match event.occurred_at {
        Some(at) => add(&mut hash, &at.0.to_le_bytes()),
        None => add(&mut hash, b""),
    }
    event.tags.iter().for_each(|tag| add(&mut hash, tag.as_str().as_bytes()));
    hash.finalize().into()
}

/// Adds bytes with their length, so that no two lists of parts look alike.
fn add(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// A UUID of version 8 (RFC 9562): made by a rule of our own.
fn id(hash: Sha256) -> Uuid {
    let digest: [u8; 32] = hash.finalize().into();
    let (first, _) = digest.split_first_chunk::<16>().expect("32 bytes begin with 16");
    uuid::Builder::from_custom_bytes(*first).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum::{EventType, Tag, Timestamp};

    fn stream(name: &str) -> StreamName {
        StreamName::new(name).unwrap()
    }

    fn event(data: &str) -> EventData {
        EventData::new(Uuid::nil(), EventType::new("t").unwrap(), data.to_owned())
    }

    #[test]
    fn ids_are_pinned() {
        let mut ids = Occurrences::default();
        let full = EventData {
            metadata: "{}".into(),
            occurred_at: Some(Timestamp(7)),
            ..event("{\"a\":1}").with_tags([Tag::new("k:v").unwrap()])
        };
        let got = [
            ids.id_of(&stream("a-1"), &event("{}")),
            ids.id_of(&stream("a-1"), &event("{}")),
            ids.id_of(&stream("a-1"), &full),
            of_parts(&["cloudevent", "/shop", "7"]),
        ];
        assert_eq!(got.map(|id| id.to_string()), PINNED);
    }

    const PINNED: [&str; 4] = [
        "ea0cf821-6352-8536-aa7a-774491357baa",
        "b639e2c3-e8b3-8cf1-9215-538711cf41b0",
        "085e3ac8-efcf-8a93-a74c-91a341cc001f",
        "52f76eeb-eb3b-8f92-acec-50d20525992a",
    ];

    #[test]
    fn another_stream_another_content_or_another_time_is_another_id() {
        let mut ids = Occurrences::default();
        let first = ids.id_of(&stream("a"), &event("1"));
        let others = [
            ids.id_of(&stream("b"), &event("1")),
            ids.id_of(&stream("a"), &event("2")),
            ids.id_of(&stream("a"), &event("1")),
            ids.id_of(&stream("a"), &EventData { occurred_at: Some(Timestamp(0)), ..event("1") }),
            ids.id_of(&stream("a"), &event("1").with_tags([Tag::new("x").unwrap()])),
        ];
        let distinct: std::collections::HashSet<_> = others.iter().chain([&first]).collect();
        assert_eq!(distinct.len(), 6);
        assert_eq!(first.get_version_num(), 8);
        assert_eq!(Occurrences::default().id_of(&stream("a"), &event("1")), first);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(of_parts(&["ab", "c"]), of_parts(&["a", "bc"]));
    }
}
