//! The body of a frame that says what is lost: how many positions from the frame's ordinal on, and
//! what was there, as far as an index knew it.
//!
//! Apart from the frames of events, as nothing here is an event any more: what is written of a lost
//! one is its names, its revision and the part of its identity that an index keeps.

use super::{
    body::{Body, read_body},
    frame::FrameHeader,
    varint::{Reader, put},
};
use uuid::Uuid;

/// What a frame says of lost events.
#[derive(Debug)]
pub(crate) struct LostBody<'a> {
    /// Positions, from the frame's ordinal on.
    pub(crate) count: u32,
    /// The events below are all that were there.
    pub(crate) is_known: bool,
    /// Names, and events without payload; [`key_of`] says what their ids are.
    pub(crate) body: Body<'a>,
}

/// Appends what comes before the names.
pub(crate) fn put_lost(buffer: &mut Vec<u8>, count: u32, is_known: bool) {
    put(buffer, u64::from(count) << 1 | u64::from(is_known));
}

/// Reads the body; `None` if it makes no sense.
pub(crate) fn read_lost<'a>(header: &FrameHeader, body: &'a [u8]) -> Option<LostBody<'a>> {
    let mut reader = Reader::new(body);
    let said = reader.varint()?;
    let (count, is_known) = (u32::try_from(said >> 1).ok()?, said & 1 == 1);
    let end = header.ordinal.checked_add(count)?;
    let body = read_body(header, body.get(reader.at()..)?)?;
    let is_inside = body.entries.last().is_none_or(|last| last.ordinal < end);
    let makes_sense = count > 0 && is_inside && (is_known || body.entries.is_empty());
    makes_sense.then_some(LostBody { count, is_known, body })
}

/// What stands for the id of a lost event: the part of its hash that an index keeps.
pub(crate) fn id_of(key: u32) -> Uuid {
    Uuid::from_u128(u128::from(key) << 96)
}

/// The part of its hash that stands for the id of a lost event.
pub(crate) fn key_of(id: Uuid) -> u32 {
    u32::try_from(id.as_u128() >> 96).expect("the upper 32 of 128 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::frame::Kind;

    fn read(ordinal: u32, bytes: &[u8]) -> Option<(u32, bool)> {
        let header = FrameHeader {
            len: 0,
            ordinal,
            recorded_at_ns: 0,
            pending: 0,
            count: 0,
            kind: Kind::Lost,
            first: true,
            last: true,
            tracking: false,
        };
        read_lost(&header, bytes).map(|lost| (lost.count, lost.is_known))
    }

    #[test]
    fn it_says_how_many_and_whether_they_are_known() {
        for is_known in [false, true] {
            let mut bytes = Vec::new();
            put_lost(&mut bytes, 300, is_known);
            bytes.push(0);
            assert_eq!(read(7, &bytes), Some((300, is_known)));
            assert_eq!(read(u32::MAX - 299, &bytes), None, "past the last ordinal");
            assert_eq!(read(7, &bytes[..2]), None, "names come next");
        }
        assert_eq!(read(7, &[0, 0]), None, "nothing is lost");
        assert_eq!(key_of(id_of(0x89ab_cdef)), 0x89ab_cdef);
    }
}
