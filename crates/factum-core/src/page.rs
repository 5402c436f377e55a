//! A page of stored events: one block of bytes, the names in use, and a slot for each event.
//!
//! Apart from `event.rs`, because stores build pages and users only see events. An event handed out
//! is (page, index): no copy of its payload, no allocation of its own.

mod spare;

pub use spare::{SPARE_BYTES_MIN, Spare};

use crate::{
    ContentType, EventData, EventType, Position, RecordedEvent, Revision, StreamName, Tag,
    Timestamp,
};
use bytes::Bytes;
use spare::Lent;
use std::{ops::Range, sync::Arc};
use uuid::Uuid;

/// The most payload a store puts in one page, in bytes, unless a single event is larger.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Events that were read together.
#[derive(Debug)]
pub struct Page {
    bytes: Bytes,
    streams: Vec<StreamName>,
    event_types: Vec<EventType>,
    tags: Vec<Tag>,
    slots: Vec<Slot>,
    spare: Option<Arc<Spare>>,
}

impl Drop for Page {
    fn drop(&mut self) {
        if let Some(spare) = &self.spare {
            spare.give_slots(std::mem::take(&mut self.slots));
        }
    }
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: Uuid,
    pub(crate) position: Position,
    pub(crate) revision: Revision,
    pub(crate) recorded_at: Timestamp,
    pub(crate) occurred_at: Option<Timestamp>,
    stream: u32,
    event_type: u32,
    pub(crate) content_type: ContentType,
    pub(crate) tags: Range<u32>,
    pub(crate) data: Range<u32>,
    pub(crate) metadata: Range<u32>,
}

const IN_RANGE: &str = "a page's builder checked the slot's ranges";

impl Page {
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        self.slots.get(index as usize).expect(IN_RANGE)
    }

    pub(crate) fn stream(&self, slot: &Slot) -> &StreamName {
        self.streams.get(slot.stream as usize).expect(IN_RANGE)
    }

    pub(crate) fn event_type(&self, slot: &Slot) -> &EventType {
        self.event_types.get(slot.event_type as usize).expect(IN_RANGE)
    }

    pub(crate) fn tags(&self, range: &Range<u32>) -> &[Tag] {
        self.tags.get(range.start as usize..range.end as usize).expect(IN_RANGE)
    }

    pub(crate) fn bytes(&self, range: &Range<u32>) -> &[u8] {
        self.bytes.get(range.start as usize..range.end as usize).expect(IN_RANGE)
    }

    pub(crate) fn shared(&self, range: &Range<u32>) -> Bytes {
        self.bytes.slice(range.start as usize..range.end as usize)
    }
}

/// Where an event stands: what the store adds to what its writer gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The stream it is in.
    pub stream: StreamName,
    /// Its place in the stream.
    pub revision: Revision,
    /// Its place in the store.
    pub position: Position,
    /// When the store recorded it.
    pub recorded_at: Timestamp,
}

/// What is known of an event whose payload is in the builder's block already.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The stream it is in.
    pub stream: &'a StreamName,
    /// Its place in the stream.
    pub revision: Revision,
    /// Its place in the store.
    pub position: Position,
    /// When the store recorded it.
    pub recorded_at: Timestamp,
    /// The event's id.
    pub id: Uuid,
    /// What happened.
    pub event_type: &'a EventType,
    /// In the order in which they were given.
    pub tags: &'a [Tag],
    /// What the data is.
    pub content_type: ContentType,
    /// When it happened, if its writer said so.
    pub occurred_at: Option<Timestamp>,
    /// Where its data lies in the block, in bytes.
    pub data: Range<usize>,
    /// Where its metadata lies in the block, in bytes.
    pub metadata: Range<usize>,
}

/// Builds a [`Page`]: payloads go into the block, then events are pushed in the order of reading.
///
/// ```
/// use factum_core::{EventData, EventType, Position, Revision, StreamName, Timestamp, Uuid, page};
/// let mut builder = page::PageBuilder::default();
/// let place = page::Place {
///     stream: StreamName::new("order-1")?,
///     revision: Revision(0),
///     position: Position(1),
///     recorded_at: Timestamp(0),
/// };
/// builder.push_data(place, &EventData::new(Uuid::from_u128(1), EventType::new("placed")?, "{}"));
/// let events = builder.build();
/// assert_eq!(events[0].data(), b"{}");
/// # Ok::<(), factum_core::InvalidName>(())
/// ```
#[derive(Debug, Default)]
pub struct PageBuilder {
    block: Block,
    streams: Vec<StreamName>,
    event_types: Vec<EventType>,
    tags: Vec<Tag>,
    slots: Vec<Slot>,
    spare: Option<Arc<Spare>>,
}

/// The payloads of a page in the making.
#[derive(Debug)]
enum Block {
    Growing(Vec<u8>),
    Given(Bytes),
}

impl Default for Block {
    fn default() -> Self {
        Self::Growing(Vec::new())
    }
}

impl Block {
    fn len(&self) -> usize {
        match self {
            Self::Growing(bytes) => bytes.len(),
            Self::Given(bytes) => bytes.len(),
        }
    }

    /// The bytes, to add to.
    fn growing(&mut self) -> &mut Vec<u8> {
        if let Self::Given(bytes) = self {
            *self = Self::Growing(std::mem::take(bytes).into());
        }
        match self {
            Self::Growing(bytes) => bytes,
            Self::Given(_) => unreachable!("it was replaced above"),
        }
    }
}

impl PageBuilder {
    /// A builder whose page is made of spare memory where it is large, and gives it back.
    #[must_use]
    pub fn reusing(spare: &Arc<Spare>) -> Self {
        Self { slots: spare.take_slots(), spare: Some(spare.clone()), ..Self::default() }
    }

    /// A builder whose payloads are all there, and stay where they are.
    #[must_use]
    pub fn over(payloads: Bytes) -> Self {
        Self { block: Block::Given(payloads), ..Self::default() }
    }

    /// Bytes in the block so far.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.block.len()
    }

    /// Events so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no event yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds an event whose payload is in the block.
    ///
    /// # Panics
    /// If a range lies outside of the block as it is now, or the block is past 4 GiB.
    pub fn push(&mut self, entry: Entry<'_>) {
        assert!(entry.data.end <= self.block.len() && entry.metadata.end <= self.block.len());
        let first_tag = self.tags.len();
        self.tags.extend_from_slice(entry.tags);
        let slot = Slot {
            id: entry.id,
            position: entry.position,
            revision: entry.revision,
            recorded_at: entry.recorded_at,
            occurred_at: entry.occurred_at,
            stream: intern(&mut self.streams, entry.stream, StreamName::ptr_eq),
            event_type: intern(&mut self.event_types, entry.event_type, EventType::ptr_eq),
            content_type: entry.content_type,
            tags: narrow(first_tag..self.tags.len()),
            data: narrow(entry.data),
            metadata: narrow(entry.metadata),
        };
        self.slots.push(slot);
    }

    /// Adds an event with its payload.
    pub fn push_data(&mut self, place: Place, event: &EventData) {
        let entry = Entry {
            stream: &place.stream,
            revision: place.revision,
            position: place.position,
            recorded_at: place.recorded_at,
            id: event.id,
            event_type: &event.event_type,
            tags: &event.tags,
            content_type: event.content_type,
            occurred_at: event.occurred_at,
            data: self.copy(&event.data),
            metadata: self.copy(&event.metadata),
        };
        self.push(entry);
    }

    /// Copies bytes into the block; where they lie now.
    pub fn copy(&mut self, bytes: &[u8]) -> Range<usize> {
        let block = self.block.growing();
        let start = block.len();
        if let Some(spare) = self.spare.as_ref().filter(|_| outgrows(block, bytes.len())) {
            let mut large = spare.take();
            large.clear();
            large.extend_from_slice(block);
            *block = large;
        }
        block.extend_from_slice(bytes);
        start..block.len()
    }

    /// The events, in the order in which they were pushed.
    #[must_use]
    pub fn build(self) -> Vec<RecordedEvent> {
        let count = u32::try_from(self.slots.len()).expect("a page's events are few");
        let mut slots = self.slots;
        if let Some(spare) = self.spare.as_ref().filter(|_| is_mostly_empty(&slots)) {
            let mut few = Vec::with_capacity(slots.len());
            few.append(&mut slots);
            spare.give_slots(std::mem::replace(&mut slots, few));
        }
        let page = Arc::new(Page {
            bytes: match (self.block, &self.spare) {
                (Block::Given(bytes), _) => bytes,
                (Block::Growing(block), Some(spare)) => finished(block, spare),
                (Block::Growing(block), None) => block.into(),
            },
            streams: self.streams,
            event_types: self.event_types,
            tags: self.tags,
            slots,
            spare: self.spare,
        });
        (0..count).map(|index| RecordedEvent { page: page.clone(), index }).collect()
    }
}

/// Whether a block that is small gets large by so many bytes more.
fn outgrows(block: &Vec<u8>, more: usize) -> bool {
    let (needed, capacity) = (block.len() + more, block.capacity());
    // Growing makes it twice as large.
    needed > capacity && capacity < SPARE_BYTES_MIN && needed.max(2 * capacity) >= SPARE_BYTES_MIN
}

fn is_mostly_empty<T>(list: &Vec<T>) -> bool {
    list.len() < list.capacity() / 2
}

/// A block as bytes: lent, unless they are too few to hold all of it for them.
fn finished(block: Vec<u8>, spare: &Arc<Spare>) -> Bytes {
    if block.capacity() < SPARE_BYTES_MIN {
        return block.into();
    }
    if is_mostly_empty(&block) {
        let few = Bytes::copy_from_slice(&block);
        spare.give(block);
        return few;
    }
    Bytes::from_owner(Lent { block, spare: spare.clone() })
}

/// Data and metadata of events, one after the other, in their order: as they lie in their page,
/// where they lie so, and a copy otherwise.
#[must_use]
pub fn payloads(events: &[RecordedEvent]) -> Bytes {
    let Some((page, range)) = in_a_row(events) else {
        let payloads = events.iter().flat_map(|event| [event.data(), event.metadata()]);
        return payloads.collect::<Vec<_>>().concat().into();
    };
    page.shared(&range)
}

/// The page that events are in, and where all of their payloads lie in it, with nothing between.
fn in_a_row(events: &[RecordedEvent]) -> Option<(&Page, Range<u32>)> {
    let first = events.first()?;
    let page = &*first.page;
    let start = page.slot(first.index).data.start;
    let mut end = start;
    for event in events {
        let slot = std::ptr::eq(page, &*event.page).then(|| page.slot(event.index))?;
        if slot.data.start != end || slot.metadata.start != slot.data.end {
            return None;
        }
        end = slot.metadata.end;
    }
    Some((page, start..end))
}

/// How many of the latest names are compared before a name is listed again. A name listed twice
/// costs 16 bytes; searching all of them would cost a page of distinct streams its square.
const INTERN_WINDOW: usize = 8;

fn intern<N: Clone>(names: &mut Vec<N>, name: &N, same: impl Fn(&N, &N) -> bool) -> u32 {
    let from = names.len().saturating_sub(INTERN_WINDOW);
    // The latest first: mostly it is the one.
    let known = names.iter().enumerate().skip(from).rfind(|(_, known)| same(known, name));
    let index = known.map_or(names.len(), |(index, _)| index);
    if index == names.len() {
        names.push(name.clone());
    }
    u32::try_from(index).expect("a page's names are few")
}

fn narrow(range: Range<usize>) -> Range<u32> {
    let narrow = |n: usize| u32::try_from(n).expect("a page is smaller than 4 GiB");
    narrow(range.start)..narrow(range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(builder: impl FnOnce() -> PageBuilder) -> Vec<RecordedEvent> {
        events_of(builder(), "data")
    }

    fn events_of(mut builder: PageBuilder, data: &str) -> Vec<RecordedEvent> {
        for nth in 0..3 {
            let place = Place {
                stream: StreamName::new("s").unwrap(),
                revision: Revision(nth),
                position: Position(nth + 1),
                recorded_at: Timestamp(0),
            };
            let data = data.to_owned();
            let event = EventData::new(Uuid::from_u128(1), EventType::new("t").unwrap(), data);
            builder.push_data(place, &event.with_metadata(nth.to_string()));
        }
        builder.build()
    }

    #[test]
    fn payloads_in_a_row_are_not_copied() {
        let all = events(PageBuilder::default);
        assert_eq!(payloads(&all), "data0data1data2");
        assert_eq!(payloads(&all).as_ptr(), all[0].data().as_ptr());
        assert_eq!(payloads(&all[1..]).as_ptr(), all[1].data().as_ptr());
        assert_eq!(payloads(&[]), "");
    }

    #[test]
    fn payloads_out_of_order_or_of_two_pages_are() {
        let (one, other) = (events(PageBuilder::default), events(PageBuilder::default));
        assert_eq!(payloads(&[one[1].clone(), one[0].clone()]), "data1data0");
        assert_eq!(payloads(&[one[0].clone(), one[2].clone()]), "data0data2");
        assert_eq!(payloads(&[one[0].clone(), other[1].clone()]), "data0data1");
    }

    #[test]
    fn a_builder_over_given_payloads_can_still_grow() {
        let all = events(|| PageBuilder::over("given".into()));
        assert_eq!(payloads(&all), "data0data1data2");
        assert_eq!(all[0].page.bytes(&(0..5)), b"given");
    }

    fn page_of(spare: &Arc<Spare>, data: &str, bytes: usize) -> Vec<RecordedEvent> {
        events_of(PageBuilder::reusing(spare), &data.repeat(bytes / data.len()))
    }

    #[test]
    fn a_page_in_use_keeps_its_memory_and_one_that_is_gone_gives_it() {
        let spare = Arc::default();
        let (one, other) = (page_of(&spare, "a", 100_000), page_of(&spare, "b", 100_000));
        let (of_one, kept) = (one[0].data().as_ptr(), other[0].page.shared(&(0..100_000)));
        drop((one, other));
        let third = page_of(&spare, "c", 100_000);
        assert_eq!(third[0].data().as_ptr(), of_one, "the block that nobody has any more");
        let fourth = page_of(&spare, "d", 100_000);
        assert_ne!(fourth[0].data().as_ptr(), kept.as_ptr(), "somebody has bytes of that");
        assert!(kept.iter().all(|byte| *byte == b'b'));
    }

    #[test]
    fn a_page_does_not_keep_a_block_that_it_leaves_mostly_empty() {
        let spare = Arc::new(Spare::default());
        let block = spare.take();
        let of_block = block.as_ptr();
        spare.give(block);
        let small = page_of(&spare, "a", 12_000);
        let block = spare.take();
        assert_eq!(block.as_ptr(), of_block, "it was given back at once");
        assert!(block.starts_with(b"aaa"), "it was used");
        assert_eq!(payloads(&small).len(), 36_003);
    }
}
