//! Which segments of a folder are damaged, and which are gone: all of them are read, in order, as
//! each is judged beside its neighbours.

use super::{
    Loss, Quarantine, QuarantineError, Spot,
    folder::{ClosedFolder, Head, head},
    patient::Patient,
    plan::{Plan, Subject},
    recall, replace,
    salvage::{Salvage, salvage},
};
use crate::{
    disk::{Disk, File, Mode},
    error::{Damage, Fault, OpenError},
    format::header::SegmentHeader,
    index::{Index, IndexFile, MemoryIndex, PageCache},
    options::World,
    recovery::Closed,
    segment::{index_path, indexed_base_of, segment_path},
};
use factum_core::Position;
use std::{
    any::Any,
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};
use uuid::Uuid;

/// What the segments so far lead up to.
pub(super) struct Before {
    /// The first position of the next segment.
    pub(super) base: u64,
    /// Its number.
    pub(super) number: u64,
    /// Nothing in it was recorded before this.
    pub(super) last_ns: i64,
    pub(super) tracked: HashMap<Arc<str>, u64>,
}

/// A folder whose segments are looked at.
pub(super) struct Survey<'a> {
    pub(super) what: &'a Quarantine<'a>,
    pub(super) world: &'a World,
    pub(super) store: Uuid,
    pub(super) before: Before,
    heads: Vec<(u64, Head)>,
    /// Segments that have an index file, be the segment itself gone.
    indexed: BTreeSet<u64>,
    losses: Vec<Loss>,
    pages: PageCache,
    _lock: Box<dyn Any + Send + Sync>,
}

/// Where a segment is, or was.
#[derive(Clone, Copy)]
struct Spanned {
    base: u64,
    /// The first position of the one after it; `None` for the newest.
    next: Option<u64>,
    /// The number of that one, where its head says it.
    next_number: Option<u64>,
    head: Head,
    is_there: bool,
}

/// What was read of a segment.
struct Looked {
    salvage: Option<Salvage>,
    /// Its index, if it has one that is its own.
    index: Option<Index>,
    damage: Vec<Spot>,
    is_short: bool,
    header: Head,
}

impl<'a> Survey<'a> {
    /// Locks the folder, and reads the heads of its segments.
    pub(super) fn new(what: &'a Quarantine<'a>, world: &'a World) -> Result<Self, QuarantineError> {
        let dir = what.dir;
        let ClosedFolder { names, bases, lock } = ClosedFolder::new(dir, &*world.disk)?;
        let head = |base| Ok((base, head(&*world.disk, &segment_path(dir, base), base)?));
        let heads: Vec<_> = bases.into_iter().map(head).collect::<Result<_, OpenError>>()?;
        let store = heads.iter().find_map(|(_, head)| Some(head.as_ref()?.store));
        let why = "no segment has a head that can be trusted";
        let store = store.ok_or(QuarantineError::Unplaced { dir: dir.to_owned(), why })?;
        let before = Before { base: 1, number: 1, last_ns: i64::MIN, tracked: HashMap::new() };
        let indexed = names.iter().filter_map(|name| indexed_base_of(name)).collect();
        let (losses, pages) = Default::default();
        Ok(Self { what, world, store, before, heads, indexed, losses, pages, _lock: lock })
    }

    pub(super) fn disk(&self) -> &'a dyn Disk {
        &*self.world.disk
    }

    fn unplaced(&self, why: &'static str) -> QuarantineError {
        QuarantineError::Unplaced { dir: self.what.dir.to_owned(), why }
    }

    /// Looks at every segment; puts aside what is meant, if the loss is accepted.
    pub(super) fn all(mut self, accepts: bool) -> Result<Vec<Loss>, QuarantineError> {
        let heads = std::mem::take(&mut self.heads);
        let mut known: BTreeSet<u64> = heads.iter().map(|(base, _)| *base).collect();
        // The log reached further than the last file: that one is not the newest.
        let closed = Closed::read(self.what.dir, self.disk()).map(|closed| closed.base);
        let last = heads.last().map(|(last, _)| *last);
        let beyond = closed.filter(|closed| last.is_some_and(|last| last < *closed));
        for (nth, (base, head)) in heads.iter().enumerate() {
            let head = head.filter(|head| head.store == self.store);
            let gone = self.gone(*base, head.as_ref())?;
            known.extend(&gone);
            self.holes(&gone, Some(*base), accepts)?;
            let next = heads.get(nth + 1);
            let next_number = next.and_then(|(_, head)| Some(head.as_ref()?.number));
            let behind = || self.indexed.range(base + 1..).next().copied();
            let next = next.map(|(next, _)| *next);
            let next = next.or_else(|| beyond.map(|end| behind().map_or(end, |at| at.min(end))));
            let base = *base;
            self.one(Spanned { base, next, next_number, head, is_there: true }, accepts)?;
        }
        if let Some(newest) = beyond.filter(|newest| *newest >= self.before.base) {
            let gone = self.gone(newest, None)?;
            known.extend(gone.iter().chain([&newest]));
            self.holes(&gone, Some(newest), accepts)?;
            self.holes(&[newest], None, accepts)?;
        }
        let is_meant = |base: &&Position| !self.losses.iter().any(|loss| loss.base == **base);
        match self.what.segments.iter().find(is_meant).copied() {
            None => Ok(self.losses),
            Some(base) if known.contains(&base.0) => Err(QuarantineError::Whole { base }),
            Some(base) => Err(QuarantineError::NoSegment { base }),
        }
    }

    /// Where segments began that are gone, before the one at a position.
    fn gone(&self, base: u64, head: Option<&SegmentHeader>) -> Result<Vec<u64>, QuarantineError> {
        let start = self.before.base;
        if start >= base {
            return Ok(Vec::new());
        }
        let indexed: Vec<u64> = self.indexed.range(start..base).copied().collect();
        let count = match head {
            Some(head) => head.number.saturating_sub(self.before.number),
            None => (indexed.len() as u64).max(1),
        };
        if indexed.len() as u64 == count && indexed.first() == Some(&start) {
            return Ok(indexed);
        }
        // Each had an event at least: where one began is not known, and does not matter.
        match count {
            0 => Err(self.unplaced("segments do not follow each other, and none is missing")),
            count if count > base - start => {
                Err(self.unplaced("more segments are gone than there were positions"))
            }
            count => Ok((start..start + count).collect()),
        }
    }

    /// Segments that are gone, up to a position.
    fn holes(
        &mut self,
        gone: &[u64],
        upto: Option<u64>,
        accepts: bool,
    ) -> Result<(), QuarantineError> {
        for (nth, base) in gone.iter().enumerate() {
            let next = gone.get(nth + 1).copied().or(upto);
            let (base, next_number, head) = (*base, None, None);
            self.one(Spanned { base, next, next_number, head, is_there: false }, accepts)?;
        }
        Ok(())
    }

    fn one(&mut self, mut place: Spanned, accepts: bool) -> Result<(), QuarantineError> {
        let looked = self.look(place)?;
        let own = looked.salvage.as_ref().map(|one| place.base + u64::from(one.scan.index.next()));
        if !looked.damage.is_empty() {
            place.next = self.end(place, own);
        }
        let next = match own.filter(|_| looked.damage.is_empty()) {
            Some(own) => own,
            None => place.next.unwrap_or(place.base),
        };
        let number = place.head.map_or(self.before.number, |head| head.number) + 1;
        let scan = looked.salvage.as_ref().map(|salvage| &salvage.scan);
        let last_ns = scan.map_or(self.before.last_ns, |scan| scan.last_ns);
        let tracked = scan.map(|scan| scan.tracked.clone());
        let base = Position(place.base);
        let is_meant = self.what.segments.is_empty() || self.what.segments.contains(&base);
        if !looked.damage.is_empty() && is_meant {
            let subject = self.subject(place, looked);
            let plan = Plan::new(subject, self.what.keeps_whole);
            let mut loss = plan.loss();
            if accepts {
                loss.aside = replace::replace(self, &plan)?;
            }
            self.losses.push(loss);
        }
        self.before.base = next;
        self.before.number = number;
        self.before.last_ns = self.before.last_ns.max(last_ns);
        self.before.tracked.extend(tracked.unwrap_or_default());
        Ok(())
    }

    /// Where a damaged segment ended: where the next one begins, unless others are gone between.
    fn end(&self, place: Spanned, own: Option<u64>) -> Option<u64> {
        let (next, number) = (place.next?, place.next_number);
        let gone = number.map_or(0, |number| number.saturating_sub(self.before.number + 1));
        if gone == 0 {
            return Some(next);
        }
        let known = own.unwrap_or(place.base).max(place.base + 1).min(next);
        let mut indexed = self.indexed.range(known..next);
        let first = indexed.next().copied();
        Some(first.filter(|_| indexed.count() as u64 + 1 == gone).unwrap_or(known))
    }

    /// Reads a segment, as far as it is there.
    fn look(&self, place: Spanned) -> Result<Looked, QuarantineError> {
        let path = segment_path(self.what.dir, place.base);
        let index = self.index(place);
        let seeds = self.seeds(&path, place, index.as_ref().map(|(_, seed)| *seed));
        let index = index.map(|(index, _)| Index::file(index));
        let mut damage = Vec::new();
        if !place.is_there {
            damage.push(Spot { offset: 0, what: "the file is gone".into() });
        } else if place.head.is_none() {
            damage.push(Spot { offset: 0, what: Damage::Header.to_string() });
        }
        let (mut header, mut salvage) = (place.head, None);
        for seed in seeds {
            let names = index.as_ref().and_then(|index| recall::names(index).ok());
            let mut of_seed = place.head.unwrap_or_else(|| self.header(place, seed));
            let read = self.read(&path, (&of_seed, names.unwrap_or_default()))?;
            // Where the segment before is lost, nobody else knows it.
            of_seed.floor_ns = of_seed.floor_ns.max(read.scan.carry_ns.unwrap_or(i64::MIN));
            // A seed is right if a frame says so: it is part of every checksum.
            if place.head.is_some() || !read.frames.is_empty() || read.scan.sealed {
                (header, salvage) = (Some(of_seed), Some(read));
                break;
            }
        }
        let mut is_short = false;
        if let Some(salvage) = &salvage {
            damage.extend(damage_of(place, salvage));
            is_short = damage.is_empty() && place.next.is_none() && self.is_short(salvage, header);
            if is_short {
                let what = Damage::Shortened.to_string();
                damage.push(Spot { offset: salvage.scan.end, what });
            }
        }
        if !damage.is_empty() && place.is_there && self.is_remote(&path) {
            return Err(QuarantineError::Moved { file: path });
        }
        Ok(Looked { salvage, index, damage, is_short, header })
    }

    fn read(
        &self,
        path: &Path,
        (header, names): (&SegmentHeader, MemoryIndex),
    ) -> Result<Salvage, QuarantineError> {
        let file = self.disk().open(path, Mode::Read).map_err(Fault::io("open", path))?;
        if file.is_remote() {
            let moved = |_| QuarantineError::Moved { file: path.to_owned() };
            return salvage(&*file, path, (header, names)).map_err(moved);
        }
        Ok(salvage(&Patient(file), path, (header, names))?)
    }

    /// What the seed of a segment may be: of one whose head is damaged, what its index says, what
    /// closing said, and what stands in the head all the same.
    fn seeds(&self, path: &Path, place: Spanned, indexed: Option<u64>) -> Vec<u64> {
        if !place.is_there {
            return Vec::new();
        }
        if let Some(head) = place.head {
            return vec![head.seed];
        }
        let closed = Closed::read(self.what.dir, self.disk());
        let closed = closed.filter(|closed| closed.base == place.base);
        let file = self.disk().open(path, Mode::Read).ok();
        let stands = file.and_then(|file| u64_at(&*file, SEED_AT));
        [indexed, closed.map(|closed| closed.seed), stands].into_iter().flatten().collect()
    }

    fn is_remote(&self, path: &Path) -> bool {
        self.disk().open(path, Mode::Read).is_ok_and(|file| file.is_remote())
    }

    /// Whether the newest segment was longer when the store was closed.
    fn is_short(&self, salvage: &Salvage, header: Head) -> bool {
        let closed = Closed::read(self.what.dir, self.disk());
        closed.zip(header).is_some_and(|(closed, header)| {
            header.seed == closed.seed && salvage.scan.end < closed.end
        })
    }

    /// The index of a segment, and the seed that it is of; of one whose head is not known, what
    /// the index says itself.
    fn index(&self, place: Spanned) -> Option<(IndexFile, u64)> {
        let path = index_path(self.what.dir, place.base);
        let file = self.disk().open(&path, Mode::Read).ok()?;
        let seed = match place.head {
            Some(head) => head.seed,
            // The checksum of its pages says whether it is right.
            None => u64_at(&*file, INDEX_SEED_AT)?,
        };
        let index = IndexFile::open(file, path, seed, &self.pages)?;
        let fits = place.next.is_none_or(|next| place.base + u64::from(index.next()) <= next);
        fits.then_some((index, seed))
    }

    /// The head of a segment whose own cannot be trusted: its neighbours say what is in it.
    fn header(&self, place: Spanned, seed: u64) -> SegmentHeader {
        SegmentHeader {
            store: self.store,
            number: self.before.number,
            base: place.base,
            floor_ns: self.before.last_ns,
            features: 0,
            seed,
            origin: seed,
        }
    }

    fn subject(&self, place: Spanned, looked: Looked) -> Subject {
        let Looked { salvage, index, damage, is_short, header } = looked;
        Subject {
            path: segment_path(self.what.dir, place.base),
            header: header.unwrap_or_else(|| self.header(place, 0)),
            next: place.next,
            is_there: place.is_there,
            salvage,
            index,
            damage,
            is_short,
        }
    }
}

/// What is wrong with a segment, as opening sees it.
fn damage_of(place: Spanned, salvage: &Salvage) -> Vec<Spot> {
    let scan = &salvage.scan;
    let spot = |offset: u64, what: Damage| Spot { offset, what: what.to_string() };
    let missing = scan.missing.iter().map(|missing| spot(missing.offset, missing.what));
    let mut found: Vec<Spot> = missing.collect();
    let own = place.base + u64::from(scan.index.next());
    match place.next {
        Some(_) if !scan.sealed => found.push(spot(scan.end, Damage::Unsealed)),
        Some(next) if own > next => found.push(spot(scan.end, Damage::Sequence)),
        _ => {}
    }
    found
}

/// Where a segment, and where its index file says the seed, in bytes.
const SEED_AT: u64 = 88;
const INDEX_SEED_AT: u64 = 16;

fn u64_at(file: &dyn File, offset: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    file.read_at(&mut bytes, offset).ok()?;
    Some(u64::from_le_bytes(bytes))
}
