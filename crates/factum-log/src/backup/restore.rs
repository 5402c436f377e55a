//! Restoring: a store from a backup, as it was then or at a moment before.
//!
//! The folder of the new store has a file [`RESTORING`] until everything is there and durable, and
//! nobody opens a folder that has it: half a store would pass for a short one. Restoring again
//! begins anew.
//!
//! The newest segment gets another seed and origin than in the backup. What is appended to it from
//! now on is not what was appended to the old store at the same places, and the origin is what
//! tells the two apart, for backups and replicas of either.

use super::{BACKUP, Entry, Manifest, RestoreError, Unreadable, take::crc_of};
use crate::{
    copy::PIECE_BYTES_MAX,
    disk::{Disk, File, Mode, put_whole},
    error::{Damage, Fault, HeaderError},
    format::{
        frame::{self, FRAME_HEADER_BYTES_MAX, FrameHeader, FramePlace, Kind},
        header::{HEADER_BYTES, SegmentHeader},
    },
    index::build,
    options::World,
    recovery::{Closed, LOCK, Scan, Window, scan_before, sync_above},
    segment::{index_path, segment_path},
    verify::{Progress, Watch},
};
use factum_core::{Position, Timestamp, Uuid};
use std::{
    any::Any,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

/// The file that says that a folder is not a store yet.
pub const RESTORING: &str = "RESTORING";

/// How much of a backup is restored: whole appends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upto {
    /// All of it.
    End,
    /// Up to a position: appends with a later event are left out.
    Position(Position),
    /// What was recorded by a moment.
    Time(Timestamp),
}

/// What to restore, and where.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// The folder of the backup.
    pub backup: &'a Path,
    /// The folder of the new store: empty, or not there.
    pub dir: &'a Path,
    /// How much of it.
    pub upto: Upto,
    /// Whether the new store gets an id of its own. One that is restored up to a point always does.
    pub is_new_store: bool,
}

/// A store that was restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Its id.
    pub store: Uuid,
    /// The position of its last event.
    pub head: Position,
    /// When its last append was recorded.
    pub recorded_at: Timestamp,
}

/// Restores a store from a backup.
///
/// Everything is verified on the way. Indexes are made anew.
///
/// # Errors
/// [`RestoreError`] says why. The folder is then no store: restoring into it again begins anew.
pub fn restore(
    what: &Restore<'_>,
    world: &World,
    watch: Watch<'_>,
) -> Result<Restored, RestoreError> {
    let disk = &*world.disk;
    let _read = lock(what.backup, |path| disk.lock_to_look(path))?;
    let manifest = manifest(what, disk)?;
    let _write = prepare(what.dir, disk)?;
    let store = match (what.upto, what.is_new_store) {
        (Upto::End, false) => manifest.store,
        _ => world.rng.next_uuid(),
    };
    let mut run = Run { what, world, store, head: Position::START, recorded_at: None };
    run.all(&manifest, watch)?;
    if what.upto == Upto::End && run.head != manifest.head {
        let (held, said) = (run.head, manifest.head);
        let what = format!("it says that it goes up to position {said}, and goes up to {held}");
        return Err(RestoreError::Damaged { what });
    }
    disk.sync_dir(what.dir).map_err(Fault::io("sync", what.dir))?;
    let marker = what.dir.join(RESTORING);
    disk.remove(&marker).map_err(Fault::io("remove", &marker))?;
    disk.sync_dir(what.dir).map_err(Fault::io("sync", what.dir))?;
    let recorded_at = run.recorded_at.unwrap_or(manifest.recorded_at);
    Ok(Restored { store, head: run.head, recorded_at })
}

type Lock = Box<dyn Any + Send + Sync>;

fn lock(
    dir: &Path,
    lock: impl FnOnce(&Path) -> io::Result<Lock>,
) -> Result<Option<Lock>, RestoreError> {
    let path = dir.join(LOCK);
    match lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(RestoreError::Locked { dir: dir.to_owned() })
        }
        Err(error) => Err(Fault::io("lock", path)(error).into()),
    }
}

fn manifest(what: &Restore<'_>, disk: &dyn Disk) -> Result<Manifest, RestoreError> {
    let dir = what.backup;
    let read = Manifest::read(dir, disk)
        .map_err(|Unreadable| RestoreError::Manifest { file: dir.join(BACKUP) })?;
    let none = || RestoreError::NoBackup { dir: dir.to_owned() };
    let manifest = read.filter(|manifest| !manifest.segments.is_empty()).ok_or_else(none)?;
    match what.upto {
        Upto::Position(asked) if asked > manifest.head => {
            Err(RestoreError::Beyond { asked, head: manifest.head })
        }
        _ => Ok(manifest),
    }
}

/// Makes the folder one that nobody takes for a store.
fn prepare(dir: &Path, disk: &dyn Disk) -> Result<Option<Lock>, RestoreError> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(Fault::io("list", dir))?,
    };
    let is_begun = names.iter().any(|name| name == RESTORING);
    if !is_begun && names.iter().any(|name| name != LOCK && name != UNFINISHED_MARKER) {
        return Err(RestoreError::NotEmpty { dir: dir.to_owned() });
    }
    disk.create_dir(dir).map_err(Fault::io("create", dir))?;
    let lock = lock(dir, |path| disk.lock(path))?;
    sync_above(dir, disk)?;
    put_whole(disk, &dir.join(RESTORING), b"a restore is not finished: run it again\n")?;
    let stays = [RESTORING, UNFINISHED_MARKER, LOCK];
    for name in names.iter().filter(|name| !stays.contains(&&***name)) {
        let path = dir.join(name);
        disk.remove(&path).map_err(Fault::io("remove", &path))?;
    }
    Ok(lock)
}

/// The marker while it is written.
const UNFINISHED_MARKER: &str = "RESTORING.tmp";

struct Run<'a> {
    what: &'a Restore<'a>,
    world: &'a World,
    store: Uuid,
    head: Position,
    recorded_at: Option<Timestamp>,
}

/// A segment of the backup that was read whole.
struct Checked {
    header: SegmentHeader,
    scan: Scan,
    /// Bytes of it that are wanted.
    end: u64,
    /// The position after the last event that is wanted.
    next: u64,
    /// When the last append that is wanted was recorded.
    last_ns: i64,
    /// Its first append is not wanted.
    is_empty: bool,
}

impl Run<'_> {
    fn all(&mut self, manifest: &Manifest, watch: Watch<'_>) -> Result<(), RestoreError> {
        let bytes_total = manifest.segments.iter().map(|entry| entry.bytes).sum();
        let mut progress = Progress { bytes: 0, bytes_total };
        let mut before: Option<(SegmentHeader, u64)> = None;
        for (nth, entry) in manifest.segments.iter().enumerate() {
            if !watch(progress) {
                return Err(RestoreError::Stopped);
            }
            let path = segment_path(self.what.backup, entry.base);
            let source = Source::open(&*self.world.disk, path, entry)?;
            let checked = self.check(&source, entry)?;
            let header = &checked.header;
            let follows = before.as_ref().map_or(entry.base == 1, |(last, next)| {
                header.store == last.store
                    && header.number == last.number + 1
                    && entry.base == *next
            });
            if !follows || header.store != manifest.store {
                return Err(source.damaged(0, Damage::Sequence));
            }
            if nth > 0 && checked.is_empty {
                // The one before is the newest.
                break;
            }
            let is_newest = !entry.is_sealed || checked.end < entry.bytes;
            self.write(&source, &checked, is_newest)?;
            self.head = Position(checked.next - 1);
            self.recorded_at = Some(Timestamp(checked.last_ns));
            if is_newest {
                break;
            }
            before = Some((checked.header, checked.next));
            progress.bytes += entry.bytes;
        }
        watch(progress);
        Ok(())
    }

    /// Reads a segment whole, and finds where what is wanted ends.
    fn check(&self, source: &Source<'_>, entry: &Entry) -> Result<Checked, RestoreError> {
        let header = source.header()?;
        if header.base != entry.base || header.seed != entry.seed {
            return Err(source.damaged(0, Damage::Sequence));
        }
        let upto = self.what.upto;
        let (mut cut, mut append, mut first) = (None, HEADER_BYTES as u64, None);
        let (mut next, mut last_ns) = (entry.base, header.floor_ns);
        let mut so_far = (next, last_ns, 0);
        let scan = scan_before(
            &mut |offset, head, entries| {
                if head.first {
                    (append, so_far) = (offset, (next, last_ns, head.ordinal));
                    first.get_or_insert(offset);
                }
                let last = entries.last().map(|entry| header.base + u64::from(entry.ordinal));
                // What is lost is said by a frame without events.
                let begins = header.base + u64::from(head.ordinal);
                let lost = (head.kind == Kind::Lost).then_some(begins);
                let is_past = match upto {
                    Upto::End => false,
                    Upto::Position(position) => last.or(lost).is_some_and(|last| last > position.0),
                    Upto::Time(moment) => head.recorded_at_ns > moment.0,
                };
                next = last.map_or(next, |last| last + 1);
                last_ns = last_ns.max(head.recorded_at_ns);
                if is_past && cut.is_none() {
                    cut = Some((append, so_far));
                }
            },
            source,
            &source.path,
            &header,
        )?;
        if let Some(missing) = scan.missing.first() {
            return Err(source.damaged(missing.offset, missing.what));
        }
        if scan.end != entry.bytes || scan.sealed != entry.is_sealed {
            return Err(source.damaged(scan.end, Damage::Shortened));
        }
        source.check_sum()?;
        let after_all = header.base + u64::from(scan.index.next());
        let all = scan.index.next();
        let (end, (next, last_ns, cut)) = cut.unwrap_or((entry.bytes, (after_all, last_ns, all)));
        let lost = scan.index.lost().iter().filter(|lost| lost.ordinals.start < cut);
        let lost = lost.map(|lost| header.base + u64::from(lost.ordinals.end));
        let next = lost.fold(next, u64::max);
        let is_empty = first.is_some_and(|first| end <= first);
        Ok(Checked { header, scan, end, next, last_ns, is_empty })
    }

    fn write(
        &self,
        source: &Source<'_>,
        checked: &Checked,
        is_newest: bool,
    ) -> Result<(), RestoreError> {
        let (disk, dir) = (&*self.world.disk, self.what.dir);
        let seed = checked.header.seed;
        let header = SegmentHeader { store: self.store, ..checked.header };
        let new_seed = if is_newest { self.world.rng.next_u64() } else { seed };
        let origin = if is_newest { new_seed } else { header.origin };
        let header = SegmentHeader { seed: new_seed, origin, ..header };
        let path = segment_path(dir, header.base);
        let file = disk.open(&path, Mode::Create).map_err(Fault::io("create", &path))?;
        let put =
            |bytes: &[u8], at: u64| file.write_at(bytes, at).map_err(Fault::io("write", &path));
        put(&header.encode(), 0)?;
        let mut at = HEADER_BYTES as u64;
        let mut window = Window::new(source, &source.path)?;
        while at < checked.end {
            let upto = checked.end.min(at + PIECE_BYTES_MAX);
            let bytes = match is_newest {
                true => resealed(&mut window, at..upto, (seed, new_seed))?,
                false => window.at(at, upto - at)?.to_vec(),
            };
            put(&bytes, at)?;
            at += bytes.len() as u64;
        }
        file.sync().map_err(Fault::io("sync", &path))?;
        // It ends here for good: whoever cuts it off from now on is seen.
        Closed { base: header.base, seed: header.seed, end: checked.end }.write(dir, disk)?;
        if is_newest {
            return Ok(());
        }
        let path = index_path(dir, header.base);
        let file = disk.open(&path, Mode::Create).map_err(Fault::io("create", &path))?;
        let index = build(&checked.scan.index, header.seed);
        file.write_at(&index, 0).map_err(Fault::io("write", &path))?;
        file.sync().map_err(Fault::io("sync", &path))?;
        Ok(())
    }
}

/// A segment of a backup: as much of its file as the manifest says.
#[derive(Debug)]
struct Source<'a> {
    file: Box<dyn File>,
    path: PathBuf,
    entry: &'a Entry,
}

impl<'a> Source<'a> {
    fn open(disk: &dyn Disk, path: PathBuf, entry: &'a Entry) -> Result<Self, RestoreError> {
        let file = disk.open(&path, Mode::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                RestoreError::Damaged { what: format!("{} is gone", path.display()) }
            }
            _ => Fault::io("open", &path)(error).into(),
        })?;
        let source = Self { file, path, entry };
        let len = source.file.len().map_err(Fault::io("read", &source.path))?;
        if len < entry.bytes {
            return Err(source.damaged(len, Damage::Shortened));
        }
        Ok(source)
    }

    /// Whether all bytes are those that were backed up: frames do not cover all.
    fn check_sum(&self) -> Result<(), RestoreError> {
        let crc = crc_of(&*self.file, self.entry.bytes).map_err(Fault::io("read", &self.path))?;
        if crc == self.entry.crc {
            return Ok(());
        }
        let what = format!("{} is not what was backed up", self.path.display());
        Err(RestoreError::Damaged { what })
    }

    fn damaged(&self, offset: u64, what: Damage) -> RestoreError {
        Fault::Damaged { file: self.path.clone(), offset, what }.into()
    }

    fn header(&self) -> Result<SegmentHeader, RestoreError> {
        let mut bytes = vec![0; HEADER_BYTES];
        self.file.read_at(&mut bytes, 0).map_err(Fault::io("read", &self.path))?;
        SegmentHeader::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged(what) => self.damaged(0, what),
            HeaderError::Newer { version, .. } => RestoreError::Damaged {
                what: format!(
                    "{} has format {version}: a newer release wrote it",
                    self.path.display()
                ),
            },
        })
    }
}

/// Frames from an offset on, up to another or a little further, as they are in a segment of another
/// seed.
fn resealed(
    window: &mut Window<'_>,
    range: Range<u64>,
    (seed, new_seed): (u64, u64),
) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let head = window.at(at, FRAME_HEADER_BYTES_MAX as u64)?;
        let len = FrameHeader::decode(head).map_or(0, |header| header.frame_bytes() as u64);
        let mut bytes = window.at(at, len)?.to_vec();
        let found = frame::decode(&bytes, FramePlace { seed, offset: at });
        let (header, _) = found.ok_or_else(|| window.fault(at, Damage::Frame))?;
        header.seal(&mut bytes, FramePlace { seed: new_seed, offset: at });
        all.extend_from_slice(&bytes);
        at += len;
    }
    Ok(all)
}

/// Only what the manifest says, for whoever walks it.
impl File for Source<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.entry.bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
