//! Finding the segments of a folder, and whether they follow each other.

use super::{
    Closed, NewSegment, Role, UNFINISHED, before, create_segment, make_durable,
    scan::{Scan, scan},
};
use crate::{
    backup::RESTORING,
    disk::{Disk, File, Mode, Rotten},
    error::{Damage, Fault, HeaderError, OpenError},
    format::header::{HEADER_BYTES, SegmentHeader},
    index::{AllLost, Index, IndexFile, MemoryIndex},
    options::Options,
    packed,
    planted::{Bug, is_on},
    segment::{Missing, Parts, Segment, base_of, index_path, segment_path},
    tier::check_reached,
};
use factum_core::Position;
use std::{
    collections::HashMap,
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a folder holds.
pub(super) struct Loaded {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) tail: FoundTail,
    pub(super) tracked: HashMap<Arc<str>, u64>,
    pub(super) head: Position,
    /// Recorded times are not before this.
    pub(super) floor_ns: i64,
    /// Files that never were whole.
    pub(super) unfinished: Vec<String>,
    /// The disk had no room for the next segment.
    pub(super) full: Option<Fault>,
}

/// Where the writer goes on.
#[derive(Debug)]
pub(super) struct FoundTail {
    pub(super) end: u64,
    /// Bytes before this are known to be durable.
    pub(super) durable: u64,
    pub(super) cut: Option<Range<u64>>,
    pub(super) zeroed: u64,
    pub(super) closed: bool,
    /// Nothing more goes into the segment.
    pub(super) sealed: bool,
}

impl FoundTail {
    /// Of a segment that has no more than its carry, which is durable.
    fn after_carry(end: u64) -> Self {
        Self { end, durable: end, cut: None, zeroed: end, closed: false, sealed: false }
    }
}

impl Loaded {
    /// What is damaged, and what is lost by it.
    pub(super) fn damage(&self) -> Option<Arc<str>> {
        let of = |segment: &Arc<Segment>| {
            let missing = segment.missing.first()?;
            let fault = segment.fault(missing.offset, missing.what);
            let (from, upto) = (missing.ordinals.start, missing.ordinals.end);
            let lost = if upto <= from {
                "no event is lost with it".to_owned()
            } else if upto == u32::MAX {
                format!("positions from {} on cannot be read", segment.position(from))
            } else if upto > from + 1 {
                let last = segment.position(upto - 1);
                format!("positions {} to {last} cannot be read", segment.position(from))
            } else {
                format!("position {} cannot be read", segment.position(from))
            };
            Some(format!("{fault}; {lost}").into())
        };
        self.segments.iter().find_map(of)
    }

    /// Why nothing may be written, if something is damaged, or there is no room.
    pub(super) fn read_only(&self) -> Option<Arc<str>> {
        let full = |fault: &Fault| format!("{fault}: free some space, and open the store again");
        let damaged = |what| {
            format!(
                "{what}. Restore the folder from a backup, or put the segment aside with \
                 `factum quarantine`, to write again"
            )
        };
        let damage = self.damage().map(damaged);
        damage.or_else(|| self.full.as_ref().map(full)).map(Into::into)
    }
}

/// Loads a folder. Whoever writes finds a segment to write to; a replica what is there.
pub(super) fn load(dir: &Path, options: &Options, role: &Role) -> Result<Loaded, OpenError> {
    let names = options.world.disk.list(dir).map_err(Fault::io("list", dir))?;
    if names.iter().any(|name| name == RESTORING) {
        return Err(OpenError::Unfinished { dir: dir.to_owned() });
    }
    check_reached(&*options.world.disk, dir, &names)?;
    packed::check_readable(dir, &names)?;
    let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name)).collect();
    bases.sort_unstable();
    let unfinished = names.into_iter().filter(|name| name.ends_with(UNFINISHED)).collect();
    let Some((last, sealed)) = bases.split_last() else {
        return match role {
            Role::Writer => fresh(dir, options, unfinished),
            Role::Replica { .. } => Err(OpenError::NoStore { dir: dir.to_owned() }),
        };
    };
    let mut chain = Chain::default();
    for (base, next) in sealed.iter().zip(bases.iter().skip(1)) {
        let found = Found::open(dir, options, *base)?;
        chain.add(found.sealed(dir, options, *next)?);
    }
    let found = Found::open(dir, options, *last)?;
    let mut newest = found.newest()?;
    let closed = Closed::read(dir, &*options.world.disk);
    if let Some(closed) = closed.filter(|_| !is_on(Bug::IgnoreClosed)) {
        newest.compare(closed);
    }
    let mut full = None;
    let is_whole = newest.segment.missing.is_empty() && chain.is_whole();
    if newest.tail.sealed && is_whole && matches!(role, Role::Writer) {
        // The crash came between sealing this one and creating the next.
        match newest.successor(dir, options) {
            Ok(next) => {
                chain.add(newest.segment);
                newest.segment = next;
                newest.reset();
            }
            // Reads need no space.
            Err(fault) if fault.is_full() => full = Some(fault),
            Err(fault) => return Err(fault.into()),
        }
    }
    let Newest { segment, tail, tracked, head, floor_ns, .. } = newest;
    chain.add(segment);
    Ok(Loaded { segments: chain.done(), tail, tracked, head, floor_ns, unfinished, full })
}

fn fresh(dir: &Path, options: &Options, unfinished: Vec<String>) -> Result<Loaded, OpenError> {
    sync_above(dir, &*options.world.disk)?;
    let tracked = HashMap::new();
    let new = NewSegment {
        store: options.world.rng.next_uuid(),
        number: 1,
        base: 1,
        floor_ns: i64::MIN,
        tracked: &tracked,
    };
    let segment = create_segment(dir, options, &new)?;
    let end = segment.end();
    Ok(Loaded {
        segments: vec![Arc::new(segment)],
        tail: FoundTail::after_carry(end),
        tracked,
        head: Position::START,
        floor_ns: i64::MIN,
        unfinished,
        full: None,
    })
}

/// Makes durable that a folder is there, and each one above it that may be new too.
pub(crate) fn sync_above(dir: &Path, disk: &dyn Disk) -> Result<(), Fault> {
    for above in dir.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match disk.sync_dir(above) {
            // Systems refuse so for a folder of somebody else's: it was there before.
            Err(error) if is_refusal(error.kind()) => {}
            synced => synced.map_err(Fault::io("sync", above))?,
        }
    }
    Ok(())
}

fn is_refusal(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(kind, PermissionDenied | InvalidInput | Unsupported | ReadOnlyFilesystem)
}

/// Opens the index file of a segment, if it is there and belongs to it.
pub(super) fn open_index(
    dir: &Path,
    options: &Options,
    header: &SegmentHeader,
) -> Option<IndexFile> {
    let path = index_path(dir, header.base);
    let file = options.world.disk.open(&path, Mode::Read).ok()?;
    IndexFile::open(file, path, header.seed, &options.index_pages)
}

/// A segment's file, opened.
struct Found {
    base: u64,
    path: PathBuf,
    file: Box<dyn File>,
    header: Result<SegmentHeader, Damage>,
}

impl Found {
    fn open(dir: &Path, options: &Options, base: u64) -> Result<Self, OpenError> {
        let path = segment_path(dir, base);
        let disk = &*options.world.disk;
        let file = disk.open(&path, Mode::Write).map_err(Fault::io("open", &path))?;
        let mut bytes = vec![0; HEADER_BYTES];
        let header = match file.read_at(&mut bytes, 0) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(HeaderError::Damaged(Damage::Header))
            }
            Err(error) if Rotten::of(&error).is_some() => Err(HeaderError::Damaged(Damage::Block)),
            Err(error) => return Err(Fault::io("read", path)(error).into()),
            Ok(()) => SegmentHeader::decode(&bytes),
        };
        let header = match header {
            Ok(header) if header.base == base => Ok(header),
            Ok(_) => Err(Damage::Sequence),
            Err(HeaderError::Damaged(damage)) => Err(damage),
            Err(HeaderError::Newer { version, unknown }) => {
                return Err(OpenError::Newer { file: path, version, unknown });
            }
        };
        Ok(Self { base, path, file, header })
    }

    /// A sealed segment: by its index file, or by reading all of it.
    fn sealed(self, dir: &Path, options: &Options, next: u64) -> Result<Segment, OpenError> {
        let count = u32::try_from(next - self.base).unwrap_or(u32::MAX);
        let Ok(header) = self.header else { return Ok(self.lost(count)) };
        let end = self.file.len().map_err(Fault::io("read", &self.path))?;
        if let Some(index) = open_index(dir, options, &header)
            && index.next() == count
            && let Ok(lost) = index.lost()
        {
            let index = Index::file(index);
            let stored = self.file.stored_bytes().map_err(Fault::io("read", &self.path))?;
            let (path, file, missing) = (self.path, self.file, Vec::new());
            let segment = Segment::new(Parts { header, path, file, index, missing, lost, end });
            segment.note_stored(stored);
            return Ok(segment);
        }
        let mut scan = scan(&*self.file, &self.path, &header)?;
        let known = scan.index.next();
        if !scan.sealed || known != count {
            let ordinals = known..count.max(known.saturating_add(1));
            scan.missing.push(Missing { ordinals, offset: scan.end, what: Damage::Unsealed });
        }
        Ok(Self { header: Ok(header), ..self }.segment(header, scan))
    }

    fn segment(self, header: SegmentHeader, scan: Scan) -> Segment {
        let (path, file, missing) = (self.path, self.file, scan.missing);
        let (lost, end) = (scan.index.lost().clone(), scan.end);
        let index = Index::memory(scan.index);
        Segment::new(Parts { header, path, file, index, missing, lost, end })
    }

    /// A segment without a head that can be trusted: nothing of it can be checked.
    fn lost(self, count: u32) -> Segment {
        let what = self.header.err().unwrap_or(Damage::Header);
        let store = uuid::Uuid::nil();
        let (base, floor_ns) = (self.base, i64::MIN);
        let (features, seed, origin) = (0, 0, 0);
        let header = SegmentHeader { store, number: 0, base, floor_ns, features, seed, origin };
        let missing = vec![Missing { ordinals: 0..count, offset: 0, what }];
        let mut index = MemoryIndex::default();
        index.skip_to(count);
        let (path, file, index) = (self.path, self.file, Index::memory(index));
        let lost = AllLost::default();
        Segment::new(Parts { header, path, file, index, missing, lost, end: 0 })
    }

    fn newest(self) -> Result<Newest, OpenError> {
        let Ok(header) = self.header else {
            // How many events were here is not known: one stands for them all.
            let (head, segment) = (Position(self.base), self.lost(1));
            let (tail, tracked, floor_ns) = (FoundTail::after_carry(0), HashMap::new(), i64::MIN);
            return Ok(Newest { segment, tail, tracked, head, floor_ns });
        };
        let mut scan = scan(&*self.file, &self.path, &header)?;
        let tail = FoundTail {
            end: scan.end,
            durable: scan.durable,
            cut: scan.cut.take(),
            zeroed: scan.len,
            closed: scan.closed,
            sealed: scan.sealed,
        };
        let head = Position(before(header.base).0 + u64::from(scan.index.next()));
        let (tracked, floor_ns) = (std::mem::take(&mut scan.tracked), scan.last_ns);
        Ok(Newest { segment: self.segment(header, scan), tail, tracked, head, floor_ns })
    }
}

/// The segment that the writer goes on in.
struct Newest {
    segment: Segment,
    tail: FoundTail,
    tracked: HashMap<Arc<str>, u64>,
    head: Position,
    floor_ns: i64,
}

impl Newest {
    fn successor(&self, dir: &Path, options: &Options) -> Result<Segment, Fault> {
        // Its last frames may be in the page cache only; the next segment says they are not.
        make_durable(&self.segment, self.tail.durable..self.tail.end)?;
        let new = NewSegment {
            store: self.segment.header.store,
            number: self.segment.header.number + 1,
            base: self.head.0 + 1,
            floor_ns: self.floor_ns,
            tracked: &self.tracked,
        };
        create_segment(dir, options, &new)
    }

    /// Takes note of what is gone since the log was closed.
    fn compare(&mut self, closed: Closed) {
        let segment = &mut self.segment;
        let is_short = segment.header.seed == closed.seed && self.tail.end < closed.end;
        let is_gone = segment.base() < closed.base;
        if (is_short || is_gone) && segment.missing.is_empty() {
            // How many events are gone is not known: one stands for them all.
            let next = segment.ordinal(self.head.0 + 1);
            let (ordinals, offset) = (next..next.saturating_add(1), self.tail.end);
            segment.missing.push(Missing { ordinals, offset, what: Damage::Shortened });
            self.head = Position(self.head.0 + 1);
        }
    }

    fn reset(&mut self) {
        self.tail = FoundTail::after_carry(self.segment.end());
    }
}

/// Segments that must follow each other.
#[derive(Default)]
struct Chain {
    segments: Vec<Segment>,
}

impl Chain {
    fn is_whole(&self) -> bool {
        self.segments.iter().all(|segment| segment.missing.is_empty())
    }

    fn add(&mut self, mut segment: Segment) {
        if let Some(before) = self.segments.last() {
            let (this, last) = (&segment.header, &before.header);
            let known = this.seed != 0 && last.seed != 0;
            if known && (this.store != last.store || this.number != last.number + 1) {
                // Nothing in it is this store's, or where it says.
                let ordinals = 0..u32::MAX;
                segment.missing.push(Missing { ordinals, offset: 0, what: Damage::Sequence });
            }
        } else if segment.base() != 1 {
            let ordinals = 0..1;
            segment.missing.push(Missing { ordinals, offset: 0, what: Damage::Sequence });
        }
        self.segments.push(segment);
    }

    fn done(self) -> Vec<Arc<Segment>> {
        self.segments.into_iter().map(Arc::new).collect()
    }
}
