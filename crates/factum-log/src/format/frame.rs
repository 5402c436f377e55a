//! A frame: the unit that is checksummed. An append is one frame or several in a row; the first and
//! the last are marked, and only all of them together are an append.
//!
//! Small appends share nothing with their neighbours (one frame each); large ones are cut into
//! frames of [`FRAME_BYTES_AIM`], so that reading one event never means checking megabytes.

use super::varint::{self, Reader};
use crate::planted::{Bug, is_on};

/// Bytes before a body, at least and at most: a checksum, flags and a time, and four numbers
/// that take as many bytes as they need.
pub const FRAME_HEADER_BYTES_MIN: usize = FIXED_BYTES + 4;
/// See [`FRAME_HEADER_BYTES_MIN`].
pub const FRAME_HEADER_BYTES_MAX: usize = FIXED_BYTES + 4 + 5 + 5 + 3;
/// Bytes before the numbers.
const FIXED_BYTES: usize = 4 + 1 + 8;
/// A frame's body is closed when it reaches this, so it is larger only by its last event.
pub const FRAME_BYTES_AIM: usize = 16 * 1024;
/// The longest body: one event of the largest size, with its names, and room to spare.
pub const FRAME_BYTES_MAX: u32 = 64 << 20;

const FIRST: u8 = 1;
const LAST: u8 = 1 << 1;
const TRACKING: u8 = 1 << 2;
/// Not used by any feature yet.
const RESERVED: u8 = 1 << 3;
const KIND_SHIFT: u8 = 4;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Events, names that are new, a tracked position.
    Events,
    /// The tracked positions of all sources: the first frame of a segment.
    Carry,
    /// The log was closed in good order: everything before was durable.
    Closed,
    /// The segment ends here: the next one goes on.
    Sealed,
    /// Events that were here are lost, and that was accepted.
    Lost,
}

impl Kind {
    fn from_bits(bits: u8) -> Option<Self> {
        let all = [Self::Events, Self::Carry, Self::Closed, Self::Sealed, Self::Lost];
        all.get(usize::from(bits)).copied()
    }
}

/// What a frame's head says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Bytes of the body.
    pub len: u32,
    /// The first event's position, less the segment's base.
    pub ordinal: u32,
    /// When the append was recorded: nanoseconds since 1970.
    pub recorded_at_ns: i64,
    /// Bytes right before this frame that were not durable yet when it was written: all before
    /// them were.
    pub pending: u32,
    /// Events in the frame.
    pub count: u16,
    /// What it is.
    pub kind: Kind,
    /// An append begins here.
    pub first: bool,
    /// An append ends here.
    pub last: bool,
    /// The body holds a tracked position.
    pub tracking: bool,
}

impl FrameHeader {
    /// Writes the head, with its checksum, over the first bytes of a frame whose body follows.
    ///
    /// # Panics
    /// If the frame is not as long as the head says.
    pub fn seal(&self, frame: &mut [u8], place: FramePlace) {
        assert_eq!(frame.len(), self.frame_bytes(), "the head says its length");
        put(frame, 4, &[self.flags()]);
        put(frame, 5, &self.recorded_at_ns.to_le_bytes());
        let mut at = FIXED_BYTES;
        for number in self.numbers() {
            at += put_number(frame, at, number);
        }
        let sum = checksum(frame, place);
        put(frame, 0, &sum.to_le_bytes());
    }

    /// What is written as varints, in order.
    fn numbers(&self) -> [u32; 4] {
        [self.len, self.ordinal, self.pending, self.count.into()]
    }

    fn flags(&self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        flag(self.first, FIRST)
            | flag(self.last, LAST)
            | flag(self.tracking, TRACKING)
            | (self.kind as u8) << KIND_SHIFT
    }

    /// Reads a head without checking anything but that it could be one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.get(4..)?);
        let flags = reader.u8()?;
        if flags & RESERVED != 0 {
            return None;
        }
        let header = Self {
            recorded_at_ns: i64::from_le_bytes(reader.array()?),
            len: reader.varint_u32()?,
            ordinal: reader.varint_u32()?,
            pending: reader.varint_u32()?,
            count: reader.varint()?.try_into().ok()?,
            kind: Kind::from_bits(flags >> KIND_SHIFT)?,
            first: flags & FIRST != 0,
            last: flags & LAST != 0,
            tracking: flags & TRACKING != 0,
        };
        // Numbers that are longer than they need be were not written by anybody.
        let is_short = header.head_bytes() == 4 + reader.at();
        (header.len <= FRAME_BYTES_MAX && is_short).then_some(header)
    }

    /// Bytes of the head.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        let numbers = self.numbers().map(|number| varint::len_of(number.into()));
        FIXED_BYTES + numbers.iter().sum::<usize>()
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.head_bytes() + self.len as usize
    }

    /// Where the bytes ended that were durable when the frame at this offset was written.
    #[must_use]
    pub fn durable(&self, offset: u64) -> u64 {
        offset.saturating_sub(self.pending.into())
    }

    /// A whole frame that has nothing in it, in its place.
    #[must_use]
    pub fn alone(&self, place: FramePlace) -> Vec<u8> {
        let mut frame = vec![0; self.head_bytes()];
        self.seal(&mut frame, place);
        frame
    }
}

fn put(frame: &mut [u8], at: usize, field: &[u8]) {
    let place = frame.get_mut(at..at + field.len()).expect("fields lie in the head");
    place.copy_from_slice(field);
}

/// Writes a varint; how many bytes it takes.
fn put_number(frame: &mut [u8], at: usize, number: u32) -> usize {
    let bytes = varint::len_of(number.into());
    for nth in 0..bytes {
        let more = if nth + 1 < bytes { 0x80 } else { 0 };
        put(frame, at + nth, &[(number >> (7 * nth)) as u8 & 0x7f | more]);
    }
    bytes
}

/// Where a frame belongs: part of its checksum, so that a stale or misdirected one is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FramePlace {
    /// The segment's seed.
    pub seed: u64,
    /// The frame's offset in the segment.
    pub offset: u64,
}

/// The head and body of the frame at the front of the bytes, if it is whole and in its place.
#[must_use]
pub fn decode(bytes: &[u8], place: FramePlace) -> Option<(FrameHeader, &[u8])> {
    let header = FrameHeader::decode(bytes)?;
    let frame = bytes.get(..header.frame_bytes())?;
    let sum = u32::from_le_bytes(frame.get(..4)?.try_into().ok()?);
    if sum != checksum(frame, place) && !is_on(Bug::TrustFrames) {
        return None;
    }
    Some((header, frame.get(header.head_bytes()..)?))
}

fn checksum(frame: &[u8], place: FramePlace) -> u32 {
    let seed = if is_on(Bug::IgnoreSeed) { 0 } else { place.seed };
    let mut sum = crc32c::crc32c(&seed.to_le_bytes());
    sum = crc32c::crc32c_append(sum, &place.offset.to_le_bytes());
    crc32c::crc32c_append(sum, frame.get(4..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: FramePlace = FramePlace { seed: 3, offset: 4096 };

    fn frame() -> (FrameHeader, Vec<u8>) {
        let header = FrameHeader {
            len: 5,
            ordinal: 9,
            recorded_at_ns: -1,
            pending: 96,
            count: 2,
            kind: Kind::Events,
            first: true,
            last: false,
            tracking: true,
        };
        let mut bytes = vec![0; header.head_bytes()];
        bytes.extend_from_slice(b"hello");
        header.seal(&mut bytes, PLACE);
        (header, bytes)
    }

    #[test]
    fn it_comes_back_from_its_own_place_only() {
        let (header, bytes) = frame();
        assert_eq!(decode(&bytes, PLACE), Some((header, &b"hello"[..])));
        assert_eq!(decode(&bytes, FramePlace { seed: 4, ..PLACE }), None);
        assert_eq!(decode(&bytes, FramePlace { offset: 4097, ..PLACE }), None);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let (_, good) = frame();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad, PLACE), None, "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(decode(&good[..len], PLACE), None, "cut at {len}");
        }
    }

    #[test]
    fn a_head_is_as_long_as_its_numbers() {
        let (small, _) = frame();
        assert_eq!(small.head_bytes(), FRAME_HEADER_BYTES_MIN);
        let large = FrameHeader {
            len: FRAME_BYTES_MAX,
            ordinal: u32::MAX,
            pending: u32::MAX,
            count: u16::MAX,
            ..small
        };
        assert_eq!(large.head_bytes(), FRAME_HEADER_BYTES_MAX);
        for header in [small, large, FrameHeader { pending: 128, ..small }] {
            let mut bytes = vec![0; header.frame_bytes()];
            header.seal(&mut bytes, PLACE);
            let (again, body) = decode(&bytes, PLACE).unwrap();
            assert_eq!((again, body.len()), (header, header.len as usize));
            assert_eq!(header.durable(5000), 5000u64.saturating_sub(header.pending.into()));
        }
    }

    #[test]
    fn a_number_that_is_longer_than_need_be_is_none() {
        let (header, bytes) = frame();
        let mut long = bytes[..13].to_vec();
        long.extend_from_slice(&[0x85, 0]);
        long.extend_from_slice(&bytes[14..]);
        assert_eq!((header.len, bytes[13]), (5, 5));
        assert_eq!(FrameHeader::decode(&long), None);
    }

    #[test]
    fn zeroes_are_no_frame() {
        assert_eq!(decode(&[0; 64], PLACE), None);
    }
}
