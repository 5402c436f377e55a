//! Batches of `factum.v1`: events, from columns.
//!
//! A batch that makes no sense is refused as a whole: a server is not trusted to send valid names,
//! indexes that are in their table, or columns of one length.

use super::decode::not_understood;
use bytes::Bytes;
use factum_core::{
    Batch, ContentType, EventType, InvalidName, Position, ReadError, RecordedEvent, Revision,
    StreamName, Tag, Timestamp, Uuid,
    page::{Entry, PageBuilder},
};
use factum_proto::factum::v1;

/// The names of a batch, each checked and made a name of ours when it is first used as one.
struct Names {
    texts: Vec<String>,
    streams: Vec<Option<StreamName>>,
    types: Vec<Option<EventType>>,
    tags: Vec<Option<Tag>>,
}

impl Names {
    fn new(texts: Vec<String>) -> Self {
        let count = texts.len();
        Self {
            texts,
            streams: vec![None; count],
            types: vec![None; count],
            tags: vec![None; count],
        }
    }
}

fn name<'a, N>(
    texts: &[String],
    known: &'a mut [Option<N>],
    place: u32,
    new: fn(&str) -> Result<N, InvalidName>,
) -> Result<&'a N, ReadError> {
    let at = place as usize;
    let (Some(text), Some(known)) = (texts.get(at), known.get_mut(at)) else {
        return Err(not_understood(format_args!("name {place} of {}", texts.len())));
    };
    match known {
        Some(name) => Ok(name),
        None => Ok(known.insert(new(text).map_err(not_understood)?)),
    }
}

pub(super) fn batch(message: v1::Batch) -> Result<Batch, ReadError> {
    let (through, caught_up) = (Position(message.through), message.caught_up);
    Ok(Batch { events: events(message)?, through, caught_up })
}

fn events(mut message: v1::Batch) -> Result<Vec<RecordedEvent>, ReadError> {
    check_lengths(&message)?;
    let mut names = Names::new(std::mem::take(&mut message.names));
    let payload = std::mem::take(&mut message.payload);
    let mut columns = Columns::new(&message, &payload);
    let mut page = PageBuilder::over(payload.clone());
    let mut tags = Vec::new();
    for place in 0..message.streams.len() {
        tags.clear();
        for tag in columns.tags(place)? {
            tags.push(name(&names.texts, &mut names.tags, *tag, Tag::new)?.clone());
        }
        page.push(Entry { tags: &tags, ..columns.entry(place, &mut names)? });
    }
    if columns.is_over() {
        return Err(not_understood("a column is longer than the batch"));
    }
    Ok(page.build())
}

/// Every column has a value for each event, or none at all where it may be left out.
fn check_lengths(message: &v1::Batch) -> Result<(), ReadError> {
    let count = message.streams.len();
    let whole = [
        message.ids.len(),
        message.types.len() * 16,
        message.revisions.len() * 16,
        message.positions.len() * 16,
        message.recorded_at_ns.len() * 16,
        message.data_bytes.len() * 16,
    ];
    let maybe =
        [message.metadata_bytes.len(), message.content_types.len(), message.tag_counts.len()];
    let is_whole = whole.iter().all(|bytes| *bytes == count * 16);
    let are_maybe = maybe.iter().all(|len| *len == count || *len == 0);
    if is_whole && are_maybe && message.occurred.len() == message.occurred_at_ns.len() {
        return Ok(());
    }
    Err(not_understood("columns of different lengths"))
}

/// Columns, and how far into those that are not one value an event.
struct Columns<'a> {
    of: &'a v1::Batch,
    ids: std::slice::ChunksExact<'a, u8>,
    position: i64,
    recorded_at_ns: i64,
    payload_bytes: usize,
    payload_used: usize,
    tags_used: usize,
    occurred_used: usize,
}

impl<'a> Columns<'a> {
    fn new(of: &'a v1::Batch, payload: &Bytes) -> Self {
        Self {
            of,
            ids: of.ids.chunks_exact(16),
            position: 0,
            recorded_at_ns: 0,
            payload_bytes: payload.len(),
            payload_used: 0,
            tags_used: 0,
            occurred_used: 0,
        }
    }

    fn tags(&mut self, place: usize) -> Result<&'a [u32], ReadError> {
        let count = self.of.tag_counts.get(place).map_or(0, |count| *count as usize);
        let tags = self.of.tags.get(self.tags_used..self.tags_used.saturating_add(count));
        self.tags_used += count;
        tags.ok_or_else(|| not_understood("fewer tags than are counted"))
    }

    /// The next bytes of the payload.
    fn payload(&mut self, bytes: u32) -> Result<std::ops::Range<usize>, ReadError> {
        let start = self.payload_used;
        self.payload_used += bytes as usize;
        if self.payload_used > self.payload_bytes {
            return Err(not_understood("a payload that ends too early"));
        }
        Ok(start..self.payload_used)
    }

    fn occurred_at(&mut self, place: usize) -> Option<Timestamp> {
        let at = self.of.occurred.get(self.occurred_used)?;
        if *at as usize != place {
            return None;
        }
        self.occurred_used += 1;
        self.of.occurred_at_ns.get(self.occurred_used - 1).copied().map(Timestamp)
    }

    fn entry<'n>(&mut self, place: usize, names: &'n mut Names) -> Result<Entry<'n>, ReadError> {
        let of = self.of;
        let short = || not_understood("columns of different lengths");
        self.position = self.position.wrapping_add(*of.positions.get(place).ok_or_else(short)?);
        self.recorded_at_ns =
            self.recorded_at_ns.wrapping_add(*of.recorded_at_ns.get(place).ok_or_else(short)?);
        let stream = *of.streams.get(place).ok_or_else(short)?;
        let event_type = *of.types.get(place).ok_or_else(short)?;
        let id = self.ids.next().and_then(|bytes| Uuid::from_slice(bytes).ok());
        Ok(Entry {
            stream: name(&names.texts, &mut names.streams, stream, StreamName::new)?,
            revision: Revision(*of.revisions.get(place).ok_or_else(short)?),
            position: Position(self.position.cast_unsigned()),
            recorded_at: Timestamp(self.recorded_at_ns),
            id: id.ok_or_else(short)?,
            event_type: name(&names.texts, &mut names.types, event_type, EventType::new)?,
            tags: &[],
            content_type: content_type(of.content_types.get(place).copied())?,
            occurred_at: self.occurred_at(place),
            data: self.payload(*of.data_bytes.get(place).ok_or_else(short)?)?,
            metadata: self.payload(of.metadata_bytes.get(place).copied().unwrap_or(0))?,
        })
    }

    /// Whether something was left that belongs to no event.
    fn is_over(&self) -> bool {
        self.payload_used < self.payload_bytes
            || self.tags_used < self.of.tags.len()
            || self.occurred_used < self.of.occurred.len()
    }
}

fn content_type(value: Option<i32>) -> Result<ContentType, ReadError> {
    match value.map(v1::ContentType::try_from) {
        None | Some(Ok(v1::ContentType::Json)) => Ok(ContentType::Json),
        Some(Ok(v1::ContentType::Binary)) => Ok(ContentType::Binary),
        Some(_) => Err(not_understood(format_args!("content type {value:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two events: s@3, binary, with metadata and two tags; s@4, which occurred before 1970.
    fn message() -> v1::Batch {
        v1::Batch {
            names: ["s", "t", "k:v"].map(String::from).to_vec(),
            ids: [[7; 16], [8; 16]].concat().into(),
            streams: vec![0, 0],
            types: vec![1, 1],
            revisions: vec![3, 4],
            positions: vec![9, 2],
            recorded_at_ns: vec![5, 0],
            payload: "datametamore".into(),
            data_bytes: vec![4, 4],
            metadata_bytes: vec![4, 0],
            content_types: vec![v1::ContentType::Binary.into(), v1::ContentType::Json.into()],
            tag_counts: vec![2, 0],
            tags: vec![2, 0],
            occurred: vec![1],
            occurred_at_ns: vec![-1],
            through: 11,
            caught_up: true,
        }
    }

    #[test]
    fn a_batch_comes_out_as_it_was_stored() {
        let batch = batch(message()).unwrap();
        assert!(batch.caught_up && batch.through == Position(11));
        let [first, second] = &batch.events[..] else { panic!("{batch:?}") };
        assert_eq!((first.stream().as_str(), first.event_type().as_str()), ("s", "t"));
        assert_eq!((first.data(), first.metadata()), (&b"data"[..], &b"meta"[..]));
        assert_eq!((first.revision(), first.position()), (Revision(3), Position(9)));
        assert_eq!(first.id(), Uuid::from_bytes([7; 16]));
        assert_eq!(first.content_type(), ContentType::Binary);
        assert_eq!(first.tags(), ["k:v", "s"].map(|tag| Tag::new(tag).unwrap()));
        assert_eq!((first.recorded_at(), first.occurred_at_given()), (Timestamp(5), None));
        assert_eq!((second.data(), second.metadata()), (&b"more"[..], &b""[..]));
        assert_eq!((second.revision(), second.position()), (Revision(4), Position(11)));
        assert_eq!((second.recorded_at(), second.occurred_at()), (Timestamp(5), Timestamp(-1)));
        assert_eq!((second.content_type(), second.tags()), (ContentType::Json, &[][..]));
        assert!(first.stream().ptr_eq(second.stream()), "a name is made once a batch");
    }

    #[test]
    fn columns_may_be_left_out_where_they_say_nothing() {
        let plain = v1::Batch {
            metadata_bytes: Vec::new(),
            content_types: Vec::new(),
            tag_counts: Vec::new(),
            tags: Vec::new(),
            occurred: Vec::new(),
            occurred_at_ns: Vec::new(),
            payload: "datamore".into(),
            ..message()
        };
        let batch = batch(plain).unwrap();
        let said = |event: &RecordedEvent| (event.content_type(), event.occurred_at_given());
        assert!(batch.events.iter().all(|event| said(event) == (ContentType::Json, None)));
        assert_eq!(batch.events[1].data(), b"more");
    }

    #[test]
    fn nonsense_is_not_handed_on() {
        let bad: [fn(&mut v1::Batch); 17] = [
            |m| m.streams[1] = 3,
            |m| m.types[0] = u32::MAX,
            |m| m.tags[1] = 3,
            |m| m.tags.truncate(1),
            |m| m.tags.push(0),
            |m| m.tag_counts[1] = u32::MAX,
            |m| m.ids = m.ids.slice(..31),
            |m| m.streams.push(0),
            |m| m.revisions.truncate(1),
            |m| m.metadata_bytes.truncate(1),
            |m| m.data_bytes[1] = u32::MAX,
            |m| m.data_bytes[1] = 3,
            |m| m.content_types[0] = 0,
            |m| m.content_types[0] = 9,
            |m| m.occurred[0] = 2,
            |m| m.occurred_at_ns.push(1),
            |m| m.names[0].clear(),
        ];
        for (nth, spoil) in bad.into_iter().enumerate() {
            let mut message = message();
            spoil(&mut message);
            let got = batch(message);
            assert!(matches!(got, Err(ReadError::Unsupported { .. })), "{nth}: {got:?}");
        }
    }
}
