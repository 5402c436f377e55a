//! A new segment: it appears under its name only when it is whole and durable.

use crate::{
    disk::{File, Mode},
    error::Fault,
    format::{
        body::{Tracked, put_carry},
        frame::{FrameHeader, FramePlace, Kind},
        header::{HEADER_BYTES, SegmentHeader},
    },
    index::{AllLost, Index, MemoryIndex},
    options::Options,
    planted::{Bug, is_on},
    segment::{Parts, Segment, segment_path},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};
use uuid::Uuid;

/// What a new segment goes on from.
#[derive(Debug)]
pub(crate) struct NewSegment<'a> {
    pub(crate) store: Uuid,
    pub(crate) number: u64,
    pub(crate) base: u64,
    pub(crate) floor_ns: i64,
    pub(crate) tracked: &'a HashMap<Arc<str>, u64>,
}

/// Creates a segment, ready to be written to after its carry.
pub(crate) fn create_segment(
    dir: &Path,
    options: &Options,
    new: &NewSegment<'_>,
) -> Result<Segment, Fault> {
    Prepared::new(dir, options, new)?.finish(options)
}

/// A segment that is durable, and not yet under its name.
#[derive(Debug)]
pub(crate) struct Prepared {
    header: SegmentHeader,
    file: Box<dyn File>,
    unfinished: PathBuf,
    dir: PathBuf,
    end: u64,
}

impl Prepared {
    pub(crate) fn new(dir: &Path, options: &Options, new: &NewSegment<'_>) -> Result<Self, Fault> {
        let seed = options.world.rng.next_u64();
        let header = SegmentHeader {
            store: new.store,
            number: new.number,
            base: new.base,
            floor_ns: new.floor_ns,
            features: 0,
            seed,
            origin: seed,
        };
        let mut bytes = header.encode();
        bytes.extend_from_slice(&carry(&header, new));
        let disk = &*options.world.disk;
        let unfinished = segment_path(dir, new.base).with_extension("log.tmp");
        let file = disk.open(&unfinished, Mode::Create);
        let file = file.map_err(Fault::io("create", &unfinished))?;
        file.write_at(&bytes, 0).map_err(Fault::io("write", &unfinished))?;
        if !is_on(Bug::NameBeforeSync) {
            file.sync().map_err(Fault::io("sync", &unfinished))?;
        }
        Ok(Self { header, file, unfinished, dir: dir.to_owned(), end: bytes.len() as u64 })
    }

    /// Gives it its name.
    pub(crate) fn finish(self, options: &Options) -> Result<Segment, Fault> {
        let disk = &*options.world.disk;
        let path = segment_path(&self.dir, self.header.base);
        let renamed = disk.rename(&self.unfinished, &path);
        renamed.map_err(Fault::io("rename", &self.unfinished))?;
        if !is_on(Bug::SkipFolderSync) {
            disk.sync_dir(&self.dir).map_err(Fault::io("sync", &self.dir))?;
        }
        Ok(Segment::new(Parts {
            header: self.header,
            path,
            file: self.file,
            index: Index::memory(MemoryIndex::default()),
            missing: Vec::new(),
            lost: AllLost::default(),
            end: self.end,
        }))
    }
}

/// The first frame: all tracked positions, so that opening never looks into older segments.
fn carry(header: &SegmentHeader, new: &NewSegment<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    let tracked = new.tracked.iter();
    put_carry(&mut body, tracked.map(|(source, position)| Tracked { source, position: *position }));
    let head = FrameHeader {
        len: u32::try_from(body.len()).expect("sources are limited"),
        ordinal: 0,
        recorded_at_ns: new.floor_ns,
        pending: 0,
        count: 0,
        kind: Kind::Carry,
        first: true,
        last: true,
        tracking: false,
    };
    let mut frame = vec![0; head.head_bytes()];
    frame.extend_from_slice(&body);
    head.seal(&mut frame, FramePlace { seed: header.seed, offset: HEADER_BYTES as u64 });
    frame
}
