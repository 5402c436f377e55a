//! The head of a segment: what wrote it, and what a reader must understand.

use crate::error::{Damage, HeaderError};
use uuid::Uuid;

/// Bytes before the first frame.
pub const HEADER_BYTES: usize = 4096;
/// The version of the format that this release writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// The features of the format that this release understands, of those a reader must understand.
pub const FEATURES_KNOWN: u64 = REWRITTEN | LOST;
/// The feature of a segment that was rewritten: at some of its positions there may be no event.
pub const REWRITTEN: u64 = 1;
/// The feature of a segment that took the place of a damaged one: it says which events are lost.
pub const LOST: u64 = 1 << 2;

const MAGIC: &[u8; 8] = b"FACTUMLG";
/// Bytes that the checksum covers, itself apart.
const USED: usize = 128;

/// What a segment's head says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Which store this is: the same in all of its segments.
    pub store: Uuid,
    /// The place of the segment in the store, from 1.
    pub number: u64,
    /// The position of its first event.
    pub base: u64,
    /// Recorded times in it are not before this: nanoseconds since 1970.
    pub floor_ns: i64,
    /// What a reader must understand, as bits.
    pub features: u64,
    /// Drawn at random for each segment: frames of another one do not pass for its own.
    pub seed: u64,
    /// The seed that it was created with: rewriting keeps it, restoring an end of a log does not.
    /// Two segments of one store and position that differ in it are of different histories.
    pub origin: u64,
}

impl SegmentHeader {
    /// The bytes at the head of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut bytes, 16, &self.features.to_le_bytes());
        // 24: features that a reader may ignore. None yet.
        put(&mut bytes, 32, self.store.as_bytes());
        put(&mut bytes, 48, &self.number.to_le_bytes());
        put(&mut bytes, 56, &self.base.to_le_bytes());
        put(&mut bytes, 64, &self.floor_ns.to_le_bytes());
        // 72: key id; 80: namespace id. Zero: not encrypted, the one namespace.
        put(&mut bytes, 88, &self.seed.to_le_bytes());
        put(&mut bytes, 96, &self.origin.to_le_bytes());
        let sum = checksum(&bytes);
        put(&mut bytes, 12, &sum.to_le_bytes());
        bytes
    }

    /// Reads the head. A newer version or an unknown feature is told apart from damage.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let damaged = || HeaderError::Damaged(Damage::Header);
        if bytes.len() < HEADER_BYTES || bytes.get(..8) != Some(MAGIC) {
            return Err(damaged());
        }
        let u64_at = |at| field::<8>(bytes, at).map(u64::from_le_bytes).ok_or_else(damaged);
        if field(bytes, 12).map(u32::from_le_bytes) != Some(checksum(bytes)) {
            return Err(damaged());
        }
        let version = field(bytes, 8).map(u32::from_le_bytes).ok_or_else(damaged)?;
        let features = u64_at(16)?;
        let unknown = features & !FEATURES_KNOWN;
        if version > FORMAT_VERSION || unknown != 0 {
            return Err(HeaderError::Newer { version, unknown });
        }
        let header = Self {
            store: Uuid::from_bytes(field(bytes, 32).ok_or_else(damaged)?),
            number: u64_at(48)?,
            base: u64_at(56)?,
            features,
            floor_ns: field(bytes, 64).map(i64::from_le_bytes).ok_or_else(damaged)?,
            seed: u64_at(88)?,
            origin: u64_at(96)?,
        };
        if header.base == 0 || header.number == 0 { Err(damaged()) } else { Ok(header) }
    }
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    let place = bytes.get_mut(at..at + field.len()).expect("fields lie in the head");
    place.copy_from_slice(field);
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn checksum(bytes: &[u8]) -> u32 {
    let before = bytes.get(..12).unwrap_or_default();
    let after = bytes.get(16..USED).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c(before), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        let (store, features) = (Uuid::from_u128(7), REWRITTEN);
        SegmentHeader { store, number: 2, base: 100, floor_ns: -5, features, seed: 9, origin: 8 }
    }

    #[test]
    fn it_comes_back() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_of_what_is_used_is_seen() {
        let good = header().encode();
        for bit in 0..USED * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let expected = Err(HeaderError::Damaged(Damage::Header));
            assert_eq!(SegmentHeader::decode(&bad), expected, "bit {bit}");
        }
    }

    fn resealed(at: usize, value: u8) -> Vec<u8> {
        let mut bytes = header().encode();
        bytes[at] = value;
        let sum = checksum(&bytes);
        put(&mut bytes, 12, &sum.to_le_bytes());
        bytes
    }

    #[test]
    fn a_newer_version_and_an_unknown_feature_are_no_damage() {
        let error = SegmentHeader::decode(&resealed(8, 2));
        assert_eq!(error, Err(HeaderError::Newer { version: 2, unknown: 0 }));
        let error = SegmentHeader::decode(&resealed(16, 64));
        assert_eq!(error, Err(HeaderError::Newer { version: 1, unknown: 64 }));
    }
}
