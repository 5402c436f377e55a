//! Reading every frame of a segment into an index.
//!
//! The one question that matters is what to do where a frame is not whole. Each frame says how far
//! the segment was durable when it was written: if any whole frame further on says "beyond here",
//! the bytes here were acknowledged once, and are damaged. If none does, they belong to a write
//! that never was, and are cut.

use super::{
    take_in::{FrameAt, take_in},
    window::Window,
};
use crate::{
    disk::File,
    error::{Damage, Fault},
    format::{
        entry::Entry,
        frame::{self, FRAME_HEADER_BYTES_MAX, FrameHeader, FramePlace, Kind},
        header::{HEADER_BYTES, SegmentHeader},
    },
    index::MemoryIndex,
    planted::{Bug, is_on},
    segment::Missing,
};
use std::{collections::HashMap, ops::Range, path::Path, sync::Arc};

/// What a segment holds.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) index: MemoryIndex,
    pub(crate) tracked: HashMap<Arc<str>, u64>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) last_ns: i64,
    /// The time of the carry, which is that of the head: nothing was recorded before.
    pub(crate) carry_ns: Option<i64>,
    /// One past the last whole append.
    pub(crate) end: u64,
    /// Bytes before this were durable when the last whole append was written.
    pub(crate) durable: u64,
    /// Bytes after that which are not zero.
    pub(crate) cut: Option<Range<u64>>,
    /// The last frame closed the log in good order.
    pub(crate) closed: bool,
    pub(crate) sealed: bool,
    pub(crate) len: u64,
}

/// Frames of an append that is not complete yet.
#[derive(Default)]
struct Pending {
    frames: Vec<(u64, FrameHeader)>,
}

/// Bytes that are checksummed at most in search of frames behind a bad one. A payload can be made
/// to look like heads of frames; opening must not take hours because of it.
const RESUME_BYTES_MAX: u64 = 2 << 30;
/// The shortest an event is: length, flags, id, stream, type, revision.
const ENTRY_BYTES_MIN: u32 = 1 + 1 + 16 + 3;

/// Who is shown each whole frame of events, in order: its offset, its head, its events; and each
/// that says what is lost, which has none.
pub(crate) type Witness<'a> = &'a mut dyn FnMut(u64, &FrameHeader, &[Entry]);

struct Scanner<'a> {
    window: Window<'a>,
    seed: u64,
    scan: Scan,
    pending: Pending,
    witness: Witness<'a>,
}

pub(crate) fn scan(file: &dyn File, path: &Path, header: &SegmentHeader) -> Result<Scan, Fault> {
    scan_before(&mut |_, _, _| (), file, path, header)
}

/// Reads a segment, and shows what it holds to a witness.
pub(crate) fn scan_before(
    witness: Witness<'_>,
    file: &dyn File,
    path: &Path,
    header: &SegmentHeader,
) -> Result<Scan, Fault> {
    scan_with(MemoryIndex::default(), witness, &Place { file, path, header })
}

/// The segment that is read.
pub(crate) struct Place<'a> {
    pub(crate) file: &'a dyn File,
    pub(crate) path: &'a Path,
    pub(crate) header: &'a SegmentHeader,
}

/// The same, of a segment of which some names are known: an index that has nothing but names. What
/// damage has taken of them the frames behind it need not miss.
pub(crate) fn scan_with(
    names: MemoryIndex,
    witness: Witness<'_>,
    &Place { file, path, header }: &Place<'_>,
) -> Result<Scan, Fault> {
    let window = Window::new(file, path)?;
    let scan = Scan {
        index: names,
        tracked: HashMap::new(),
        missing: Vec::new(),
        last_ns: header.floor_ns,
        carry_ns: None,
        end: HEADER_BYTES as u64,
        durable: HEADER_BYTES as u64,
        cut: None,
        closed: false,
        sealed: false,
        len: window.len(),
    };
    let (seed, pending) = (header.seed, Pending::default());
    let mut scanner = Scanner { window, seed, scan, pending, witness };
    scanner.run()?;
    Ok(scanner.scan)
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        let mut at = HEADER_BYTES as u64;
        while !self.scan.sealed {
            match self.accept(at)? {
                Ok(after) => at = after,
                Err(what) => match self.resume(what)? {
                    Some(next) => at = next,
                    None => return self.finish(),
                },
            }
        }
        self.scan.end = at;
        Ok(())
    }

    fn frame(&mut self, at: u64) -> Result<Option<FrameHeader>, Fault> {
        let head = self.window.at(at, FRAME_HEADER_BYTES_MAX as u64)?;
        let Some(header) = FrameHeader::decode(head) else { return Ok(None) };
        let place = FramePlace { seed: self.seed, offset: at };
        let bytes = self.window.at(at, header.frame_bytes() as u64)?;
        Ok(frame::decode(bytes, place).map(|(header, _)| header))
    }

    /// Takes in the frame at an offset; where the next one is, or what is wrong.
    fn accept(&mut self, at: u64) -> Result<Result<u64, Damage>, Fault> {
        let Some(header) = self.frame(at)? else { return Ok(Err(self.window.why(at))) };
        let after = at + header.frame_bytes() as u64;
        if !self.follows(at, &header) {
            return Ok(Err(Damage::Contradiction));
        }
        self.pending.frames.push((at, header));
        if !header.last {
            return Ok(Ok(after));
        }
        for (offset, header) in std::mem::take(&mut self.pending.frames) {
            if !self.apply(offset, &header)? {
                return Ok(Err(Damage::Contradiction));
            }
        }
        self.scan.end = after;
        self.scan.durable = self.scan.durable.max(header.durable(at));
        self.scan.last_ns = self.scan.last_ns.max(header.recorded_at_ns);
        Ok(Ok(after))
    }

    /// What a planted bug does with the frames of an append that is not whole.
    fn apply_incomplete(&mut self) -> Result<(), Fault> {
        for (offset, header) in std::mem::take(&mut self.pending.frames) {
            self.apply(offset, &header)?;
            self.scan.end = offset + header.frame_bytes() as u64;
        }
        Ok(())
    }

    /// Whether a frame can stand where it does.
    fn follows(&self, at: u64, header: &FrameHeader) -> bool {
        let expected = match self.pending.frames.last() {
            Some((_, before)) => before.ordinal + u32::from(before.count),
            None => self.scan.index.next(),
        };
        header.first == self.pending.frames.is_empty()
            && header.ordinal >= expected
            && u64::from(header.pending) <= at - HEADER_BYTES as u64
    }

    /// Puts a frame's content into the index; false if it makes no sense.
    fn apply(&mut self, at: u64, header: &FrameHeader) -> Result<bool, Fault> {
        self.scan.closed = header.kind == Kind::Closed;
        let len = header.frame_bytes() as u64;
        let bytes = self.window.at(at, len)?;
        let body = bytes.get(header.head_bytes()..).unwrap_or_default();
        let index = &mut self.scan.index;
        let frame = FrameAt { at, header, body };
        let Some(entries) = take_in(frame, index, &mut self.scan.tracked) else {
            return Ok(false);
        };
        match header.kind {
            Kind::Events | Kind::Lost => (self.witness)(at, header, &entries),
            Kind::Sealed => self.scan.sealed = true,
            Kind::Carry => self.scan.carry_ns = Some(header.recorded_at_ns),
            Kind::Closed => {}
        }
        Ok(true)
    }

    /// Bytes of the frame whose head may be at an offset, by all that a head can say.
    fn candidate(&mut self, at: u64) -> Result<Option<u64>, Fault> {
        let expected = self.scan.index.next();
        let end = self.window.len();
        let head = self.window.at(at, FRAME_HEADER_BYTES_MAX as u64)?;
        let Some(header) = FrameHeader::decode(head) else { return Ok(None) };
        let len = header.frame_bytes() as u64;
        let count = u32::from(header.count);
        let is_like_its_kind = match header.kind {
            Kind::Events => header.len > 0 && count.saturating_mul(ENTRY_BYTES_MIN) <= header.len,
            Kind::Carry => false,
            Kind::Lost => header.len > 0,
            Kind::Closed | Kind::Sealed => header.len == 0 && count == 0,
        };
        let fits = header.ordinal >= expected
            && u64::from(header.pending) <= at - HEADER_BYTES as u64
            && at + len <= end;
        Ok((is_like_its_kind && fits).then_some(len))
    }

    /// After something wrong: the place to go on at, if what is wrong was acknowledged once.
    fn resume(&mut self, what: Damage) -> Result<Option<u64>, Fault> {
        if is_on(Bug::AcceptIncomplete) {
            self.apply_incomplete()?;
        }
        let bad = self.scan.end;
        self.pending.frames.clear();
        let content_end = self.window.content_end(bad)?;
        let mut next = None;
        let mut at = bad;
        // A segment has its name only once its head and its carry are durable; and none is
        // compressed that is not.
        let mut proven = bad == HEADER_BYTES as u64 || self.window.is_rotten(bad);
        let mut budget = RESUME_BYTES_MAX;
        while at < content_end {
            // An append that contradicts itself begins here: it is no place to go on at.
            let candidate = if at == bad { None } else { self.candidate(at)? };
            let Some(len) = candidate else {
                at += 1;
                continue;
            };
            let Some(left) = budget.checked_sub(len) else {
                // Too much looks like frames to look at all of it: nothing is cut unlooked at.
                (proven, next) = (true, None);
                break;
            };
            budget = left;
            let Some(header) = self.frame(at)? else {
                at += 1;
                continue;
            };
            if next.is_none() && header.first {
                next = Some((at, header.ordinal));
            }
            proven |= header.durable(at) > bad;
            if proven && next.is_some() {
                break;
            }
            at += header.frame_bytes() as u64;
        }
        if !proven || is_on(Bug::CutAtFirstBad) {
            self.scan.cut = (content_end > bad).then_some(bad..content_end);
            return Ok(None);
        }
        let from = self.scan.index.next();
        let (upto, next) = match next {
            Some((next, ordinal)) => (ordinal, Some(next)),
            None => (from, None),
        };
        // Where nothing says how many were lost, one stands for them all: whoever reads up to the
        // end meets it.
        let upto = upto.max(from.saturating_add(u32::from(next.is_none())));
        self.scan.missing.push(Missing { ordinals: from..upto, offset: bad, what });
        self.scan.index.skip_to(upto);
        if let Some(next) = next {
            self.scan.end = next;
        }
        Ok(next)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        assert!(
            self.scan.end <= self.window.len().max(HEADER_BYTES as u64),
            "the end is in the file"
        );
        Ok(())
    }
}
