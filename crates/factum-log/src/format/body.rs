//! The body of a frame: new names, a tracked position, events; or what another kind of frame holds.

use super::{
    entry::{Entry, read_entry},
    frame::FrameHeader,
    names::{NewName, read_names, skip_names},
    varint::{Reader, put},
};

/// A tracked position as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tracked<'a> {
    pub(crate) source: &'a str,
    pub(crate) position: u64,
}

/// What a frame of events holds.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub(crate) names: Vec<NewName<'a>>,
    pub(crate) tracked: Option<Tracked<'a>>,
    pub(crate) entries: Vec<Entry>,
}

/// Reads the body of a frame of events; `None` if it makes no sense.
pub(crate) fn read_body<'a>(header: &FrameHeader, body: &'a [u8]) -> Option<Body<'a>> {
    let mut reader = Reader::new(body);
    let mut names = Vec::new();
    read_names(&mut reader, |new| names.push(new))?;
    let tracked = if header.tracking { Some(read_tracked(&mut reader)?) } else { None };
    let mut entries = Vec::new();
    read_rest(header, &mut reader, &mut entries)?;
    Some(Body { names, tracked, entries })
}

/// Reads the events only, in the place of those that are there: what a read needs.
pub(crate) fn read_entries(
    header: &FrameHeader,
    body: &[u8],
    entries: &mut Vec<Entry>,
) -> Option<()> {
    let mut reader = Reader::new(body);
    skip_names(&mut reader)?;
    if header.tracking {
        read_tracked(&mut reader)?;
    }
    read_rest(header, &mut reader, entries)
}

/// Reads the events, which are all that is left: how long each is, but for the last, and then all
/// of them.
fn read_rest(
    header: &FrameHeader,
    reader: &mut Reader<'_>,
    entries: &mut Vec<Entry>,
) -> Option<()> {
    entries.clear();
    let mut lengths = *reader;
    for _ in 1..header.count {
        reader.varint()?;
    }
    entries.reserve(header.count.into());
    let mut ordinal = header.ordinal;
    for nth in 1..=header.count {
        let len = match nth == header.count {
            true => reader.left(),
            false => usize::try_from(lengths.varint()?).ok()?,
        };
        let entry = read_entry(reader, len, ordinal)?;
        ordinal = entry.ordinal.checked_add(1)?;
        entries.push(entry);
    }
    reader.is_at_end().then_some(())
}

/// The events of a frame in the making.
#[derive(Default, Debug)]
pub(crate) struct Entries {
    lengths: Vec<u8>,
    /// Where the length of the last one is.
    last: usize,
    bytes: Vec<u8>,
}

impl Entries {
    /// Adds an event, as it is written by who knows how long it is then.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.last = self.lengths.len();
        put(&mut self.lengths, (self.bytes.len() - start) as u64);
    }

    /// Bytes of them, those of the lengths apart.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends them: what is left of the body is the last one's.
    pub(crate) fn put_into(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.lengths.get(..self.last).unwrap_or_default());
        buffer.extend_from_slice(&self.bytes);
    }

    /// Empties it, and keeps its room.
    pub(crate) fn clear(&mut self) {
        self.lengths.clear();
        self.last = 0;
        self.bytes.clear();
    }
}

/// Appends a tracked position.
pub(crate) fn put_tracked(buffer: &mut Vec<u8>, tracked: Tracked<'_>) {
    put(buffer, tracked.source.len() as u64);
    buffer.extend_from_slice(tracked.source.as_bytes());
    put(buffer, tracked.position);
}

fn read_tracked<'a>(reader: &mut Reader<'a>) -> Option<Tracked<'a>> {
    let source = std::str::from_utf8(reader.sized()?).ok()?;
    Some(Tracked { source, position: reader.varint()? })
}

/// Appends all tracked positions: the body of a carry.
pub(crate) fn put_carry<'a>(
    buffer: &mut Vec<u8>,
    tracked: impl ExactSizeIterator<Item = Tracked<'a>>,
) {
    put(buffer, tracked.len() as u64);
    tracked.for_each(|tracked| put_tracked(buffer, tracked));
}

/// Reads the body of a carry.
pub(crate) fn read_carry(body: &[u8]) -> Option<Vec<Tracked<'_>>> {
    let mut reader = Reader::new(body);
    let count = reader.varint()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(read_tracked(&mut reader)?);
    }
    reader.is_at_end().then_some(all)
}
