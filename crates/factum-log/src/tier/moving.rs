//! Moving sealed segments out, and fetching them back. Each step may crash and be begun again: the
//! segment can be read after every one of them.

use super::{
    ColdError, TierDisk,
    cold::ColdFile,
    disk::marker_path,
    marker::{BLOCK_BYTES, Marker},
};
use crate::{
    disk::{Disk, File, Mode, put_whole},
    error::Fault,
    format::header::{HEADER_BYTES, SegmentHeader},
    planted::{Bug, is_on},
    segment::{base_of, index_path, segment_path},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The file that says where the moved segments of a folder are.
pub(crate) const LOCATION: &str = "TIER";

/// What stays here: the newest segments, as long as both limits allow. The newest of all stays
/// always.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Bytes of sealed segments.
    pub bytes: u64,
    /// Sealed segments.
    pub segments: usize,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Segments.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A segment, and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TieredSegment {
    /// The position of its first event.
    pub base: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The object that has it; `None` where it is here.
    pub object: Option<String>,
}

/// Why a segment was not moved, or not fetched. It is where it was, whole.
#[derive(thiserror::Error, Debug, Clone)]
#[non_exhaustive]
pub enum MoveError {
    /// The disk refused. Mend that, and begin again.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The folder has segments somewhere else. Fetch them back first, or name that storage.
    #[error("{} has its moved segments in {known}, and not in {asked}: fetch them back first, or \
             name that storage", dir.display())]
    Elsewhere {
        /// The folder.
        dir: PathBuf,
        /// Where they are.
        known: String,
        /// What was asked for.
        asked: String,
    },
    /// The storage did not take it, or give it back. Begin again when it does.
    #[error("object {object} in {location}: {source}")]
    Cold {
        /// Which object.
        object: String,
        /// Where.
        location: String,
        /// What the storage says.
        source: ColdError,
    },
    /// What the storage gave back is not what it was given. The segment stays here.
    #[error("object {object} in {location} came back different: the segment stays here")]
    Different {
        /// Which object.
        object: String,
        /// Where.
        location: String,
    },
    /// The file is none that can be moved: its head is damaged. Verify the folder.
    #[error("{} has no whole head: verify the folder", file.display())]
    Head {
        /// Which.
        file: PathBuf,
    },
}

impl TierDisk {
    /// Every segment of a folder, the oldest first, and where it is.
    pub fn segments(&self, dir: &Path) -> Result<Vec<TieredSegment>, MoveError> {
        let names = self.list(dir).map_err(Fault::io("list", dir))?;
        let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name)).collect();
        bases.sort_unstable();
        bases.into_iter().map(|base| self.look(dir, base)).collect()
    }

    fn look(&self, dir: &Path, base: u64) -> Result<TieredSegment, MoveError> {
        let path = segment_path(dir, base);
        match self.0.disk.open(&path, Mode::Read) {
            Ok(file) => {
                let bytes = file.len().map_err(Fault::io("read", &path))?;
                Ok(TieredSegment { base, bytes, object: None })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let marker = self.marker(&path).and_then(|marker| marker.ok_or(error));
                let marker = marker.map_err(Fault::io("read", &path))?;
                Ok(TieredSegment { base, bytes: marker.len, object: Some(marker.key) })
            }
            Err(error) => Err(Fault::io("open", &path)(error).into()),
        }
    }

    /// Moves the oldest segments out until no more is here than is to be kept. `goes_on` is asked
    /// before each.
    ///
    /// The newest segment stays, and so does one whose index file is not written yet.
    pub fn move_out(
        &self,
        dir: &Path,
        keep: Keep,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Moved, MoveError> {
        self.remember(dir)?;
        let segments = self.segments(dir)?;
        let sealed = segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
        let (mut kept, mut bytes) = (0, 0);
        let mut too_many = Vec::new();
        for segment in sealed.iter().rev().filter(|segment| segment.object.is_none()) {
            (kept, bytes) = (kept + 1, bytes + segment.bytes);
            if kept > keep.segments || bytes > keep.bytes {
                too_many.push(segment);
            }
        }
        let mut moved = Moved::default();
        for segment in too_many.into_iter().rev() {
            if !goes_on() {
                break;
            }
            let has_index = self.0.disk.open(&index_path(dir, segment.base), Mode::Read).is_ok();
            if has_index && self.move_one(dir, segment.base)? {
                moved.segments += 1;
                moved.bytes += segment.bytes;
            }
        }
        Ok(moved)
    }

    /// Writes down where the segments are, before the first goes there.
    fn remember(&self, dir: &Path) -> Result<(), MoveError> {
        let asked = self.source().store.location().to_owned();
        match location(&*self.0.disk, dir)? {
            Some(known) if known == asked => Ok(()),
            Some(known) if self.segments(dir)?.iter().any(|one| one.object.is_some()) => {
                Err(MoveError::Elsewhere { dir: dir.to_owned(), known, asked })
            }
            _ => Ok(put_whole(&*self.0.disk, &dir.join(LOCATION), asked.as_bytes())?),
        }
    }

    /// Moves one sealed segment. False where it was written anew meanwhile.
    fn move_one(&self, dir: &Path, base: u64) -> Result<bool, MoveError> {
        let inner = &self.0;
        let path = segment_path(dir, base);
        let file = inner.disk.open(&path, Mode::Read).map_err(Fault::io("open", &path))?;
        let marker = describe(&*file, &path)?;
        // The upload before a crash may be whole.
        if self.read_back(&marker).is_err() {
            let put = self.source().store.put(&marker.key, &*file, marker.len);
            put.map_err(|source| self.cold(&marker, source))?;
            self.read_back(&marker)?;
        }
        // From here on no other file takes the name, and nothing waits for the storage.
        let mut open = inner.hold();
        let now = inner.disk.open(&path, Mode::Read).map_err(Fault::io("open", &path))?;
        if describe_head(&*now, &path)? != marker.head {
            // Another took it before: that is the segment now. Nobody will ask for the object.
            drop(open);
            let _ = self.source().store.delete(&marker.key);
            return Ok(false);
        }
        open.is_current(&path);
        if is_on(Bug::RemoveUnmarked) {
            inner.disk.remove(&path).map_err(Fault::io("remove", &path))?;
        }
        put_whole(&*inner.disk, &marker_path(&path), &marker.encode())?;
        let cold: Arc<dyn File> = Arc::new(ColdFile::new(self.source().clone(), marker));
        open.switch(&path, &cold);
        if !is_on(Bug::RemoveUnmarked) {
            inner.disk.remove(&path).map_err(Fault::io("remove", &path))?;
        }
        drop(open);
        inner.disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
        Ok(true)
    }

    /// Reads all of an object, and compares it with what it must be.
    fn read_back(&self, marker: &Marker) -> Result<(), MoveError> {
        let store = &self.source().store;
        for (block, sum) in (0..).zip(&marker.blocks) {
            let got = store.get(&marker.key, marker.range(block));
            let bytes = got.map_err(|source| self.cold(marker, source))?;
            if crc32c::crc32c(&bytes) != *sum {
                let (object, location) = (marker.key.clone(), store.location().to_owned());
                return Err(MoveError::Different { object, location });
            }
        }
        Ok(())
    }

    fn cold(&self, marker: &Marker, source: ColdError) -> MoveError {
        let location = self.source().store.location().to_owned();
        MoveError::Cold { object: marker.key.clone(), location, source }
    }

    /// Brings moved segments back, the newest first. `goes_on` is asked before each.
    ///
    /// The objects stay: a copy of the folder may need them, and one too many costs no facts.
    pub fn fetch_back(
        &self,
        dir: &Path,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Moved, MoveError> {
        let mut fetched = Moved::default();
        let segments = self.segments(dir)?;
        for segment in segments.iter().rev().filter(|segment| segment.object.is_some()) {
            if !goes_on() {
                break;
            }
            self.fetch_one(dir, segment.base)?;
            fetched.segments += 1;
            fetched.bytes += segment.bytes;
        }
        Ok(fetched)
    }

    fn fetch_one(&self, dir: &Path, base: u64) -> Result<(), MoveError> {
        let inner = &self.0;
        let path = segment_path(dir, base);
        let Some(marker) = self.marker(&path).map_err(Fault::io("read", &path))? else {
            return Ok(());
        };
        let unfinished = path.with_extension("fetched.tmp");
        let file =
            inner.disk.open(&unfinished, Mode::Create).map_err(Fault::io("create", &unfinished))?;
        for (block, _) in (0..).zip(&marker.blocks) {
            let bytes = self.source().fetch(&marker, block).map_err(Fault::io("fetch", &path))?;
            let at = u64::from(block) * BLOCK_BYTES;
            file.write_at(&bytes, at).map_err(Fault::io("write", &unfinished))?;
        }
        if !is_on(Bug::UnsyncedFetch) {
            file.sync().map_err(Fault::io("sync", &unfinished))?;
        }
        let mut open = inner.hold();
        if inner.disk.open(&path, Mode::Read).is_ok() {
            // It was written anew meanwhile, and is here.
            let removed = inner.disk.remove(&unfinished);
            return Ok(removed.map_err(Fault::io("remove", &unfinished))?);
        }
        inner.disk.rename(&unfinished, &path).map_err(Fault::io("rename", &unfinished))?;
        open.switch(&path, &file.into());
        drop(open);
        inner.disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
        Ok(inner.disk.remove(&marker_path(&path)).map_err(Fault::io("remove", &path))?)
    }
}

/// Where the moved segments of a folder are, if it has had any.
pub fn location(disk: &dyn Disk, dir: &Path) -> Result<Option<String>, Fault> {
    let path = dir.join(LOCATION);
    let read = || {
        let file = disk.open(&path, Mode::Read)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_at(&mut bytes, 0)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => Ok(Some(read.map_err(Fault::io("read", &path))?)),
    }
}

/// What a segment's marker is to say.
fn describe(file: &dyn File, path: &Path) -> Result<Marker, MoveError> {
    let head = describe_head(file, path)?;
    let header = SegmentHeader::decode(&head).ok();
    let header = header.ok_or_else(|| MoveError::Head { file: path.to_owned() })?;
    let len = file.len().map_err(Fault::io("read", path))?;
    let key = format!("{}/{:020}-{:016x}.log", header.store, header.base, header.seed);
    let mut marker = Marker { key, len, head, blocks: Vec::new() };
    let mut bytes = Vec::new();
    for block in 0..u32::try_from(len.div_ceil(BLOCK_BYTES)).expect("a segment is below 4 GiB") {
        let range = marker.range(block);
        bytes.resize(usize::try_from(range.end - range.start).expect("1 MiB at most"), 0);
        file.read_at(&mut bytes, range.start).map_err(Fault::io("read", path))?;
        marker.blocks.push(crc32c::crc32c(&bytes));
    }
    Ok(marker)
}

fn describe_head(file: &dyn File, path: &Path) -> Result<Vec<u8>, MoveError> {
    let mut head = vec![0; HEADER_BYTES];
    file.read_at(&mut head, 0).map_err(Fault::io("read", path))?;
    Ok(head)
}
