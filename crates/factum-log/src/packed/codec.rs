//! zstd, a block at a time: each is a frame of its own, so that each can be read alone.

use std::{
    io,
    sync::{Mutex, PoisonError},
};
use zstd::bulk::{Compressor, Decompressor};

/// Decompressors that are kept for the next block. More are made while more threads read.
const IDLE_MAX: usize = 4;

/// Decompresses blocks. Threads share it.
#[derive(Default)]
pub(super) struct Codec {
    idle: Mutex<Vec<Decompressor<'static>>>,
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codec")
    }
}

impl Codec {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Decompressor<'static>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decompresses a block into a buffer that is as long as it must be; false where it has fewer
    /// bytes or more, or is no block.
    pub(super) fn decompress(&self, stored: &[u8], block: &mut [u8]) -> io::Result<bool> {
        let kept = self.idle().pop();
        let mut decompressor = kept.map_or_else(Decompressor::new, Ok)?;
        let made = decompressor.decompress_to_buffer(stored, block);
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(decompressor);
        }
        Ok(made.is_ok_and(|bytes| bytes == block.len()))
    }
}

/// Compresses blocks, one after the other.
pub(super) struct Packer(Compressor<'static>);

impl Packer {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        Ok(Self(Compressor::new(level)?))
    }

    pub(super) fn compress(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_and_no_other_length_does() {
        let (codec, mut packer) = (Codec::default(), Packer::new(3).unwrap());
        let mixed = (0..70_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8);
        for block in [vec![0; 70_000], mixed.collect()] {
            let stored = packer.compress(&block).unwrap();
            let mut back = vec![1; block.len()];
            assert!(codec.decompress(&stored, &mut back).unwrap());
            assert_eq!(back, block);
            for len in [0, block.len() - 1, block.len() + 1] {
                assert!(!codec.decompress(&stored, &mut vec![0; len]).unwrap(), "{len} bytes");
            }
            assert!(!codec.decompress(&stored[..stored.len() - 1], &mut back).unwrap());
        }
        assert!(!codec.decompress(b"no block", &mut [0; 8]).unwrap());
    }

    /// A frame that says that it has gigabytes is not believed.
    #[test]
    fn a_lying_length_takes_no_memory() {
        // Magic, a single segment with eight bytes of length, 1 TiB, and an empty last block.
        let mut stored = vec![0x28, 0xB5, 0x2F, 0xFD, 0xE0];
        stored.extend_from_slice(&(1u64 << 40).to_le_bytes());
        stored.extend_from_slice(&[1, 0, 0]);
        assert!(!Codec::default().decompress(&stored, &mut [0; 100]).unwrap());
    }
}
