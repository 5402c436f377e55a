//! Bringing back what was put aside: the segment itself, mended or from a backup, where it still
//! fits in its place.
//!
//! What must hold: nothing that was written since is contradicted. A segment that would say of a
//! position, or of a stream's revision, what another says too does not come back.

use super::{
    QUARANTINE, UndoError,
    folder::{ClosedFolder, head},
    salvage::{Salvage, salvage},
};
use crate::{
    disk::{Disk, File, Mode, put_whole},
    error::Fault,
    format::{
        frame::{FrameHeader, FramePlace, Kind},
        header::{LOST, SegmentHeader},
    },
    index::{Index, IndexFile, MemoryIndex, PageCache, build},
    options::World,
    recovery::Window,
    segment::{index_path, segment_path},
};
use factum_core::{Position, StreamName};
use std::{
    any::Any,
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// What is to come back.
#[derive(Clone, Copy, Debug)]
pub struct Undo<'a> {
    /// The folder of the store. Nobody may have it open.
    pub dir: &'a Path,
    /// The first position of the segment.
    pub segment: Position,
    /// Where it comes from: the file of the segment, or the folder of a backup that has it. Without
    /// it, from what was put aside, which somebody has mended.
    pub from: Option<&'a Path>,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undone {
    /// The file that it came from, which stays.
    pub file: PathBuf,
    /// Positions that were lost and are not any more.
    pub positions: u64,
}

/// Brings a segment back, if it fits in its place.
///
/// # Errors
/// [`UndoError`] says why it does not; nothing has changed then.
pub fn undo(what: &Undo<'_>, world: &World) -> Result<Undone, UndoError> {
    let ClosedFolder { bases, lock, .. } = ClosedFolder::new(what.dir, &*world.disk)?;
    let run = Run { what, disk: &*world.disk, bases, _lock: lock };
    let stands = run.stands()?;
    let mut why = UndoError::NoFile { base: what.segment };
    for file in run.candidates()? {
        match run.fits(&file, &stands) {
            Ok(candidate) => return run.put_back(&candidate, &stands),
            Err(misfit) => why = misfit,
        }
    }
    Err(why)
}

struct Run<'a> {
    what: &'a Undo<'a>,
    disk: &'a dyn Disk,
    bases: BTreeSet<u64>,
    _lock: Box<dyn Any + Send + Sync>,
}

/// A segment that was read.
struct Segment {
    file: Box<dyn File>,
    path: PathBuf,
    header: SegmentHeader,
    salvage: Salvage,
}

impl Run<'_> {
    fn base(&self) -> u64 {
        self.what.segment.0
    }

    /// The segment that stands in the place, which says what is lost.
    fn stands(&self) -> Result<Segment, UndoError> {
        let path = segment_path(self.what.dir, self.base());
        let nothing = UndoError::NothingLost { base: self.what.segment };
        if !self.bases.contains(&self.base()) {
            return Err(nothing);
        }
        let header = head(self.disk, &path, self.base())?;
        match header.filter(|header| header.features & LOST != 0) {
            Some(header) => Ok(self.read(path, header)?),
            None => Err(nothing),
        }
    }

    fn read(&self, path: PathBuf, header: SegmentHeader) -> Result<Segment, Fault> {
        let file = self.disk.open(&path, Mode::Read).map_err(Fault::io("open", &path))?;
        let salvage = salvage(&*file, &path, (&header, MemoryIndex::default()))?;
        Ok(Segment { file, path, header, salvage })
    }

    /// Files that may be it, the latest that was put aside first.
    fn candidates(&self) -> Result<Vec<PathBuf>, UndoError> {
        if let Some(from) = self.what.from {
            let inside = segment_path(from, self.base());
            let is_folder = self.disk.open(&inside, Mode::Read).is_ok();
            return Ok(vec![if is_folder { inside } else { from.to_owned() }]);
        }
        let aside = self.what.dir.join(QUARANTINE);
        let mut names = self.disk.list(&aside).unwrap_or_default();
        let begins = format!("{:020}-", self.base());
        names.retain(|name| name.starts_with(&begins) && name.ends_with(".log"));
        names.sort();
        Ok(names.iter().rev().map(|name| aside.join(name)).collect())
    }

    /// Reads a file, and says whether it can stand in the place.
    fn fits(&self, path: &Path, stands: &Segment) -> Result<Segment, UndoError> {
        let misfit = |why: String| UndoError::Misfit { file: path.to_owned(), why };
        let header = head(self.disk, path, self.base())?;
        let header = header.ok_or_else(|| misfit("it has no whole head of this segment".into()))?;
        let here = &stands.header;
        // Where the damaged one's head was gone too, its origin is its seed, or not known.
        let is_of_history =
            here.origin == here.seed || [header.origin, header.seed].contains(&here.origin);
        if header.store != here.store || header.number != here.number || !is_of_history {
            return Err(misfit("it is of another store, place or history".into()));
        }
        let candidate = self.read(path.to_owned(), header)?;
        let scan = &candidate.salvage.scan;
        if let Some(missing) = scan.missing.first() {
            return Err(misfit(format!(
                "it is damaged at offset {}: {}",
                missing.offset, missing.what
            )));
        }
        if !scan.index.lost().is_empty() {
            return Err(misfit("events are lost in it too".into()));
        }
        let (has, wanted) = (scan.index.next(), stands.salvage.scan.index.next());
        if has < wanted {
            let upto = self.base() + u64::from(has) - 1;
            return Err(misfit(format!("it ends before the segment does, at position {upto}")));
        }
        if has > wanted && self.bases.range(self.base() + 1..).next().is_some() {
            let at = self.base() + u64::from(wanted);
            return Err(misfit(format!("position {at} has been given to what came since")));
        }
        if self.floor()?.is_some_and(|floor_ns| scan.last_ns > floor_ns) {
            return Err(misfit("it was recorded after what comes behind it".into()));
        }
        self.agrees(&candidate, stands).map_err(misfit)?;
        self.is_followed(&candidate, stands)?.map_err(misfit)?;
        Ok(candidate)
    }

    /// The time before which nothing behind it was recorded.
    fn floor(&self) -> Result<Option<i64>, UndoError> {
        let Some(next) = self.bases.range(self.base() + 1..).next() else { return Ok(None) };
        let head = head(self.disk, &segment_path(self.what.dir, *next), *next)?;
        Ok(head.map(|head| head.floor_ns))
    }

    /// Whether what is there now is there as it is: what was erased since stays erased.
    fn agrees(&self, candidate: &Segment, stands: &Segment) -> Result<(), String> {
        type Said = (uuid::Uuid, u64, Option<StreamName>, Option<factum_core::EventType>);
        let said = |of: &Segment| -> HashMap<u32, Said> {
            let names = &of.salvage.scan.index;
            let event = |one: &super::salvage::KeptEvent| {
                let stream = names.stream_name(one.stream);
                let event_type = names.event_type(one.event_type);
                (one.ordinal, (one.id, one.revision, stream, event_type))
            };
            of.salvage.events.iter().map(event).collect()
        };
        let theirs = said(candidate);
        let differs = |one: &(u32, Said)| theirs.get(&one.0) != Some(&one.1);
        match said(stands).into_iter().filter(differs).map(|(ordinal, _)| ordinal).min() {
            None => Ok(()),
            Some(ordinal) => {
                let position = self.base() + u64::from(ordinal);
                Err(format!("the event at position {position} is another one, or was erased since"))
            }
        }
    }

    /// Whether streams go on behind it where it leaves them.
    fn is_followed(
        &self,
        candidate: &Segment,
        stands: &Segment,
    ) -> Result<Result<(), String>, UndoError> {
        let index = &candidate.salvage.scan.index;
        let lost = stands.salvage.scan.index.lost();
        // The last revision of each stream that comes back.
        let mut last = HashMap::new();
        for event in &candidate.salvage.events {
            if lost.at(event.ordinal).is_some()
                && let Some(stream) = index.stream_name(event.stream)
            {
                last.insert(stream, event.revision);
            }
        }
        for base in self.bases.range(self.base() + 1..) {
            let behind = self.behind(*base)?;
            let mut met = HashSet::new();
            for (stream, revision) in &last {
                let Some(span) = behind.span(stream, u32::MAX)? else { continue };
                if span.first_revision <= *revision {
                    let why = format!(
                        "revision {} of {stream} has been given to another event since",
                        span.first_revision
                    );
                    return Ok(Err(why));
                }
                met.insert(stream.clone());
            }
            last.retain(|stream, _| !met.contains(stream));
        }
        Ok(Ok(()))
    }

    /// The index of a segment behind it.
    fn behind(&self, base: u64) -> Result<Index, UndoError> {
        let path = segment_path(self.what.dir, base);
        let misfit = |why: &str| UndoError::Misfit { file: path.clone(), why: why.into() };
        let header = head(self.disk, &path, base)?;
        let header = header.ok_or_else(|| misfit("it is damaged: put it aside, or mend it"))?;
        let index_path = index_path(self.what.dir, base);
        let pages = PageCache::default();
        let file = self.disk.open(&index_path, Mode::Read).ok();
        let index = file.and_then(|file| IndexFile::open(file, index_path, header.seed, &pages));
        match index {
            Some(index) => Ok(Index::file(index)),
            None => Ok(Index::memory(self.read(path.clone(), header)?.salvage.scan.index)),
        }
    }

    /// Copies the file into its place: whole and durable first.
    fn put_back(&self, candidate: &Segment, stands: &Segment) -> Result<Undone, UndoError> {
        let Segment { file, path: from, header, salvage } = candidate;
        let (disk, dir) = (self.disk, self.what.dir);
        let unfinished = stands.path.with_extension("log.tmp");
        let out = disk.open(&unfinished, Mode::Create).map_err(Fault::io("create", &unfinished))?;
        let mut window = Window::new(&**file, from)?;
        let (mut at, end) = (0, salvage.scan.end);
        while at < end {
            let bytes = window.at(at, (end - at).min(CHUNK))?;
            out.write_at(bytes, at).map_err(Fault::io("write", &unfinished))?;
            at += bytes.len() as u64;
        }
        if !salvage.scan.sealed {
            let seal = seal(header, salvage);
            out.write_at(&seal, end).map_err(Fault::io("write", &unfinished))?;
        }
        out.sync().map_err(Fault::io("sync", &unfinished))?;
        disk.rename(&unfinished, &stands.path).map_err(Fault::io("rename", &unfinished))?;
        disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
        let index = build(&salvage.scan.index, header.seed);
        put_whole(disk, &index_path(dir, header.base), &index)?;
        let positions = stands.salvage.scan.index.lost().count();
        Ok(Undone { file: from.clone(), positions })
    }
}

/// Bytes that are copied at once.
const CHUNK: u64 = 1 << 20;

/// The seal of a segment that was the newest, and is not any more.
fn seal(header: &SegmentHeader, salvage: &Salvage) -> Vec<u8> {
    let scan = &salvage.scan;
    let head = FrameHeader {
        len: 0,
        ordinal: scan.index.next(),
        recorded_at_ns: scan.last_ns,
        pending: 0,
        count: 0,
        kind: Kind::Sealed,
        first: true,
        last: true,
        tracking: false,
    };
    head.alone(FramePlace { seed: header.seed, offset: scan.end })
}
