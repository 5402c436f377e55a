//! A frame: the unit that is checksummed. An append is one frame or several in a row; the first and
//! the last are marked, and only all of them together are an append.
//!
//! Small appends share nothing with their neighbours (one frame each); large ones are cut into
//! frames of [`FRAME_BYTES_AIM`], so that reading one event never means checking megabytes.

use crate::planted::{Bug, is_on};

/// Bytes before a frame's body.
pub const FRAME_HEADER_BYTES: usize = 28;
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
    /// Every byte of the segment before this offset was durable before this frame was written.
    pub durable: u32,
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
        put(frame, 4, &self.len.to_le_bytes());
        put(frame, 8, &self.ordinal.to_le_bytes());
        put(frame, 12, &self.recorded_at_ns.to_le_bytes());
        put(frame, 20, &self.durable.to_le_bytes());
        put(frame, 24, &self.count.to_le_bytes());
        put(frame, 26, &[self.flags(), 0]);
        let sum = checksum(frame, place);
        put(frame, 0, &sum.to_le_bytes());
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
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let flags = *bytes.get(26)?;
        if *bytes.get(27)? != 0 || flags & RESERVED != 0 {
            return None;
        }
        let header = Self {
            len: u32_at(4)?,
            ordinal: u32_at(8)?,
            recorded_at_ns: i64::from_le_bytes(bytes.get(12..20)?.try_into().ok()?),
            durable: u32_at(20)?,
            count: u16::from_le_bytes(bytes.get(24..26)?.try_into().ok()?),
            kind: Kind::from_bits(flags >> KIND_SHIFT)?,
            first: flags & FIRST != 0,
            last: flags & LAST != 0,
            tracking: flags & TRACKING != 0,
        };
        (header.len <= FRAME_BYTES_MAX).then_some(header)
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.len as usize
    }
}

fn put(frame: &mut [u8], at: usize, field: &[u8]) {
    let place = frame.get_mut(at..at + field.len()).expect("fields lie in the head");
    place.copy_from_slice(field);
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
    Some((header, frame.get(FRAME_HEADER_BYTES..)?))
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
            durable: 4000,
            count: 2,
            kind: Kind::Events,
            first: true,
            last: false,
            tracking: true,
        };
        let mut bytes = vec![0; FRAME_HEADER_BYTES];
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
    fn zeroes_are_no_frame() {
        assert_eq!(decode(&[0; 64], PLACE), None);
    }
}
