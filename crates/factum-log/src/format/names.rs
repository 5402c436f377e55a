//! Names that a frame brings: each segment numbers the names it uses, per kind, in the order of
//! their first use, so that an event says a small number.

use super::{
    frame::FRAME_BYTES_MAX,
    varint::{Reader, put},
};
use std::borrow::Cow;

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
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NewName<'a> {
    pub(crate) kind: NameKind,
    /// Said, though it follows from the order: where a frame is lost, later ones still make sense.
    pub(crate) number: u32,
    pub(crate) name: Cow<'a, str>,
}

/// The names of a frame: each says how much of it is as in the one before of its kind, and how far
/// its number is from that one's, so that a frame needs no other to be read.
#[derive(Default, Debug)]
pub(crate) struct NamesWriter {
    bytes: Vec<u8>,
    count: u64,
    before: [Option<Before>; KINDS],
}

/// The name before, of one kind.
#[derive(Default, Debug)]
struct Before {
    number: u32,
    name: Vec<u8>,
}

const KINDS: usize = 3;

impl NamesWriter {
    /// Adds a name, whose number is above that of all others of its kind.
    ///
    /// # Panics
    /// If it is not.
    pub(crate) fn put(&mut self, kind: NameKind, number: u32, name: &str) {
        let before = self.before.get_mut(kind as usize).expect("there is room for each kind");
        let name = name.as_bytes();
        let (shared, step) = match before {
            None => (0, number),
            Some(before) => {
                let step = number.checked_sub(before.number + 1).expect("numbers ascend");
                (common(&before.name, name), step)
            }
        };
        let rest = name.get(shared..).unwrap_or_default();
        put(&mut self.bytes, (rest.len() as u64) << 2 | kind as u64);
        put(&mut self.bytes, step.into());
        if before.is_some() {
            put(&mut self.bytes, shared as u64);
        }
        self.bytes.extend_from_slice(rest);
        let before = before.get_or_insert_default();
        before.number = number;
        before.name.truncate(shared);
        before.name.extend_from_slice(rest);
        self.count += 1;
    }

    /// Appends all of them, with their count before them.
    pub(crate) fn put_into(&self, buffer: &mut Vec<u8>) {
        put(buffer, self.count);
        buffer.extend_from_slice(&self.bytes);
    }
}

/// How many bytes two names have in common at their beginning.
pub(crate) fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// More names than these in one frame are damage: an event has 66 at most.
const NAMES_MAX: u64 = 66 * 65_536;
/// Longer than this together they are not in what anybody wrote: what is shared must not make a
/// small frame take all memory.
const NAMES_BYTES_MAX: usize = FRAME_BYTES_MAX as usize;

/// Reads the names of a frame, and gives each that is wanted.
pub(crate) fn read_names<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(NewName<'a>),
) -> Option<()> {
    let count = reader.varint().filter(|count| *count <= NAMES_MAX)?;
    let mut before: [Option<(u32, Cow<'a, str>)>; KINDS] = Default::default();
    let mut bytes = 0;
    for _ in 0..count {
        let head = reader.varint()?;
        let kind = NameKind::from_bits(head & 3)?;
        let step = reader.varint_u32()?;
        let before = before.get_mut(kind as usize)?;
        let shared = match before {
            None => 0,
            Some(_) => usize::try_from(reader.varint()?).ok()?,
        };
        let rest = reader.take(usize::try_from(head >> 2).ok()?)?;
        let (number, name) = match before {
            Some((number, name)) => {
                let number = number.checked_add(1)?.checked_add(step)?;
                let mut whole = name.as_bytes().get(..shared)?.to_vec();
                whole.extend_from_slice(rest);
                (number, Cow::Owned(String::from_utf8(whole).ok()?))
            }
            None => (step, Cow::Borrowed(std::str::from_utf8(rest).ok()?)),
        };
        bytes += name.len();
        if bytes > NAMES_BYTES_MAX {
            return None;
        }
        *before = Some((number, name.clone()));
        each(NewName { kind, number, name });
    }
    Some(())
}

/// Passes over the names of a frame.
pub(crate) fn skip_names(reader: &mut Reader<'_>) -> Option<()> {
    let count = reader.varint().filter(|count| *count <= NAMES_MAX)?;
    let mut has_before = [false; KINDS];
    for _ in 0..count {
        let head = reader.varint()?;
        let kind = NameKind::from_bits(head & 3)?;
        reader.varint_u32()?;
        if std::mem::replace(has_before.get_mut(kind as usize)?, true) {
            reader.varint()?;
        }
        reader.take(usize::try_from(head >> 2).ok()?)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(names: &[(NameKind, u32, &str)]) -> Vec<u8> {
        let mut writer = NamesWriter::default();
        names.iter().for_each(|(kind, number, name)| writer.put(*kind, *number, name));
        let mut bytes = Vec::new();
        writer.put_into(&mut bytes);
        bytes
    }

    #[test]
    fn they_come_back_and_take_what_is_new_in_them() {
        use NameKind::{Stream, Tag, Type};
        let names = [
            (Stream, 7, "order-0001"),
            (Tag, 0, "k:ä"),
            (Stream, 8, "order-0002"),
            (Type, 3, "t"),
            (Tag, 9, "k:á"),
            (Stream, 300, "order-0002-x"),
            (Stream, 301, ""),
        ];
        let bytes = written(&names);
        let mut reader = Reader::new(&bytes);
        let mut found = Vec::new();
        read_names(&mut reader, |new| found.push((new.kind, new.number, new.name.into_owned())));
        let expected: Vec<_> =
            names.iter().map(|(kind, number, name)| (*kind, *number, (*name).to_owned())).collect();
        assert_eq!((found, reader.is_at_end()), (expected, true));
        for len in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..len]);
            assert_eq!(skip_names(&mut reader), None, "cut at {len}");
            assert_eq!(read_names(&mut Reader::new(&bytes[..len]), |_| ()), None, "cut at {len}");
        }
        let mut reader = Reader::new(&bytes);
        assert_eq!((skip_names(&mut reader), reader.is_at_end()), (Some(()), true));
        let alike = written(&[(Stream, 7, "order-0001"), (Stream, 8, "order-0002")]);
        assert_eq!(alike.len(), 1 + 12 + 4, "a length, a step, what is shared, and one letter");
    }

    #[test]
    fn what_shares_more_than_there_is_makes_no_sense() {
        let mut bytes = written(&[(NameKind::Tag, 0, "ab"), (NameKind::Tag, 1, "abc")]);
        let shared = bytes.len() - 2;
        assert_eq!(bytes[shared], 2);
        bytes[shared] = 3;
        assert_eq!(read_names(&mut Reader::new(&bytes), |_| ()), None);
    }
}
