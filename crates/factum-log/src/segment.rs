//! A file of the log: its head, its bytes, its index, and what of it is missing.

use crate::{
    disk::File,
    error::{Damage, Fault},
    format::{
        frame::{self, FrameHeader, FramePlace},
        header::{REWRITTEN, SegmentHeader},
    },
    index::{AllLost, FrameRef, Index, Lost},
    options::Options,
    planted::{Bug, is_on},
};
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// The name of a segment's file: the position of its first event.
pub(crate) fn segment_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

/// The name of a segment's index.
pub(crate) fn index_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.idx"))
}

/// The position that a file's name says, if it is a segment's.
pub(crate) fn base_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".log").filter(|digits| digits.len() == 20)?;
    digits.parse().ok().filter(|base| *base > 0)
}

/// The position that a file's name says, if it is that of a segment's index.
pub(crate) fn indexed_base_of(file_name: &str) -> Option<u64> {
    base_of(&format!("{}.log", file_name.strip_suffix(".idx")?))
}

/// The least that is zeroed ahead, in bytes.
const ZERO_AHEAD_MIN: u64 = 256 * 1024;

/// Written over and over where many zeroes are: few enough to stay in a processor's cache.
static ZEROES: [u8; 256 << 10] = [0; 256 << 10];

/// Events that were there, and cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Missing {
    pub(crate) ordinals: Range<u32>,
    pub(crate) offset: u64,
    pub(crate) what: Damage,
}

/// A file of the log.
///
/// A sealed one may be rewritten: another file takes its name, and another `Segment` its place in
/// the list. Who holds this one goes on reading the file that is open here, so it is never opened
/// again by its name.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn File>,
    pub(crate) index: Index,
    /// What is damaged: as long as there is any, nothing is written.
    pub(crate) missing: Vec<Missing>,
    /// What was damaged once, and was put aside: the loss was accepted.
    pub(crate) lost: AllLost,
    /// Bytes before this offset are durable, and may be read.
    end: AtomicU64,
    /// Bytes that a sealed one takes on the disk, where these are others: it is compressed, or has
    /// been moved.
    stored: AtomicU64,
}

/// A file that takes as many bytes as it has.
const AS_IT_IS: u64 = u64::MAX;

/// What a segment is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn File>,
    pub(crate) index: Index,
    pub(crate) missing: Vec<Missing>,
    pub(crate) lost: AllLost,
    pub(crate) end: u64,
}

impl Segment {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { header, path, file, index, missing, lost, end } = parts;
        let (end, stored) = (AtomicU64::new(end), AtomicU64::new(AS_IT_IS));
        Self { header, path, file, index, missing, lost, end, stored }
    }

    /// Notes what a sealed segment takes on the disk.
    pub(crate) fn note_stored(&self, bytes: u64) {
        let stored = if bytes == self.end() { AS_IT_IS } else { bytes };
        self.stored.store(stored, Ordering::Relaxed);
    }

    /// Whether its file is as it was written: neither compressed nor moved.
    #[cfg(feature = "zstd")]
    pub(crate) fn is_plain(&self) -> bool {
        self.stored.load(Ordering::Relaxed) == AS_IT_IS
    }

    /// Bytes that it takes on the disk, zeroes ahead apart.
    pub(crate) fn stored(&self) -> u64 {
        let stored = self.stored.load(Ordering::Relaxed);
        if stored == AS_IT_IS { self.end() } else { stored }
    }

    pub(crate) fn base(&self) -> u64 {
        self.header.base
    }

    /// What tells it from every other: a segment that is rewritten keeps its base, and has another
    /// seed. What is remembered of a segment is remembered under this.
    pub(crate) fn seed(&self) -> u64 {
        self.header.seed
    }

    /// Whether it was rewritten, so that at some of its positions there may be no event.
    pub(crate) fn has_gaps(&self) -> bool {
        self.header.features & REWRITTEN != 0
    }

    /// Bytes before this offset may be read.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Lets readers read up to an offset.
    pub(crate) fn publish(&self, end: u64) {
        let before = self.end.swap(end, Ordering::Release);
        assert!(before <= end, "what was published stays published");
    }

    /// Writes zeroes over a range of the file. They are not durable yet.
    pub(crate) fn zero(&self, range: Range<u64>) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(ZEROES.len());
            self.file.write_at(ZEROES.get(..len).unwrap_or_default(), at)?;
            at += len as u64;
        }
        Ok(())
    }

    /// Makes sure that a write up to `end` changes neither the file's length nor its extents; gives
    /// how far the file has zeroes, durably, that were written ahead before up to `zeroed`.
    pub(crate) fn zero_ahead(
        &self,
        zeroed: u64,
        end: u64,
        options: &Options,
    ) -> Result<u64, Fault> {
        if end <= zeroed {
            return Ok(zeroed);
        }
        // Twice as far each time, so that a small store stays small.
        let ahead = zeroed.max(ZERO_AHEAD_MIN).min(options.zero_ahead_bytes_max);
        let wanted = (zeroed + ahead).min(options.segment_bytes).max(end);
        match self.zero_durably(zeroed..wanted) {
            // The last bytes of a disk are for events, not for zeroes.
            Err(fault) if fault.is_full() && wanted > end => self.zero_durably(zeroed..end),
            done => done,
        }
    }

    fn zero_durably(&self, range: Range<u64>) -> Result<u64, Fault> {
        let end = range.end;
        self.zero(range).map_err(Fault::io("write zeroes ahead to", &self.path))?;
        self.file.sync().map_err(Fault::io("sync", &self.path))?;
        Ok(end)
    }

    /// The ordinal of a position, which is at or after the segment's base.
    pub(crate) fn ordinal(&self, position: u64) -> u32 {
        let ordinal = position.checked_sub(self.base()).expect("the position is in the segment");
        u32::try_from(ordinal).unwrap_or(u32::MAX)
    }

    pub(crate) fn position(&self, ordinal: u32) -> u64 {
        self.base() + u64::from(ordinal)
    }

    pub(crate) fn place(&self, offset: u64) -> FramePlace {
        FramePlace { seed: self.header.seed, offset }
    }

    /// The missing events that an ordinal is among.
    pub(crate) fn missing_at(&self, ordinal: u32) -> Option<&Missing> {
        self.missing.iter().find(|missing| missing.ordinals.contains(&ordinal))
    }

    /// The lost events that an ordinal is among.
    pub(crate) fn lost_at(&self, ordinal: u32) -> Option<&Lost> {
        if self.lost.is_empty() { None } else { self.lost.at(ordinal) }
    }

    /// Whether events are lost of which nothing is known: a stream's events here may not follow
    /// each other then.
    pub(crate) fn has_unknown(&self) -> bool {
        !self.lost.is_empty() && self.lost.unknown_in(0..u32::MAX).is_some()
    }

    /// What is said to who asks for a lost event.
    pub(crate) fn lost_fault(&self, lost: &Lost) -> Fault {
        let (from, upto) = (self.position(lost.ordinals.start), self.position(lost.ordinals.end));
        Fault::Lost { file: self.path.clone(), positions: from..=upto - 1, of: None }
    }

    pub(crate) fn fault(&self, offset: u64, what: Damage) -> Fault {
        Fault::Damaged { file: self.path.clone(), offset, what }
    }

    /// The head of a frame that was checked whole: for searching by time, where a wrong one would
    /// hide events.
    pub(crate) fn frame_header(&self, frame: FrameRef) -> Result<FrameHeader, Fault> {
        let offset = u64::from(frame.offset);
        let mut bytes = vec![0; frame.bytes as usize];
        self.file.read_at(&mut bytes, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.fault(offset, Damage::Frame),
            _ => Fault::io("read", &self.path)(error),
        })?;
        if is_on(Bug::TrustRecordedTimes) {
            return FrameHeader::decode(&bytes).ok_or_else(|| self.fault(offset, Damage::Frame));
        }
        let whole = frame::decode(&bytes, self.place(offset));
        whole.map(|(header, _)| header).ok_or_else(|| self.fault(offset, Damage::Frame))
    }
}
