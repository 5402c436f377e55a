//! The body of a frame: new names, a tracked position, events; or what another kind of frame holds.

use super::{
    entry::{Entry, read_entry},
    frame::FrameHeader,
    names::{NewName, put_name, read_name},
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

/// More names than these in one frame are damage: an event has 66 at most.
const NAMES_MAX: u64 = 66 * 65_536;

/// Reads the body of a frame of events; `None` if it makes no sense.
pub(crate) fn read_body<'a>(header: &FrameHeader, body: &'a [u8]) -> Option<Body<'a>> {
    let mut reader = Reader::new(body);
    let count = reader.varint().filter(|count| *count <= NAMES_MAX)?;
    let names = (0..count).map(|_| read_name(&mut reader)).collect::<Option<_>>()?;
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
    let count = reader.varint().filter(|count| *count <= NAMES_MAX)?;
    for _ in 0..count {
        read_name(&mut reader)?;
    }
    if header.tracking {
        read_tracked(&mut reader)?;
    }
    read_rest(header, &mut reader, entries)
}

/// Reads the events, which are all that is left.
fn read_rest(
    header: &FrameHeader,
    reader: &mut Reader<'_>,
    entries: &mut Vec<Entry>,
) -> Option<()> {
    entries.clear();
    entries.reserve(header.count.into());
    let mut ordinal = header.ordinal;
    for _ in 0..header.count {
        let entry = read_entry(reader, ordinal)?;
        ordinal = entry.ordinal.checked_add(1)?;
        entries.push(entry);
    }
    reader.is_at_end().then_some(())
}

/// Appends names, with their count before them.
pub(crate) fn put_names<'a>(buffer: &mut Vec<u8>, names: &[NewName<'a>]) {
    put(buffer, names.len() as u64);
    names.iter().for_each(|name| put_name(buffer, *name));
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
