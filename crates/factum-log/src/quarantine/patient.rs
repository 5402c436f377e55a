//! A file of which some sectors cannot be read any more: those are zeroes, and what is around them
//! is what it is. Nothing that has a checksum takes zeroes for what was there.

use crate::disk::File;
use std::io;

/// Bytes that are tried on their own where more cannot be read at once.
const PIECE: usize = 4096;

/// Reads what can be read.
#[derive(Debug)]
pub(super) struct Patient(pub(super) Box<dyn File>);

impl File for Patient {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self.0.read_at(buffer, offset) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {}
            read => return read,
        }
        for (piece, at) in buffer.chunks_mut(PIECE).zip((offset..).step_by(PIECE)) {
            if self.0.read_at(piece, at).is_err() {
                piece.fill(0);
            }
        }
        Ok(())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of value 7, and a page that cannot be read.
    #[derive(Debug)]
    struct Bad(u64);

    impl File for Bad {
        fn len(&self) -> io::Result<u64> {
            Ok(5 * PIECE as u64)
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let end = offset + buffer.len() as u64;
            buffer.fill(7);
            let is_bad = offset < (self.0 + 1) * PIECE as u64 && end > self.0 * PIECE as u64;
            if is_bad { Err(io::Error::other("sector")) } else { Ok(()) }
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!("it is read only")
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_around_a_bad_page_is_read() {
        let mut bytes = vec![0; 3 * PIECE];
        Patient(Box::new(Bad(2))).read_at(&mut bytes, PIECE as u64).unwrap();
        let pieces: Vec<u8> = bytes.chunks(PIECE).map(|piece| piece[PIECE / 2]).collect();
        assert_eq!(pieces, [7, 0, 7]);
    }
}
