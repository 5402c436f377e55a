//! Taking a backup.

use super::{BACKUP, BackupError, Entry, Manifest, Unreadable};
use crate::{
    copy::{
        self, Copied, Extended, Held, Inventory, PIECE_BYTES_MAX, Part, SourceError, copy_segment,
    },
    disk::{Disk, File, Mode, put_whole},
    error::Fault,
    format::header::{HEADER_BYTES, SegmentHeader},
    options::World,
    planted::{Bug, is_on},
    recovery::{CLOSED, LOCK, UNFINISHED, sync_above},
    segment::segment_path,
    verify::{Progress, Watch},
};
use factum_core::{Position, Timestamp};
use std::{any::Any, io, path::Path};

/// How often a backup begins anew as segments are rewritten under it.
const ATTEMPTS_MAX: usize = 8;
/// Bytes of the backup's end that are compared with the store's.
const COMPARED_BYTES: u64 = 4096;

/// A backup that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// What it holds.
    pub manifest: Manifest,
    /// Bytes that came from the store.
    pub bytes_copied: u64,
    /// Segments that were copied, or of which more was.
    pub segments_copied: u64,
}

/// Takes a backup of a store into a folder, which is made if it is not there; into a folder that
/// has one already, what is new.
///
/// The store goes on meanwhile. The backup is of a moment at or after the call.
///
/// # Errors
/// [`BackupError`] says why; the backup that was in the folder before is still whole then.
///
/// ```
/// use factum_log::{Options, World, backup, open};
/// # let dir = tempfile::tempdir()?;
/// # let (store, to) = (dir.path().join("store"), dir.path().join("backup"));
/// let (_writer, reader) = open(&store, Options::default())?;
/// let taken = backup::backup(&reader, &to, &World::default(), &mut |_| true)?;
/// assert_eq!(taken.manifest.head.0, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn backup(
    source: &dyn copy::Source,
    dir: &Path,
    world: &World,
    watch: Watch<'_>,
) -> Result<Taken, BackupError> {
    if let Some(folder) = source.folder()
        && is_inside(dir, &folder)
    {
        return Err(BackupError::Inside { dir: dir.to_owned() });
    }
    let mut inventory = source.inventory()?;
    let target = Target { dir, disk: &*world.disk };
    let (_lock, before) = target.prepare(&inventory)?;
    let mut attempts = 1;
    loop {
        let taken_at = world.clock.now();
        let mut run = Run { source, target: &target, before: &before, copied: 0, segments: 0 };
        match run.all(&inventory, taken_at, watch) {
            Err(BackupError::Source(SourceError::Replaced { .. })) if attempts < ATTEMPTS_MAX => {
                attempts += 1;
                inventory = source.inventory()?;
            }
            ended => return ended,
        }
    }
}

/// Whether one folder is in the other, as far as their names tell; the same folder is locked.
fn is_inside(dir: &Path, folder: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (dir, folder) = (absolute(dir), absolute(folder));
    dir.starts_with(&folder) || folder.starts_with(&dir)
}

/// The folder of the backup.
struct Target<'a> {
    dir: &'a Path,
    disk: &'a dyn Disk,
}

type Lock = Box<dyn Any + Send + Sync>;

impl Target<'_> {
    /// Locks the folder, and says what backup is in it.
    fn prepare(&self, inventory: &Inventory) -> Result<(Lock, Manifest), BackupError> {
        let Self { dir, disk } = *self;
        let names = match disk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(Fault::io("list", dir))?,
        };
        let manifest = self.manifest()?;
        let is_ours = |name: &String| name == LOCK || name.ends_with(UNFINISHED);
        if manifest.is_none() && !names.iter().all(is_ours) {
            return Err(BackupError::NotEmpty { dir: dir.to_owned() });
        }
        disk.create_dir(dir).map_err(Fault::io("create", dir))?;
        let path = dir.join(LOCK);
        let lock = disk.lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => BackupError::Locked { dir: dir.to_owned() },
            _ => Fault::io("lock", path)(error).into(),
        })?;
        let manifest = match manifest {
            Some(manifest) => manifest,
            None => self.begin(inventory)?,
        };
        self.compare(&manifest, inventory)?;
        for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
            // What is in its way is written over; this only frees the room.
            let _ = disk.remove(&dir.join(name));
        }
        // It was opened as a store: what was said of its length then is of no use any more.
        let _ = disk.remove(&dir.join(CLOSED));
        Ok((lock, manifest))
    }

    fn manifest(&self) -> Result<Option<Manifest>, BackupError> {
        let file = || self.dir.join(BACKUP);
        Manifest::read(self.dir, self.disk)
            .map_err(|Unreadable| BackupError::Manifest { file: file() })
    }

    /// Says whose backup this will be, so that a first attempt that is interrupted can go on.
    fn begin(&self, inventory: &Inventory) -> Result<Manifest, BackupError> {
        let manifest = Manifest {
            store: inventory.store,
            taken_at: Timestamp(0),
            head: Position::START,
            recorded_at: Timestamp(i64::MIN),
            segments: Vec::new(),
        };
        sync_above(self.dir, self.disk)?;
        put_whole(self.disk, &self.dir.join(BACKUP), &manifest.encode())?;
        Ok(manifest)
    }

    /// Refuses a store that is another, or has another history.
    fn compare(&self, manifest: &Manifest, inventory: &Inventory) -> Result<(), BackupError> {
        let dir = || self.dir.to_owned();
        if manifest.store != inventory.store {
            let (there, here) = (manifest.store, inventory.store);
            return Err(BackupError::OtherStore { dir: dir(), there, here });
        }
        let is_other = inventory.segments.iter().any(|held| {
            manifest.segment(held.base).is_some_and(|entry| entry.origin != held.origin)
        });
        if manifest.head > inventory.head || is_other {
            let (there, here) = (manifest.head, inventory.head);
            return Err(BackupError::Ahead { dir: dir(), there, here });
        }
        Ok(())
    }

    /// What of a segment is in the folder already: its file, and how many bytes of it count.
    fn held(&self, held: &Held, manifest: &Manifest) -> Option<Part> {
        let file = self.disk.open(&segment_path(self.dir, held.base), Mode::Read).ok()?;
        let mut head = vec![0; HEADER_BYTES];
        file.read_at(&mut head, 0).ok()?;
        let header = SegmentHeader::decode(&head).ok()?;
        let is_it = header.base == held.base && header.seed == held.seed;
        let len = file.len().ok()?;
        let entry = manifest.segment(held.base).filter(|entry| entry.seed == held.seed);
        // Without an entry it is of an attempt that was interrupted: files are whole.
        let counts = entry.map_or(len, |entry| entry.bytes);
        (is_it && counts <= len).then_some((file, counts))
    }
}

struct Run<'a> {
    source: &'a dyn copy::Source,
    target: &'a Target<'a>,
    before: &'a Manifest,
    copied: u64,
    segments: u64,
}

impl Run<'_> {
    fn all(
        &mut self,
        inventory: &Inventory,
        taken_at: Timestamp,
        watch: Watch<'_>,
    ) -> Result<Taken, BackupError> {
        let Target { dir, disk } = *self.target;
        let bytes_total = inventory.segments.iter().map(|held| held.end).sum();
        let mut progress = Progress { bytes: 0, bytes_total };
        let mut manifest = Manifest {
            store: inventory.store,
            taken_at,
            head: Position::START,
            recorded_at: self.before.recorded_at,
            segments: Vec::new(),
        };
        if is_on(Bug::ManifestFirst) {
            let segments = self.before.segments.clone();
            let early = Manifest { head: inventory.head, segments, ..manifest.clone() };
            put_whole(disk, &dir.join(BACKUP), &early.encode())?;
        }
        for held in &inventory.segments {
            if !watch(progress) {
                return Err(BackupError::Stopped);
            }
            let entry = match self.kept(held) {
                Some(entry) => {
                    manifest.head = self.before.head;
                    manifest.recorded_at = self.before.recorded_at;
                    entry
                }
                None => {
                    let copied = self.copy(held)?;
                    manifest.head = Position(copied.next - 1);
                    manifest.recorded_at = Timestamp(copied.last_ns);
                    let (bytes, crc, is_sealed) = (copied.len, copied.crc, held.is_sealed);
                    let Held { base, seed, origin, .. } = *held;
                    Entry { base, seed, origin, bytes, crc, is_sealed }
                }
            };
            manifest.segments.push(entry);
            progress.bytes += held.end;
        }
        disk.sync_dir(dir).map_err(Fault::io("sync", dir))?;
        put_whole(disk, &dir.join(BACKUP), &manifest.encode())?;
        watch(progress);
        let (bytes_copied, segments_copied) = (self.copied, self.segments);
        Ok(Taken { manifest, bytes_copied, segments_copied })
    }

    /// What the backup before says of a segment that has not changed.
    fn kept(&self, held: &Held) -> Option<Entry> {
        let entry = self.before.segment(held.base).filter(|entry| entry.seed == held.seed)?;
        let is_all = (entry.is_sealed && held.is_sealed) || entry.bytes == held.end;
        let is_there = self.target.held(held, self.before).is_some();
        (is_all && is_there).then_some(Entry { is_sealed: held.is_sealed, ..*entry })
    }

    fn copy(&mut self, held: &Held) -> Result<Copied, BackupError> {
        let path = segment_path(self.target.dir, held.base);
        let there = self.usable(held)?;
        self.segments += 1;
        let mut from = Extended::<BackupError>::new((self.source, held), there, &path);
        let mut copied = copy_segment(&mut from, held.end, self.target.disk, &path);
        if matches!(copied, Err(BackupError::Disk(Fault::Damaged { .. }))) && from.there.is_some() {
            // What was there is damaged: all of it comes from the store.
            from.there = None;
            copied = copy_segment(&mut from, held.end, self.target.disk, &path);
        }
        self.copied += from.copied;
        copied.map_err(|error| match error {
            BackupError::Disk(fault @ Fault::Damaged { .. }) => BackupError::Source(fault.into()),
            error => error,
        })
    }

    /// What of a segment is in the folder already, if the store agrees about it.
    fn usable(&self, held: &Held) -> Result<Option<Part>, BackupError> {
        let Some((file, bytes)) = self.target.held(held, self.before) else { return Ok(None) };
        if self.agrees(held, &*file, bytes)? {
            return Ok(Some((file, bytes)));
        }
        let entry = self.before.segment(held.base).filter(|entry| entry.seed == held.seed);
        match entry {
            // It is what was written then: the store is another now.
            Some(entry) if crc_of(&*file, bytes).is_ok_and(|crc| crc == entry.crc) => {
                let (there, here) = (self.before.head, Position(held.base));
                Err(BackupError::Ahead { dir: self.target.dir.to_owned(), there, here })
            }
            _ => Ok(None),
        }
    }

    /// Whether the store has, at the end of what the backup has, the same bytes.
    fn agrees(&self, held: &Held, file: &dyn File, bytes: u64) -> Result<bool, BackupError> {
        if bytes > held.end {
            return Ok(false);
        }
        let start = bytes.saturating_sub(COMPARED_BYTES);
        let here = self.source.piece(held, start..bytes)?;
        let mut there = vec![0; here.len()];
        file.read_at(&mut there, start).map_err(Fault::io("read", self.target.dir))?;
        Ok(here == there)
    }
}

/// CRC32C of the first bytes of a file.
pub(crate) fn crc_of(file: &dyn File, bytes: u64) -> io::Result<u32> {
    let (mut at, mut crc) = (0, 0);
    let mut piece = Vec::new();
    while at < bytes {
        let len = (bytes - at).min(PIECE_BYTES_MAX);
        piece.resize(usize::try_from(len).expect("a piece is small"), 0);
        file.read_at(&mut piece, at)?;
        crc = crc32c::crc32c_append(crc, &piece);
        at += len;
    }
    Ok(crc)
}
