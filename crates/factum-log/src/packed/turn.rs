//! Giving a segment another file with the same bytes: a compressed one, or a plain one again.
//!
//! Each step may crash and be begun again. Before the last one both files are there, or the old one
//! only; each is whole, and the plain one counts. The segment may be written anew, or moved,
//! meanwhile: then this one's work is thrown away.

use super::{
    PackError, PackedDisk,
    codec::Packer,
    layout::{HEAD_BYTES, Head, Table},
    packed_path,
    packing::Watch,
};
use crate::{
    disk::{Disk, File, Mode, Rotten},
    error::Fault,
    format::header::HEADER_BYTES,
    planted::{Bug, is_on},
    segment::segment_path,
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

/// Bytes that are compressed at once: larger ones make a smaller file, and a single event costs
/// more to read.
const BLOCK_BYTES: u32 = 64 << 10;
/// Bytes that are written, or compared, at once.
const PIECE_BYTES: usize = 1 << 20;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Compressed, at this level.
    Pack(i32),
    /// Plain again.
    Expand,
}

/// A segment that is given another file.
pub(super) struct Turn<'a> {
    packed: &'a PackedDisk,
    way: Way,
    dir: &'a Path,
    segment: PathBuf,
    /// The file that it has.
    from: PathBuf,
    /// The file that it gets, and its name until it is whole.
    to: PathBuf,
    unfinished: PathBuf,
}

/// Why there is no file.
enum Left {
    /// It was told to stop.
    Stopped,
    Failed(PackError),
}

impl<E: Into<PackError>> From<E> for Left {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a> Turn<'a> {
    pub(super) fn new(packed: &'a PackedDisk, (dir, base): (&'a Path, u64), way: Way) -> Self {
        let plain = segment_path(dir, base);
        let compressed = packed_path(&plain);
        let segment = plain.clone();
        let (from, to, unfinished) = match way {
            Way::Pack(_) => {
                let unfinished = plain.with_extension("log.zst.tmp");
                (plain, compressed, unfinished)
            }
            Way::Expand => {
                let unfinished = plain.with_extension("unpacked.tmp");
                (compressed, plain, unfinished)
            }
        };
        Self { packed, way, dir, segment, from, to, unfinished }
    }

    fn disk(&self) -> &dyn Disk {
        &*self.packed.0.disk
    }

    /// Does it; the bytes that the segment takes then. `None` where it was told to stop, or there
    /// is no such segment any more.
    pub(super) fn run(&self, watch: Watch<'_>) -> Result<Option<u64>, PackError> {
        let stand_in = &self.packed.0.stand_in;
        let _one = stand_in.packing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_packed = self.way == Way::Expand;
        let source = match self.open(&self.from, is_packed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(Fault::io("open", &self.from))?,
        };
        let head = self.head(&*source)?;
        let placed = self.make(&*source, watch).and_then(|()| Ok(self.take_place(&head)?));
        if !matches!(placed, Ok(Some(_))) {
            // Opening would remove it too; a full disk wants the space now.
            let _ = self.disk().remove(&self.unfinished);
        }
        match placed {
            Ok(placed) => Ok(placed),
            Err(Left::Stopped) => Ok(None),
            Err(Left::Failed(error)) => Err(error),
        }
    }

    fn open(&self, path: &Path, is_packed: bool) -> io::Result<Arc<dyn File>> {
        if is_packed {
            return Ok(Arc::new(self.packed.0.stand_in.open_packed(self.disk(), path)?));
        }
        Ok(self.disk().open(path, Mode::Read)?.into())
    }

    /// The head of the segment: it says which one this is.
    fn head(&self, file: &dyn File) -> Result<Vec<u8>, PackError> {
        let mut head = vec![0; HEADER_BYTES];
        match file.read_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(PackError::Head { file: self.segment.clone() })
            }
            read => Ok(read.map(|()| head).map_err(Fault::io("read", &self.segment))?),
        }
    }

    /// Writes the new file, makes it durable, and compares it with the old one.
    fn make(&self, source: &dyn File, watch: Watch<'_>) -> Result<(), Left> {
        let name = &self.unfinished;
        let file = self.disk().open(name, Mode::Create).map_err(Fault::io("create", name))?;
        let output = Output { turn: self, file: &*file };
        match self.way {
            Way::Pack(level) => output.pack(source, level, watch)?,
            Way::Expand => output.expand(source, watch)?,
        }
        if !is_on(Bug::UnsyncedPacking) {
            file.sync().map_err(Fault::io("sync", name))?;
        }
        if is_on(Bug::TrustPacking) {
            return Ok(());
        }
        match self.is_same(source)? {
            true => Ok(()),
            false => Err(PackError::Different { file: self.to.clone() }.into()),
        }
    }

    /// Whether the new file reads as the old one does.
    fn is_same(&self, source: &dyn File) -> Result<bool, Fault> {
        let made = self.open(&self.unfinished, self.way != Way::Expand);
        let made = made.map_err(Fault::io("open", &self.unfinished))?;
        let len = source.len().map_err(Fault::io("read", &self.from))?;
        if made.len().map_err(Fault::io("read", &self.unfinished))? != len {
            return Ok(false);
        }
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for at in (0..len).step_by(PIECE_BYTES) {
            let piece = usize::try_from(len - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
            old.resize(piece, 0);
            new.resize(piece, 0);
            source.read_at(&mut old, at).map_err(Fault::io("read", &self.from))?;
            match made.read_at(&mut new, at) {
                Err(error) if Rotten::of(&error).is_some() => return Ok(false),
                read => read.map_err(Fault::io("read", &self.unfinished))?,
            }
            if old != new {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives the new file its name, and removes the old one when that is durable. Holds no lock
    /// while the disk syncs. `None` where the segment is another one now, or gone.
    fn take_place(&self, head: &[u8]) -> Result<Option<u64>, PackError> {
        let mut open = self.packed.0.hold();
        if !self.is_still(head)? {
            return Ok(None);
        }
        let renamed = self.disk().rename(&self.unfinished, &self.to);
        renamed.map_err(Fault::io("rename", &self.unfinished))?;
        open.is_current(&self.segment);
        drop(open);
        if !is_on(Bug::RemoveBeforePacked) {
            self.disk().sync_dir(self.dir).map_err(Fault::io("sync", self.dir))?;
        }
        let mut open = self.packed.0.hold();
        if !self.is_still(head)? {
            return Ok(None);
        }
        let made = self.open(&self.to, self.way != Way::Expand);
        let made = made.map_err(Fault::io("open", &self.to))?;
        let stored = made.stored_bytes().map_err(Fault::io("read", &self.to))?;
        open.switch(&self.segment, &made);
        self.disk().remove(&self.from).map_err(Fault::io("remove", &self.from))?;
        drop(open);
        self.disk().sync_dir(self.dir).map_err(Fault::io("sync", self.dir))?;
        Ok(Some(stored))
    }

    /// Whether this is still the segment, wherever it is.
    fn is_still(&self, head: &[u8]) -> Result<bool, PackError> {
        match self.packed.0.find(&self.segment, Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => {
                let found = found.map_err(Fault::io("open", &self.segment))?;
                Ok(self.head(&*found)? == head)
            }
        }
    }
}

/// The new file in the making.
struct Output<'a> {
    turn: &'a Turn<'a>,
    file: &'a dyn File,
}

impl Output<'_> {
    fn write(&self, bytes: &[u8], at: u64) -> Result<(), Fault> {
        self.file.write_at(bytes, at).map_err(Fault::io("write", &self.turn.unfinished))
    }

    /// Compresses block by block; the head comes last, as it has the checksum of the table.
    fn pack(&self, source: &dyn File, level: i32, watch: Watch<'_>) -> Result<(), Left> {
        let Turn { from, to, segment, .. } = self.turn;
        let len = source.len().map_err(Fault::io("read", from))?;
        let head = Head::new(self.turn.head(source)?, len, BLOCK_BYTES);
        let mut head = head.ok_or_else(|| PackError::Head { file: segment.clone() })?;
        let mut packer = Packer::new(level).map_err(Fault::io("compress", from))?;
        let mut table = Table::with_capacity(head.blocks());
        let (mut block, mut buffer, mut at) = (Vec::new(), Vec::new(), head.blocks_at());
        for number in 0..head.blocks() {
            let range = head.range(number);
            let bytes = range.end - range.start;
            block.resize(usize::try_from(bytes).expect("a block is small"), 0);
            source.read_at(&mut block, range.start).map_err(Fault::io("read", from))?;
            let stored = packer.compress(&block).map_err(Fault::io("compress", from))?;
            let too_large = || Fault::io("write", to)(io::ErrorKind::FileTooLarge.into());
            table.push(&stored, head.seed).ok_or_else(too_large)?;
            buffer.extend_from_slice(&stored);
            if buffer.len() >= PIECE_BYTES {
                self.write(&buffer, at)?;
                at += buffer.len() as u64;
                buffer.clear();
            }
            if !watch(bytes) {
                return Err(Left::Stopped);
            }
        }
        if !buffer.is_empty() {
            self.write(&buffer, at)?;
        }
        let table = table.encode();
        head.table_sum = crc32c::crc32c(&table);
        self.write(&table, HEAD_BYTES as u64)?;
        Ok(self.write(&head.encode(), 0)?)
    }

    /// Copies the bytes as they are read.
    fn expand(&self, source: &dyn File, watch: Watch<'_>) -> Result<(), Left> {
        let from = &self.turn.from;
        let len = source.len().map_err(Fault::io("read", from))?;
        let mut piece = Vec::new();
        for at in (0..len).step_by(PIECE_BYTES) {
            let bytes = (len - at).min(PIECE_BYTES as u64);
            piece.resize(usize::try_from(bytes).expect("a piece is small"), 0);
            source.read_at(&mut piece, at).map_err(Fault::io("read", from))?;
            self.write(&piece, at)?;
            if !watch(bytes) {
                return Err(Left::Stopped);
            }
        }
        Ok(())
    }
}
