//! Checking frames one after the other, from bytes that come piece by piece.
//!
//! Less than what opening does, and without its memory: every checksum, and that frames and appends
//! follow each other. What is inside of a frame is not looked at.

use crate::{
    error::Damage,
    format::{
        frame::{self, FRAME_HEADER_BYTES_MAX, FrameHeader, FramePlace, Kind},
        header::{HEADER_BYTES, SegmentHeader},
    },
    recovery::Scan,
};

/// A place between two frames of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Walk {
    seed: u64,
    /// Where the next frame begins.
    pub(crate) at: u64,
    /// One past the last whole append.
    pub(crate) whole: u64,
    /// The ordinal after the last event of the last whole append, at least.
    pub(crate) ordinal: u32,
    /// The ordinal after the last event.
    next: u32,
    /// When the last whole append was recorded.
    pub(crate) last_ns: i64,
    pub(crate) is_sealed: bool,
}

impl Walk {
    /// At the first frame.
    pub(crate) fn new(header: &SegmentHeader) -> Self {
        let at = HEADER_BYTES as u64;
        let (seed, last_ns) = (header.seed, header.floor_ns);
        Self { seed, at, whole: at, ordinal: 0, next: 0, last_ns, is_sealed: false }
    }

    /// After all that a scan found, which must be whole.
    pub(crate) fn after(header: &SegmentHeader, scan: &Scan) -> Self {
        Self::at(header, (scan.end, scan.last_ns), (scan.index.next(), scan.sealed))
    }

    /// After a whole append that ends at this offset and was recorded then; the ordinal of what
    /// comes next, and whether nothing does.
    pub(crate) fn at(
        header: &SegmentHeader,
        (at, last_ns): (u64, i64),
        (next, is_sealed): (u32, bool),
    ) -> Self {
        Self { seed: header.seed, at, whole: at, ordinal: next, next, last_ns, is_sealed }
    }

    /// Whether an append has begun and not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.whole != self.at
    }

    /// Takes the frame at the front of the bytes; `None` if they are too few.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Result<Option<FrameHeader>, Damage> {
        match FrameHeader::decode(bytes) {
            Some(header) if bytes.len() < header.frame_bytes() => return Ok(None),
            None if bytes.len() < FRAME_HEADER_BYTES_MAX => return Ok(None),
            _ => {}
        }
        let place = FramePlace { seed: self.seed, offset: self.at };
        let (header, _) = frame::decode(bytes, place).ok_or(Damage::Frame)?;
        let follows = header.first != self.is_open()
            && header.ordinal >= self.next
            && u64::from(header.pending) <= self.at - HEADER_BYTES as u64
            && !self.is_sealed;
        if !follows {
            return Err(Damage::Contradiction);
        }
        self.at += header.frame_bytes() as u64;
        self.next = header.ordinal.saturating_add(header.count.into());
        if header.last {
            self.whole = self.at;
            self.ordinal = self.next;
            self.last_ns = self.last_ns.max(header.recorded_at_ns);
            self.is_sealed = header.kind == Kind::Sealed;
        }
        Ok(Some(header))
    }
}
