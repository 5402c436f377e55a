//! The file that stands where a segment was: which object has it, and what its bytes must be.

use crate::format::header::{HEADER_BYTES, SegmentHeader};
use std::ops::Range;

/// Ends the name of a marker.
pub(crate) const MARKER: &str = ".tier";
/// Bytes of a block: what is asked for at once, and has a checksum of its own.
pub(super) const BLOCK_BYTES: u64 = 1 << 20;

const MAGIC: &[u8; 8] = b"FACTUMTR";
const VERSION: u32 = 1;
/// Bytes before the object's name.
const FIXED: usize = 36;
/// The longest name of an object.
const KEY_BYTES_MAX: usize = 1024;

/// What a marker says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Marker {
    pub(super) key: String,
    pub(super) len: u64,
    /// The first bytes of the segment, as they are.
    pub(super) head: Vec<u8>,
    /// A checksum for each block.
    pub(super) blocks: Vec<u32>,
}

impl Marker {
    /// The seed of the segment; `None` where the head is none.
    pub(super) fn seed(&self) -> Option<u64> {
        SegmentHeader::decode(&self.head).ok().map(|header| header.seed)
    }

    /// Where a block is in the segment.
    pub(super) fn range(&self, block: u32) -> Range<u64> {
        let start = u64::from(block) * BLOCK_BYTES;
        start..(start + BLOCK_BYTES).min(self.len)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED + HEADER_BYTES + self.blocks.len() * 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.len.to_le_bytes());
        bytes.extend_from_slice(&BLOCK_BYTES.to_le_bytes());
        let key = u32::try_from(self.key.len()).expect("a key is short");
        bytes.extend_from_slice(&key.to_le_bytes());
        bytes.extend_from_slice(self.key.as_bytes());
        bytes.extend_from_slice(&self.head);
        self.blocks.iter().for_each(|sum| bytes.extend_from_slice(&sum.to_le_bytes()));
        let sum = checksum(&bytes).to_le_bytes();
        bytes.get_mut(12..16).expect("it is there").copy_from_slice(&sum);
        bytes
    }

    /// `None` where a byte is not what it was, or a later release wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let is_ours = bytes.get(..8)? == MAGIC && u32_at(8)? == VERSION;
        if !is_ours || u32_at(12)? != checksum(bytes) || u64_at(24)? != BLOCK_BYTES {
            return None;
        }
        let (len, key_len) = (u64_at(16)?, u32_at(32)? as usize);
        let (key, rest) = bytes.get(FIXED..)?.split_at_checked(key_len)?;
        let (head, sums) = rest.split_at_checked(HEADER_BYTES)?;
        let blocks: Vec<u32> = sums
            .chunks_exact(4)
            .filter_map(|sum| Some(u32::from_le_bytes(sum.try_into().ok()?)))
            .collect();
        let is_whole = blocks.len() as u64 == len.div_ceil(BLOCK_BYTES) && key_len <= KEY_BYTES_MAX;
        let key = String::from_utf8(key.to_vec()).ok()?;
        is_whole.then(|| Self { key, len, head: head.to_vec(), blocks })
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let (before, after) = (bytes.get(..12), bytes.get(16..));
    crc32c::crc32c_append(crc32c::crc32c(before.unwrap_or_default()), after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        let head = SegmentHeader {
            store: uuid::Uuid::from_u128(7),
            number: 1,
            base: 1,
            floor_ns: 0,
            features: 0,
            seed: 9,
            origin: 9,
        };
        let blocks = vec![3, 4];
        Marker { key: "store/1.log".into(), len: BLOCK_BYTES + 5, head: head.encode(), blocks }
    }

    #[test]
    fn it_comes_back() {
        let marker = marker();
        assert_eq!(Marker::decode(&marker.encode()), Some(marker.clone()));
        assert_eq!(marker.seed(), Some(9));
        assert_eq!(marker.range(1), BLOCK_BYTES..BLOCK_BYTES + 5);
    }

    #[test]
    fn every_flipped_bit_and_every_length_is_seen() {
        let good = marker().encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Marker::decode(&bad), None, "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(Marker::decode(&good[..len]), None, "{len} bytes");
        }
    }
}
