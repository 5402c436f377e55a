//! A compressed segment as a file: its head from the head of the file, the rest block by block.

use super::{
    codec::Codec,
    layout::{HEAD_BYTES, Head, HeadError, Table, block_sum},
};
use crate::{
    disk::{BlockCache, File, Rotten},
    planted::{Bug, is_on},
};
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// What compressed files share.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) codec: Codec,
    pub(super) cache: BlockCache,
}

/// A compressed segment.
#[derive(Debug)]
pub(super) struct PackedFile {
    path: PathBuf,
    file: Box<dyn File>,
    shelf: Arc<Shelf>,
    /// What it says of itself; `None` where that is damaged, and nothing of it can be read.
    head: Option<Head>,
    /// Read when the first block is: 8 bytes for each.
    table: OnceLock<Table>,
}

impl PackedFile {
    /// Opens a compressed file. Where its head is damaged, every read of it says so.
    pub(super) fn new(file: Box<dyn File>, path: &Path, shelf: Arc<Shelf>) -> io::Result<Self> {
        let mut bytes = vec![0; HEAD_BYTES];
        let head = match file.read_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
            Ok(()) => match Head::decode(&bytes) {
                Ok(head) => Some(head),
                Err(HeadError::Damaged) => None,
                Err(HeadError::Newer(version)) => return Err(newer(path, version)),
            },
        };
        let (path, table) = (path.to_owned(), OnceLock::new());
        Ok(Self { path, file, shelf, head, table })
    }

    fn head(&self) -> io::Result<&Head> {
        self.head.as_ref().ok_or_else(|| Rotten::new(&self.path, 0, 0..u64::MAX).into())
    }

    fn table(&self, head: &Head) -> io::Result<&Table> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = self.read_table(head)?;
        Ok(self.table.get_or_init(|| table))
    }

    fn read_table(&self, head: &Head) -> io::Result<Table> {
        let rotten = || Rotten::new(&self.path, HEAD_BYTES as u64, 0..head.len);
        let mut bytes = vec![0; head.table_bytes()];
        self.read_stored(&mut bytes, HEAD_BYTES as u64, rotten)?;
        let table = Table::decode(&bytes, head).ok_or_else(rotten)?;
        let end = head.blocks_at() + table.end();
        if self.file.len()? > end {
            return Err(Rotten::new(&self.path, end, 0..head.len).into());
        }
        Ok(table)
    }

    /// Reads what is stored; where the file ends before, it is damaged.
    fn read_stored(
        &self,
        bytes: &mut [u8],
        at: u64,
        rotten: impl Fn() -> Rotten,
    ) -> io::Result<()> {
        self.file.read_at(bytes, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => rotten().into(),
            _ => error,
        })
    }

    /// Reads a block, checks it, and decompresses it into a buffer of its length.
    fn read_block(&self, head: &Head, number: u32, block: &mut [u8]) -> io::Result<()> {
        let table = self.table(head)?;
        let (place, sum) = table.block(number).ok_or(io::ErrorKind::UnexpectedEof)?;
        let at = head.blocks_at() + place.start;
        let rotten = || Rotten::new(&self.path, at, head.range(number));
        let len = usize::try_from(place.end - place.start).map_err(io::Error::other)?;
        let mut stored = vec![0; len];
        self.read_stored(&mut stored, at, rotten)?;
        if sum != block_sum(head.seed, number, &stored) && !is_on(Bug::TrustBlocks) {
            return Err(rotten().into());
        }
        if self.shelf.codec.decompress(&stored, block)? { Ok(()) } else { Err(rotten().into()) }
    }

    /// A part of a block, through the cache.
    fn part(&self, head: &Head, number: u32, part: &mut [u8], from: usize) -> io::Result<()> {
        let id = (head.seed, number);
        let block = match self.shelf.cache.get(id) {
            Some(block) => block,
            None => {
                let mut block = vec![0; bytes_in(&head.range(number))];
                self.read_block(head, number, &mut block)?;
                let block: Arc<[u8]> = block.into();
                self.shelf.cache.put(id, &block);
                block
            }
        };
        let known = block.get(from..from + part.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        part.copy_from_slice(known);
        Ok(())
    }

    /// Reads from the blocks. Those that are asked for whole are not kept: who reads so goes on.
    fn read_blocks(&self, head: &Head, buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let number = u32::try_from(offset / u64::from(head.block_bytes))
                .map_err(|_| io::ErrorKind::UnexpectedEof)?;
            let range = head.range(number);
            let len = bytes_in(&(offset..range.end)).min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            if now.len() == bytes_in(&range) {
                self.read_block(head, number, now)?;
            } else {
                self.part(head, number, now, bytes_in(&(range.start..offset)))?;
            }
            (rest, offset) = (later, offset + len as u64);
        }
        Ok(())
    }
}

fn bytes_in(range: &Range<u64>) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).expect("a block fits in memory")
}

fn newer(path: &Path, version: u32) -> io::Error {
    let what = format!(
        "{} has version {version} of compressed segments: use the release that wrote it, or a \
         later one",
        path.display()
    );
    io::Error::new(io::ErrorKind::Unsupported, what)
}

impl File for PackedFile {
    fn len(&self) -> io::Result<u64> {
        // Where nothing can be read there is nothing; reading says why.
        Ok(self.head.as_ref().map_or(0, |head| head.len))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let head = self.head()?;
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= head.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        if let (Ok(from), Ok(to)) = (usize::try_from(offset), usize::try_from(end))
            && let Some(known) = head.segment.get(from..to)
        {
            buffer.copy_from_slice(known);
            return Ok(());
        }
        self.read_blocks(head, buffer, offset)
    }

    /// What is there already may be written again, as opening does to be sure: it is durable.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut there = vec![0; bytes.len()];
        if self.read_at(&mut there, offset).is_ok() && there == bytes {
            return Ok(());
        }
        let what = "the segment is compressed: nothing is written to it";
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, what))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn stored_bytes(&self) -> io::Result<u64> {
        self.file.len()
    }
}
