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

/// Appends one name: a varint of (length, kind), and the text.
pub(crate) fn put_name(buffer: &mut Vec<u8>, kind: NameKind, name: &str) {
    put(buffer, (name.len() as u64) << 2 | kind as u64);
    buffer.extend_from_slice(name.as_bytes());
}

/// Reads one name.
pub(crate) fn read_name<'a>(reader: &mut Reader<'a>) -> Option<(NameKind, &'a str)> {
    let head = reader.varint()?;
    let kind = NameKind::from_bits(head & 3)?;
    let bytes = reader.take(usize::try_from(head >> 2).ok()?)?;
    Some((kind, std::str::from_utf8(bytes).ok()?))
}
