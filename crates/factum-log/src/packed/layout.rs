//! The bytes of a compressed segment, apart from what zstd makes: a frame that zstd skips, with a
//! head and a table of blocks. Pure.

use crate::format::header::{HEADER_BYTES, SegmentHeader};
use std::ops::Range;

/// A frame that every tool for zstd skips: RFC 8878, 3.1.2.
const SKIPPED: u32 = 0x184D_2A5F;
/// Bytes of what says that it is skipped: the number above, and its length.
const SKIPPED_BYTES: usize = 8;
const MAGIC: &[u8; 8] = b"FACTUMZS";
const VERSION: u32 = 1;
/// Where the head of the segment is in the head of the file.
const SEGMENT_AT: usize = 48;
/// Bytes before the table.
pub(super) const HEAD_BYTES: usize = SEGMENT_AT + HEADER_BYTES;
/// Bytes of the table for each block.
pub(super) const ENTRY_BYTES: usize = 8;
/// Segments are below 4 GiB: offsets in them have 32 bits.
const LEN_MAX: u64 = u32::MAX as u64;
/// The smallest and the largest block that is read, in bytes.
const BLOCK_BYTES_MIN: u32 = 4 << 10;
const BLOCK_BYTES_MAX: u32 = 1 << 20;

/// What a compressed segment says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Bytes of the segment.
    pub(super) len: u64,
    /// Bytes of a block of it; the last one may be shorter.
    pub(super) block_bytes: u32,
    /// The checksum of the table.
    pub(super) table_sum: u32,
    /// The first bytes of the segment, as they are: opening reads these only.
    pub(super) segment: Vec<u8>,
    /// The seed of the segment: part of every block's checksum.
    pub(super) seed: u64,
}

/// Why a head is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeadError {
    /// A byte is not what it was.
    Damaged,
    /// A later release wrote it, in this version.
    Newer(u32),
}

impl Head {
    /// Of a segment with this head and length; `None` where the head is none.
    pub(super) fn new(segment: Vec<u8>, len: u64, block_bytes: u32) -> Option<Self> {
        let seed = SegmentHeader::decode(&segment).ok()?.seed;
        let is_possible = (HEADER_BYTES as u64..=LEN_MAX).contains(&len)
            && (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&block_bytes);
        is_possible.then_some(Self { len, block_bytes, table_sum: 0, segment, seed })
    }

    pub(super) fn blocks(&self) -> u32 {
        let blocks = self.len.div_ceil(self.block_bytes.into());
        u32::try_from(blocks).expect("a segment is below 4 GiB")
    }

    /// Where a block is in the segment.
    pub(super) fn range(&self, block: u32) -> Range<u64> {
        let start = u64::from(block) * u64::from(self.block_bytes);
        start..(start + u64::from(self.block_bytes)).min(self.len)
    }

    pub(super) fn table_bytes(&self) -> usize {
        self.blocks() as usize * ENTRY_BYTES
    }

    /// Where the first block is in the file.
    pub(super) fn blocks_at(&self) -> u64 {
        (HEAD_BYTES + self.table_bytes()) as u64
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        let skipped = HEAD_BYTES - SKIPPED_BYTES + self.table_bytes();
        bytes.extend_from_slice(&SKIPPED.to_le_bytes());
        let skipped = u32::try_from(skipped).expect("a table is small");
        bytes.extend_from_slice(&skipped.to_le_bytes());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.len.to_le_bytes());
        bytes.extend_from_slice(&self.block_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.table_sum.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.segment);
        let sum = head_sum(&bytes).to_le_bytes();
        bytes.get_mut(20..24).expect("it is there").copy_from_slice(&sum);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        let damaged = HeadError::Damaged;
        let magic = bytes.get(SKIPPED_BYTES..16).ok_or(damaged)?;
        let sum = u32_at(bytes, 20).ok_or(damaged)?;
        if bytes.len() != HEAD_BYTES || magic != MAGIC || sum != head_sum(bytes) {
            return Err(damaged);
        }
        let version = u32_at(bytes, 16).ok_or(damaged)?;
        if version != VERSION {
            return Err(HeadError::Newer(version));
        }
        let segment = bytes.get(SEGMENT_AT..).ok_or(damaged)?.to_vec();
        let (len, block_bytes) = (u64_at(bytes, 24).zip(u32_at(bytes, 32))).ok_or(damaged)?;
        let table_sum = u32_at(bytes, 36).ok_or(damaged)?;
        let head = Self::new(segment, len, block_bytes).ok_or(damaged)?;
        Ok(Self { table_sum, ..head })
    }
}

/// Where each block is in the file, and what its checksum is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Table(Vec<Entry>);

/// A block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Where it ends, from where the first begins.
    pub(super) end: u32,
    /// Of seed, number and stored bytes.
    pub(super) sum: u32,
}

impl Table {
    pub(super) fn with_capacity(blocks: u32) -> Self {
        Self(Vec::with_capacity(blocks as usize))
    }

    /// Adds the next block; `None` where the file becomes larger than can be said.
    pub(super) fn push(&mut self, stored: &[u8], seed: u64) -> Option<Range<u64>> {
        let number = u32::try_from(self.0.len()).ok()?;
        let start = self.0.last().map_or(0, |before| before.end);
        let end = start.checked_add(u32::try_from(stored.len()).ok()?)?;
        self.0.push(Entry { end, sum: block_sum(seed, number, stored) });
        Some(start.into()..end.into())
    }

    /// Where a block is, from where the first begins, and its checksum.
    pub(super) fn block(&self, number: u32) -> Option<(Range<u64>, u32)> {
        let at = number as usize;
        let entry = self.0.get(at)?;
        let before = at.checked_sub(1).and_then(|before| self.0.get(before));
        let start = before.map_or(0, |before| before.end);
        Some((start.into()..entry.end.into(), entry.sum))
    }

    /// Bytes of all blocks.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |last| last.end.into())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let words = self.0.iter().flat_map(|entry| [entry.end, entry.sum]);
        words.flat_map(u32::to_le_bytes).collect()
    }

    /// `None` where a byte is not what it was.
    pub(super) fn decode(bytes: &[u8], head: &Head) -> Option<Self> {
        if bytes.len() != head.table_bytes() || crc32c::crc32c(bytes) != head.table_sum {
            return None;
        }
        let entries = bytes.chunks_exact(ENTRY_BYTES);
        let entry = |bytes| Some(Entry { end: u32_at(bytes, 0)?, sum: u32_at(bytes, 4)? });
        let entries: Vec<Entry> = entries.map(entry).collect::<Option<_>>()?;
        entries.is_sorted_by_key(|entry| entry.end).then_some(Self(entries))
    }
}

/// The checksum of a block: of another segment, or of another place, it is another one.
pub(super) fn block_sum(seed: u64, number: u32, stored: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&seed.to_le_bytes()), &number.to_le_bytes());
    crc32c::crc32c_append(sum, stored)
}

fn head_sum(bytes: &[u8]) -> u32 {
    let (before, after) = (bytes.get(..20), bytes.get(24..));
    crc32c::crc32c_append(crc32c::crc32c(before.unwrap_or_default()), after.unwrap_or_default())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let segment = SegmentHeader {
            store: uuid::Uuid::from_u128(7),
            number: 1,
            base: 1,
            floor_ns: 0,
            features: 0,
            seed: 9,
            origin: 9,
        };
        let head = Head::new(segment.encode(), (64 << 10) + 5, 64 << 10).unwrap();
        Head { table_sum: 3, ..head }
    }

    #[test]
    fn a_head_comes_back_and_says_where_blocks_are() {
        let head = head();
        assert_eq!(Head::decode(&head.encode()), Ok(head.clone()));
        assert_eq!((head.blocks(), head.range(1), head.seed), (2, 65_536..65_541, 9));
        assert_eq!(head.blocks_at(), (HEAD_BYTES + 16) as u64);
    }

    #[test]
    fn every_flipped_bit_and_every_length_of_a_head_is_seen() {
        let good = head().encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bad), Err(HeadError::Damaged), "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(Head::decode(&good[..len]), Err(HeadError::Damaged), "{len} bytes");
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut bytes = head().encode();
        bytes[16] = 2;
        let sum = head_sum(&bytes).to_le_bytes();
        bytes[20..24].copy_from_slice(&sum);
        assert_eq!(Head::decode(&bytes), Err(HeadError::Newer(2)));
    }

    #[test]
    fn a_table_comes_back_and_every_flipped_bit_is_seen() {
        let mut table = Table::with_capacity(2);
        assert_eq!(table.push(b"first", 9), Some(0..5));
        assert_eq!(table.push(b"second", 9), Some(5..11));
        let good = table.encode();
        let head = Head { table_sum: crc32c::crc32c(&good), ..head() };
        assert_eq!(Table::decode(&good, &head), Some(table.clone()));
        assert_eq!(table.block(1), Some((5..11, block_sum(9, 1, b"second"))));
        assert_eq!((table.block(2), table.end()), (None, 11));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Table::decode(&bad, &head), None, "bit {bit}");
        }
        assert_eq!(Table::decode(&good[..8], &head), None);
    }

    #[test]
    fn a_length_that_cannot_be_is_no_head() {
        let segment = head().segment;
        assert_eq!(Head::new(segment.clone(), u64::MAX, 64 << 10), None);
        assert_eq!(Head::new(segment.clone(), 5, 64 << 10), None);
        for block_bytes in [0, 1, u32::MAX] {
            assert_eq!(Head::new(segment.clone(), 1 << 20, block_bytes), None);
        }
    }
}
