//! Names that a frame brings: each segment numbers the names it uses, per kind, in the order of
//! their first use, so that an event says a small number.

use super::varint::{Reader, put};

/// What a name names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum NameKind {
    Stream,
    Type,
    Tag,
}

impl NameKind {
    fn from_bits(bits: u64) -> Option<Self> {
        let all = [Self::Stream, Self::Type, Self::Tag];
        all.get(usize::try_from(bits).ok()?).copied()
    }
}

/// A name and the number it has from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NewName<'a> {
    pub(crate) kind: NameKind,
    /// Said, though it follows from the order: where a frame is lost, later ones still make sense.
    pub(crate) number: u32,
    pub(crate) name: &'a str,
}

/// Appends one name: a varint of (length, kind), its number, and the text.
pub(crate) fn put_name(buffer: &mut Vec<u8>, new: NewName<'_>) {
    put(buffer, (new.name.len() as u64) << 2 | new.kind as u64);
    put(buffer, new.number.into());
    buffer.extend_from_slice(new.name.as_bytes());
}

/// Reads one name.
pub(crate) fn read_name<'a>(reader: &mut Reader<'a>) -> Option<NewName<'a>> {
    let head = reader.varint()?;
    let kind = NameKind::from_bits(head & 3)?;
    let number = reader.varint_u32()?;
    let bytes = reader.take(usize::try_from(head >> 2).ok()?)?;
    Some(NewName { kind, number, name: std::str::from_utf8(bytes).ok()? })
}
