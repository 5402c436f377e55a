//! Verifying a folder that nobody has open.

use super::{
    Defect, Finding, Report, Severity, Watch,
    index::IndexCopy,
    run::Run,
    segment::{Subject, Walked},
};
use crate::{
    backup::{BACKUP, Manifest, RESTORING, Unreadable, crc_of},
    disk::{Disk, File, Mode},
    error::{Damage, Fault, OpenError},
    index::directory,
    options::World,
    packed::{self, packed_base_of},
    quarantine::QUARANTINE,
    recovery::{CLOSED, Closed, HOLDER, LOCK, UNFINISHED, holder},
    segment::{base_of, index_path, indexed_base_of, segment_path},
    tier::{LOCATION, check_reached, moved_base_of},
};
use std::{
    any::Any,
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// Verifies a folder: every byte of it. Not one is changed, so that it may be read-only.
///
/// Fails if a process has the folder open to write (that one can be asked: [`crate::Reader`]), if
/// there is no store in it, if a newer release wrote it, or if the folder cannot be listed. What
/// cannot be read of a file is a finding.
///
/// # Errors
/// [`OpenError`] says which of these it is.
///
/// ```
/// use factum_log::{LogStore, Options, World, verify};
/// # let dir = tempfile::tempdir()?;
/// LogStore::open(dir.path(), Options::default())?.close();
/// let report = verify::verify(dir.path(), &World::default(), &mut |_| true)?;
/// assert!(!report.is_damaged());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(dir: &Path, world: &World, watch: Watch<'_>) -> Result<Report, OpenError> {
    let disk = &*world.disk;
    let _lock = lock(dir, disk)?;
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(Fault::io("list", dir))?,
    };
    if names.iter().any(|name| name == RESTORING) {
        return Err(OpenError::Unfinished { dir: dir.to_owned() });
    }
    check_reached(disk, dir, &names)?;
    packed::check_readable(dir, &names)?;
    let bases: BTreeSet<u64> = names.iter().filter_map(|name| base_of(name)).collect();
    if bases.is_empty() {
        return Err(OpenError::NoStore { dir: dir.to_owned() });
    }
    let leftovers = packed::leftovers(disk, dir)?;
    let folder = Folder { dir, disk, bases, leftovers };
    let mut run = Run::new(folder.bytes(&names), watch);
    folder.segments(&mut run)?;
    folder.backup(&mut run);
    folder.others(&mut run, &names);
    Ok(run.done())
}

/// Keeps writers out, where there is something to lock.
fn lock(dir: &Path, disk: &dyn Disk) -> Result<Option<Box<dyn Any + Send + Sync>>, OpenError> {
    match disk.lock_to_look(&dir.join(LOCK)) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(OpenError::Locked { dir: dir.to_owned(), holder: holder(dir, disk) })
        }
        // It was never opened to write: a copy.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::io("lock", dir.join(LOCK))(error).into()),
    }
}

struct Folder<'a> {
    dir: &'a Path,
    disk: &'a dyn Disk,
    bases: BTreeSet<u64>,
    /// Compressed files beside their plain one.
    leftovers: Vec<String>,
}

impl Folder<'_> {
    /// Bytes that will be read.
    fn bytes(&self, names: &[String]) -> u64 {
        let counts = |name: &&String| base_of(name).or_else(|| indexed_base_of(name)).is_some();
        let len = |name: &String| self.disk.open(&self.dir.join(name), Mode::Read)?.len();
        names.iter().filter(counts).filter_map(|name| len(name).ok()).sum()
    }

    fn segments(&self, run: &mut Run<'_>) -> Result<(), OpenError> {
        let mut newest = None;
        for base in &self.bases {
            if !run.progress.goes_on {
                return Ok(());
            }
            let next = self.bases.range(base + 1..).next().copied();
            let walked = self.segment(run, *base, next)?;
            if next.is_none() {
                newest = walked;
            }
        }
        self.closed(run, newest.as_ref());
        Ok(())
    }

    fn segment(
        &self,
        run: &mut Run<'_>,
        base: u64,
        next: Option<u64>,
    ) -> Result<Option<Walked>, OpenError> {
        let (path, index_path) = (segment_path(self.dir, base), index_path(self.dir, base));
        let file = match self.disk.open(&path, Mode::Read) {
            Ok(file) => file,
            Err(error) => {
                let lost = next.map(|next| base..=next - 1);
                let defect = Defect::Unreadable { why: error.to_string() };
                let (severity, file) = (Severity::Damage, path);
                run.report.add(Finding { severity, file, offset: 0, defect, lost });
                run.expected = None;
                run.streams.hole();
                run.report.segments += 1;
                return Ok(None);
            }
        };
        let index = self.disk.open(&index_path, Mode::Read).ok();
        let copy = match &index {
            Some(index) => IndexCopy::File(&**index, &index_path),
            None => IndexCopy::Absent(&index_path),
        };
        let subject =
            Subject { path: &path, base, file: &*file, next, index: copy, acknowledged: None };
        let walked = run.segment(&subject)?;
        let len = |file: &dyn File| file.len().unwrap_or(0);
        run.progress.file(len(&*file) + index.as_deref().map_or(0, len));
        Ok(walked)
    }

    /// Whether the log is as long as it was when it was closed.
    fn closed(&self, run: &mut Run<'_>, newest: Option<&Walked>) {
        let path = self.dir.join(CLOSED);
        if self.disk.open(&path, Mode::Read).is_err() {
            return;
        }
        let Some(closed) = Closed::read(self.dir, self.disk) else {
            let (severity, defect) = (Severity::Derived, Defect::Closed);
            run.report.add(Finding { severity, file: path, offset: 0, defect, lost: None });
            return;
        };
        let Some(Walked { header, scan }) = newest else { return };
        let is_short = header.seed == closed.seed && scan.end < closed.end;
        if (is_short || header.base < closed.base) && scan.missing.is_empty() {
            let (severity, file) = (Severity::Damage, segment_path(self.dir, header.base));
            let defect = Damage::Shortened.into();
            run.report.add(Finding { severity, file, offset: scan.end, defect, lost: None });
        }
    }

    /// Of a backup: whether it holds what it says.
    fn backup(&self, run: &mut Run<'_>) {
        let mut add = |file: PathBuf, offset: u64, defect: Defect| {
            run.report.add(Finding {
                severity: Severity::Damage,
                file,
                offset,
                defect,
                lost: None,
            });
        };
        let manifest = match Manifest::read(self.dir, self.disk) {
            Ok(None) => return,
            Ok(Some(manifest)) => manifest,
            Err(Unreadable) => return add(self.dir.join(BACKUP), 0, Defect::Manifest),
        };
        for entry in &manifest.segments {
            let path = segment_path(self.dir, entry.base);
            let Ok(file) = self.disk.open(&path, Mode::Read) else {
                add(path, 0, Defect::NotAsBackedUp);
                continue;
            };
            let len = file.len().unwrap_or(0);
            if len < entry.bytes {
                add(path, len, Defect::NotAsBackedUp);
            } else if crc_of(&*file, entry.bytes).is_ok_and(|crc| crc != entry.crc) {
                add(path, 0, Defect::NotAsBackedUp);
            }
        }
    }

    /// Files that are no segments.
    fn others(&self, run: &mut Run<'_>, names: &[String]) {
        for name in names {
            let (severity, defect) = match self.role(name) {
                Role::Known => continue,
                Role::Unfinished => (Severity::Leftover, Defect::Unfinished),
                Role::Foreign => (Severity::Foreign, Defect::Foreign),
            };
            let file = self.dir.join(name);
            run.report.add(Finding { severity, file, offset: 0, defect, lost: None });
        }
    }

    fn role(&self, name: &str) -> Role {
        let is_known = [LOCK, HOLDER, CLOSED, BACKUP, LOCATION, QUARANTINE].contains(&name);
        if is_known || base_of(name).or_else(|| moved_base_of(name)).is_some() {
            return Role::Known;
        }
        if packed_base_of(name).is_some() {
            let is_leftover = self.leftovers.iter().any(|one| one == name);
            return if is_leftover { Role::Unfinished } else { Role::Known };
        }
        // An index is of a sealed segment.
        let is_sealed = |base| self.bases.contains(&base) && self.bases.last() != Some(&base);
        match indexed_base_of(name) {
            Some(base) if is_sealed(base) => Role::Known,
            Some(_) => Role::Unfinished,
            None if directory::bases_of(name).is_some_and(|(_, last)| is_sealed(last)) => {
                Role::Known
            }
            None if name.ends_with(UNFINISHED) => Role::Unfinished,
            None => Role::Foreign,
        }
    }
}

/// What a file in the folder is.
enum Role {
    /// It has been looked at.
    Known,
    Unfinished,
    Foreign,
}
