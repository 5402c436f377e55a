//! An event inside a frame. Names are numbers of the segment; the data comes last.

use super::varint::{Reader, put};
use factum_core::{ContentType, EventData, Timestamp};
use std::ops::Range;
use uuid::Uuid;

const BINARY: u8 = 1;
const OCCURRED: u8 = 1 << 1;
const TAGS: u8 = 1 << 2;
const METADATA: u8 = 1 << 3;
/// Events before this one, in the same frame, are gone: how many. Written by scavenging only.
const GAP: u8 = 1 << 4;

/// An event as it lies in a frame. Ranges are offsets in the frame's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// The event's position, less the segment's base.
    pub(crate) ordinal: u32,
    pub(crate) id: Uuid,
    pub(crate) stream: u32,
    pub(crate) event_type: u32,
    pub(crate) revision: u64,
    pub(crate) content_type: ContentType,
    pub(crate) occurred_at: Option<Timestamp>,
    pub(crate) tags: Vec<u32>,
    pub(crate) metadata: Range<usize>,
    pub(crate) data: Range<usize>,
}

/// The numbers that an event's names have in the segment.
#[derive(Clone, Debug)]
pub(crate) struct Numbers<'a> {
    pub(crate) stream: u32,
    pub(crate) event_type: u32,
    pub(crate) tags: &'a [u32],
}

/// What is written of an event besides its names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) id: Uuid,
    pub(crate) revision: u64,
    pub(crate) content_type: ContentType,
    pub(crate) occurred_at: Option<Timestamp>,
    pub(crate) metadata: &'a [u8],
    pub(crate) data: &'a [u8],
    /// Events between the one before in the frame and this one that are gone.
    pub(crate) gap: u32,
}

/// Appends an event.
pub(crate) fn put_entry(buffer: &mut Vec<u8>, event: &EventData, of: &Numbers<'_>, revision: u64) {
    let content = Content {
        id: event.id,
        revision,
        content_type: event.content_type,
        occurred_at: event.occurred_at,
        metadata: &event.metadata,
        data: &event.data,
        gap: 0,
    };
    put_content(buffer, &content, of);
}

/// Appends what an event is.
pub(crate) fn put_content(buffer: &mut Vec<u8>, event: &Content<'_>, of: &Numbers<'_>) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    buffer.push(
        flag(event.content_type == ContentType::Binary, BINARY)
            | flag(event.occurred_at.is_some(), OCCURRED)
            | flag(!of.tags.is_empty(), TAGS)
            | flag(!event.metadata.is_empty(), METADATA)
            | flag(event.gap > 0, GAP),
    );
    if event.gap > 0 {
        put(buffer, event.gap.into());
    }
    buffer.extend_from_slice(event.id.as_bytes());
    put(buffer, of.stream.into());
    put(buffer, of.event_type.into());
    put(buffer, event.revision);
    if let Some(at) = event.occurred_at {
        buffer.extend_from_slice(&at.0.to_le_bytes());
    }
    if !of.tags.is_empty() {
        put(buffer, of.tags.len() as u64);
        of.tags.iter().for_each(|tag| put(buffer, (*tag).into()));
    }
    if !event.metadata.is_empty() {
        put(buffer, event.metadata.len() as u64);
        buffer.extend_from_slice(event.metadata);
    }
    buffer.extend_from_slice(event.data);
}

/// Reads the event at the reader, of so many bytes; `ordinal` is the one after the event before it,
/// or the frame's.
pub(crate) fn read_entry(reader: &mut Reader<'_>, len: usize, ordinal: u32) -> Option<Entry> {
    let end = reader.at().checked_add(len)?;
    let flags = reader.u8()?;
    if flags & !(BINARY | OCCURRED | TAGS | METADATA | GAP) != 0 {
        return None;
    }
    let gap = if flags & GAP != 0 { reader.varint_u32()? } else { 0 };
    let id = Uuid::from_bytes(reader.array()?);
    let (stream, event_type) = (reader.varint_u32()?, reader.varint_u32()?);
    let revision = reader.varint()?;
    let occurred_at = match flags & OCCURRED {
        0 => None,
        _ => Some(Timestamp(i64::from_le_bytes(reader.array()?))),
    };
    let tags = if flags & TAGS != 0 { read_tags(reader)? } else { Vec::new() };
    let metadata = match flags & METADATA {
        0 => reader.at()..reader.at(),
        _ => {
            let len = reader.sized()?.len();
            reader.at() - len..reader.at()
        }
    };
    let data = reader.at()..end;
    reader.take(end.checked_sub(data.start)?)?;
    Some(Entry {
        ordinal: ordinal.checked_add(gap)?,
        id,
        stream,
        event_type,
        revision,
        content_type: if flags & BINARY == 0 { ContentType::Json } else { ContentType::Binary },
        occurred_at,
        tags,
        metadata,
        data,
    })
}

/// The most tags that are read: more are damage, not an event of any release.
pub(crate) const TAGS_READ_MAX: u64 = 4096;

fn read_tags(reader: &mut Reader<'_>) -> Option<Vec<u32>> {
    let count = reader.varint().filter(|count| *count <= TAGS_READ_MAX)?;
    (0..count).map(|_| reader.varint_u32()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::EventType;

    fn event() -> EventData {
        EventData::new(Uuid::from_u128(5), EventType::new("t").unwrap(), "data")
    }

    fn check(event: &EventData, tags: &[u32]) {
        let mut bytes = vec![9; 3];
        put_entry(&mut bytes, event, &Numbers { stream: 300, event_type: 2, tags }, 77);
        let mut reader = Reader::new(&bytes);
        reader.take(3).unwrap();
        let whole = bytes.len() - 3;
        let entry = read_entry(&mut reader, whole, 4).unwrap();
        assert!(reader.is_at_end());
        assert_eq!((entry.ordinal, entry.id, entry.revision), (4, event.id, 77));
        assert_eq!((entry.stream, entry.event_type, &*entry.tags), (300, 2, tags));
        let said = (entry.content_type, entry.occurred_at);
        assert_eq!(said, (event.content_type, event.occurred_at));
        let payload = (&bytes[entry.data], &bytes[entry.metadata]);
        assert_eq!(payload, (&*event.data, &*event.metadata));
        for len in 3..bytes.len() {
            let mut reader = Reader::new(&bytes[..len]);
            reader.take(3).unwrap();
            assert_eq!(read_entry(&mut reader, whole, 4), None, "cut at {len}");
        }
    }

    #[test]
    fn it_comes_back_in_every_shape() {
        check(&event(), &[]);
        check(&event(), &[1]);
        check(&EventData { data: "".into(), ..event() }, &[]);
        check(&EventData { content_type: ContentType::Binary, ..event() }, &[0, 1_000_000]);
        check(&event().with_metadata("meta").with_occurred_at(Timestamp(-1)), &[7]);
    }

    #[test]
    fn a_gap_moves_the_place() {
        let mut bytes = Vec::new();
        let event = event();
        let content = Content {
            id: event.id,
            revision: 3,
            content_type: event.content_type,
            occurred_at: None,
            metadata: &[],
            data: &event.data,
            gap: 6,
        };
        put_content(&mut bytes, &content, &Numbers { stream: 0, event_type: 0, tags: &[] });
        let read = read_entry(&mut Reader::new(&bytes), bytes.len(), 4);
        assert_eq!(read.unwrap().ordinal, 10);
    }
}
