//! Segments that are fetched whole: the next one, one that was rewritten, and the newest one where
//! much of it is to come.
//!
//! Each is written beside what there is, checked as opening would check it, made durable, and then
//! renamed. A crash leaves the old file or the new one, each whole.

use super::{COMPARED_BYTES, Replica, ReplicaError};
use crate::{
    copy::{Copied, Extended, Held, Part, Source, SourceError, Walk, copy_unnamed, unfinished},
    disk::{File, Mode},
    error::Fault,
    format::header::HEADER_BYTES,
    index::Index,
    recovery::{Scan, index_segment, scan},
    segment::{Parts, Segment, segment_path},
};
use factum_core::Position;
use std::sync::{Arc, PoisonError};

/// A segment that was fetched, and has no name yet.
struct Fetched {
    copied: Copied,
    scan: Scan,
    file: Box<dyn File>,
}

impl Fetched {
    /// The position after its last one.
    fn next(&self) -> u64 {
        self.copied.header.base + u64::from(self.scan.index.next())
    }
}

impl Replica {
    /// Fetches the segment that follows the newest one.
    pub(super) fn next(&mut self, source: &dyn Source, held: &Held) -> Result<(), ReplicaError> {
        if held.base != self.head().0 + 1 {
            return Err(self.diverged(held));
        }
        let number = self.newest.header.number + 1;
        let fetched = self.fetch_segment((source, held), None, number)?;
        let sealed = self.newest.clone();
        self.become_newest(fetched)?;
        self.unindexed.push(sealed);
        Ok(())
    }

    /// Fetches another segment in the place of the newest one.
    pub(super) fn anew(&mut self, source: &dyn Source, held: &Held) -> Result<(), ReplicaError> {
        let number = self.newest.header.number;
        let fetched = self.fetch_segment((source, held), None, number)?;
        // What was tracked here is tracked there, and perhaps further.
        let tracked = self.shared.all_tracked();
        let is_lost = |(name, at): (&Arc<str>, &u64)| fetched.scan.tracked.get(name) < Some(at);
        let is_shorter = fetched.next() <= self.head().0;
        if is_shorter || tracked.iter().any(is_lost) {
            return Err(self.diverged(held));
        }
        self.keeps_all(&fetched, &self.newest)?;
        self.become_newest(fetched)
    }

    /// Writes the newest segment anew: its first part from here, the rest from the source.
    pub(super) fn extend(&mut self, source: &dyn Source, held: &Held) -> Result<(), ReplicaError> {
        let disk = &*self.shared.options.world.disk;
        let file = disk.open(&self.newest.path, Mode::Read);
        let there = (file.map_err(Fault::io("open", &self.newest.path))?, self.walk.at);
        let number = self.newest.header.number;
        let fetched = self.fetch_segment((source, held), Some(there), number)?;
        self.become_newest(fetched)
    }

    /// Fetches a sealed segment that was rewritten, and puts it in the place of the old one.
    pub(super) fn replace(&mut self, source: &dyn Source, held: &Held) -> Result<(), ReplicaError> {
        let old = self.shared.sealed_segment(held.base).expect("it was found to be there");
        if self.refused == Some(held.seed) {
            return Err(self.source_lost(held.base));
        }
        let fetched = self.fetch_segment((source, held), None, old.header.number)?;
        let shared = self.shared.clone();
        let next = shared.segments().iter().map(|one| one.base()).find(|base| *base > held.base);
        if !fetched.scan.sealed || Some(fetched.next()) != next {
            return Err(self.diverged(held));
        }
        if let Err(error) = self.keeps_all(&fetched, &old) {
            // Not fetched again to be refused again.
            self.refused = Some(held.seed);
            return Err(error);
        }
        let _files = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        let segment = Arc::new(self.name(fetched)?.0);
        shared.replace_segment(&old, segment.clone());
        // Without its file the index stays in memory, and is made anew at the next opening.
        let _ = index_segment(&shared.dir, &shared.options, &segment);
        Ok(())
    }

    /// Refuses a segment in which the source has lost events that are here.
    fn keeps_all(&self, fetched: &Fetched, old: &Segment) -> Result<(), ReplicaError> {
        let last = self.head().0.checked_sub(old.base()).map(|last| last.try_into());
        let last: u32 = last.map_or(0, |last| last.unwrap_or(u32::MAX));
        let is_here = |ordinal: &u32| *ordinal <= last && old.lost_at(*ordinal).is_none();
        let mut lost = fetched.scan.index.lost().iter();
        match lost.find_map(|lost| lost.ordinals.clone().find(is_here)) {
            Some(ordinal) => Err(self.source_lost(old.position(ordinal))),
            None => Ok(()),
        }
    }

    fn source_lost(&self, from: u64) -> ReplicaError {
        ReplicaError::SourceLost { dir: self.shared.dir.clone(), from: Position(from) }
    }

    fn diverged(&self, held: &Held) -> ReplicaError {
        ReplicaError::Diverged { dir: self.shared.dir.clone(), from: Position(held.base) }
    }

    /// Fetches and checks a segment: it is durable, and has the name of an unfinished one.
    fn fetch_segment(
        &self,
        (source, held): (&dyn Source, &Held),
        there: Option<Part>,
        number: u64,
    ) -> Result<Fetched, ReplicaError> {
        let (disk, path) =
            (&*self.shared.options.world.disk, segment_path(&self.shared.dir, held.base));
        let mut from = Extended::<ReplicaError>::new((source, held), there, &path);
        let mut copied = copy_unnamed(&mut from, held.end, disk, &path);
        let is_damage = |copied: &Result<_, ReplicaError>| {
            matches!(copied, Err(ReplicaError::Disk(Fault::Damaged { .. })))
        };
        if is_damage(&copied) && from.there.is_some() {
            // What was here is damaged: all of it comes from the source.
            from.there = None;
            copied = copy_unnamed(&mut from, held.end, disk, &path);
        }
        let copied = copied.map_err(of_source)?;
        let (header, store) = (copied.header, self.newest.header.store);
        if header.seed != held.seed {
            return Err(SourceError::Replaced { base: held.base }.into());
        }
        if (header.store, header.base, header.number) != (store, held.base, number) {
            return Err(self.diverged(held));
        }
        let unfinished = unfinished(&path);
        let file = disk.open(&unfinished, Mode::Write).map_err(Fault::io("open", &unfinished))?;
        let scan = scan(&*file, &unfinished, &header)?;
        match scan.missing.first() {
            Some(missing) => {
                let (file, offset, what) = (source.name(held), missing.offset, missing.what);
                Err(of_source(Fault::Damaged { file, offset, what }.into()))
            }
            None => Ok(Fetched { copied, scan, file }),
        }
    }

    /// Gives a fetched segment its name, durably.
    fn name(&self, fetched: Fetched) -> Result<(Segment, Scan), ReplicaError> {
        let Fetched { copied, mut scan, file } = fetched;
        assert_eq!(scan.end, copied.len, "all of it was walked on its way");
        let (disk, dir) = (&*self.shared.options.world.disk, &self.shared.dir);
        let path = segment_path(dir, copied.header.base);
        let unfinished = unfinished(&path);
        disk.rename(&unfinished, &path).map_err(Fault::io("rename", &unfinished))?;
        // Which of the two is there after a crash is open now: nothing goes on after a failure.
        let synced = disk.sync_dir(dir).map_err(Fault::io("sync", dir));
        synced.map_err(ReplicaError::Disk)?;
        let index = Index::memory(std::mem::take(&mut scan.index));
        let (header, end, missing, lost) = (copied.header, scan.end, Vec::new(), index.lost()?);
        Ok((Segment::new(Parts { header, path, file, index, missing, lost, end }), scan))
    }

    /// A fetched segment is the newest, and readers see what is in it.
    fn become_newest(&mut self, fetched: Fetched) -> Result<(), ReplicaError> {
        let (head, header) = (Position(fetched.next() - 1), fetched.copied.header);
        let walk = Walk::after(&header, &fetched.scan);
        let shared = self.shared.clone();
        let files = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        let (segment, scan) = self.name(fetched)?;
        drop(files);
        let segment = Arc::new(segment);
        shared.add_segment(segment.clone());
        (self.newest, self.walk, self.zeroed) = (segment, walk, scan.len.max(walk.at));
        self.last_frame = walk.at.saturating_sub(COMPARED_BYTES).max(HEADER_BYTES as u64);
        self.shared.publish(head, scan.tracked.into_iter().collect());
        Ok(())
    }
}

/// Damage that is met in what comes from the source is the source's.
fn of_source(error: ReplicaError) -> ReplicaError {
    match error {
        ReplicaError::Disk(fault @ Fault::Damaged { .. }) => SourceError::Fault(fault).into(),
        error => error,
    }
}
