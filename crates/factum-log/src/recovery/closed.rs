//! How far the log reached when it was closed in good order: a file of its own, so that a newest
//! segment that was cut short, or is gone, does not pass for a crash.
//!
//! What it says is true for ever, as a log only grows: it is a lower bound, replaced at the next
//! closing, and whoever opens has nothing to take back. A file that is missing, damaged or of other
//! segments says nothing.

use crate::{
    disk::{Disk, Mode, put_whole},
    error::Fault,
};
use std::path::Path;

/// The file's name.
pub(crate) const CLOSED: &str = "CLOSED";
const MAGIC: &[u8; 8] = b"FACTUMCL";
const BYTES: usize = 36;

/// The end of the log at a closing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Closed {
    /// The first position of the newest segment.
    pub(crate) base: u64,
    /// Its seed.
    pub(crate) seed: u64,
    /// One past its last frame.
    pub(crate) end: u64,
}

impl Closed {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend([self.base, self.seed, self.end].iter().flat_map(|field| field.to_le_bytes()));
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, sum) = bytes.split_at_checked(BYTES - 4)?;
        if sum != crc32c::crc32c(fields).to_le_bytes() || fields.get(..8) != Some(MAGIC) {
            return None;
        }
        let field = |at: usize| Some(u64::from_le_bytes(fields.get(at..at + 8)?.try_into().ok()?));
        Some(Self { base: field(8)?, seed: field(16)?, end: field(24)? })
    }

    /// Says it, durably. The log itself is durable before.
    pub(crate) fn write(self, dir: &Path, disk: &dyn Disk) -> Result<(), Fault> {
        put_whole(disk, &dir.join(CLOSED), &self.encode())
    }

    /// What was said last, if anything.
    pub(crate) fn read(dir: &Path, disk: &dyn Disk) -> Option<Self> {
        let file = disk.open(&dir.join(CLOSED), Mode::Read).ok()?;
        let mut bytes = [0; BYTES];
        file.read_at(&mut bytes, 0).ok()?;
        Self::decode(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_whole_or_not_at_all() {
        let closed = Closed { base: 7, seed: u64::MAX, end: 5000 };
        let good = closed.encode();
        assert_eq!((good.len(), Closed::decode(&good)), (BYTES, Some(closed)));
        for bit in 0..BYTES * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Closed::decode(&bad), None, "bit {bit}");
        }
        assert_eq!(Closed::decode(&good[..BYTES - 1]), None);
    }
}
