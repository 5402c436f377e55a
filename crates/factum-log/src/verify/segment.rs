//! One segment: its head, its frames, its zeroes, its index.

use super::{
    Defect, Finding, Severity,
    index::{self, IndexCopy},
    run::Run,
};
use crate::{
    disk::{File, Rotten},
    error::{Damage, Fault, HeaderError, OpenError},
    format::{
        entry::Entry,
        frame::FrameHeader,
        header::{HEADER_BYTES, SegmentHeader},
    },
    planted::{Bug, is_on},
    recovery::{Scan, scan_before},
    segment::Missing,
};
use factum_core::Position;
use std::{io, ops::RangeInclusive, path::Path};

/// Bytes of the head that its checksum covers.
const HEADER_CHECKED: usize = 128;

/// A segment to be verified.
pub(super) struct Subject<'a> {
    pub(super) path: &'a Path,
    /// The position in its name.
    pub(super) base: u64,
    pub(super) file: &'a dyn File,
    /// The first position of the one after it; `None` for the newest.
    pub(super) next: Option<u64>,
    pub(super) index: IndexCopy<'a>,
    /// Of the newest segment of an open store: bytes before this offset were acknowledged.
    pub(super) acknowledged: Option<u64>,
}

/// What a segment's frames said, as far as later checks want it.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) header: SegmentHeader,
    pub(super) scan: Scan,
}

impl Run<'_> {
    /// Verifies a segment; `None` where it has no head that can be trusted, or cannot be read.
    pub(super) fn segment(&mut self, subject: &Subject<'_>) -> Result<Option<Walked>, OpenError> {
        self.report.segments += 1;
        let walked = match self.head(subject)? {
            Some(header) => {
                self.chain(subject, &header);
                self.walk(subject, header)
            }
            None => None,
        };
        let Some(Walked { header, scan }) = &walked else {
            self.streams.hole();
            self.expected = None;
            return Ok(None);
        };
        for missing in &scan.missing {
            self.missing(subject, missing);
        }
        for lost in scan.index.lost().iter() {
            let at = |ordinal: u32| subject.base + u64::from(ordinal);
            let positions = at(lost.ordinals.start)..=at(lost.ordinals.end) - 1;
            let defect = if lost.is_known { Defect::Lost } else { Defect::LostUnknown };
            let (severity, file) = (Severity::Lost, subject.path.to_owned());
            let lost = Some(positions);
            self.report.add(Finding { severity, file, offset: 0, defect, lost });
        }
        self.end(subject, scan);
        let next = subject.base + u64::from(scan.index.next());
        self.report.head = Position(next - 1);
        // What an unsealed one lost up to the next has been said: it is not said of that again.
        let lost = subject.next.filter(|_| !scan.sealed);
        if lost.is_some() {
            self.streams.hole();
        }
        self.expected = Some((*header, lost.unwrap_or(next)));
        if subject.next.is_some() {
            index::check(self, subject, header, scan);
        }
        Ok(walked)
    }

    /// Reads all frames: revisions follow each other, times never go back.
    fn walk(&mut self, subject: &Subject<'_>, header: SegmentHeader) -> Option<Walked> {
        let mut seen = self.streams.segment();
        let mut times = Vec::new();
        let mut last_ns = self.last_ns.max(header.floor_ns);
        let progress = &mut self.progress;
        let mut witness = |offset: u64, head: &FrameHeader, entries: &[Entry]| {
            if head.recorded_at_ns < last_ns {
                times.push(offset);
            }
            last_ns = last_ns.max(head.recorded_at_ns);
            seen.frame(offset, entries);
            progress.at(offset);
        };
        let scanned = scan_before(&mut witness, subject.file, subject.path, &header);
        let scan = scanned.map_err(|fault| self.unreadable(subject, &fault)).ok()?;
        self.last_ns = last_ns;
        times.into_iter().for_each(|at| self.add(subject, at, Defect::Times));
        self.report.events += seen.events;
        seen.end(scan.index.next());
        for found in self.streams.follow(seen, |number| scan.index.stream_name(number)) {
            let name = scan.index.stream_name(found.stream);
            let stream = name.map_or_else(String::new, |name| name.as_str().to_owned());
            let before = found.before.map_or_else(|| "none".to_owned(), |last| last.to_string());
            let defect = Defect::Revisions { stream, before, found: found.found };
            self.add(subject, found.offset, defect);
        }
        Some(Walked { header, scan })
    }

    fn head(&mut self, subject: &Subject<'_>) -> Result<Option<SegmentHeader>, OpenError> {
        let mut bytes = vec![0; HEADER_BYTES];
        match subject.file.read_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => bytes.clear(),
            Err(error) => {
                self.unreadable(subject, &Fault::io("read", subject.path)(error));
                return Ok(None);
            }
            Ok(()) => {}
        }
        let unused = bytes.get(HEADER_CHECKED..).unwrap_or_default();
        if let Some(at) = unused.iter().position(|byte| *byte != 0)
            && !is_on(Bug::SkipUnused)
        {
            self.add(subject, (HEADER_CHECKED + at) as u64, Defect::NotZero);
        }
        let (offset, what) = match SegmentHeader::decode(&bytes) {
            Ok(header) if header.base == subject.base => return Ok(Some(header)),
            Ok(_) => (56, Damage::Sequence),
            Err(HeaderError::Damaged(what)) => (0, what),
            Err(HeaderError::Newer { version, unknown }) => {
                let file = subject.path.to_owned();
                return Err(OpenError::Newer { file, version, unknown });
            }
        };
        let lost = subject.next.map(|next| subject.base..=next - 1);
        self.lost(subject, offset, (what.into(), lost));
        Ok(None)
    }

    /// Whether it follows the segment before it.
    fn chain(&mut self, subject: &Subject<'_>, header: &SegmentHeader) {
        let base = subject.base;
        self.report.store.get_or_insert(header.store);
        let (follows, from) = match &self.expected {
            Some((before, next)) => {
                let is_next = header.store == before.store && header.number == before.number + 1;
                (is_next && *next == base, *next)
            }
            // The one before has no head: where this one begins cannot be compared.
            None if self.report.segments > 1 => return,
            None => (base == 1, 1),
        };
        if !follows {
            if from < base {
                self.streams.hole();
            }
            let lost = (from < base).then(|| from..=base - 1);
            self.lost(subject, 0, (Damage::Sequence.into(), lost));
        }
    }

    fn missing(&mut self, subject: &Subject<'_>, missing: &Missing) {
        let at = |ordinal: u32| subject.base + u64::from(ordinal);
        let (from, upto) = (missing.ordinals.start, missing.ordinals.end);
        let lost = (from < upto).then(|| at(from)..=at(upto - 1));
        self.lost(subject, missing.offset, (missing.what.into(), lost));
    }

    /// What comes after the last whole append.
    fn end(&mut self, subject: &Subject<'_>, scan: &Scan) {
        if subject.acknowledged.is_some_and(|end| scan.end < end) {
            self.add(subject, scan.end, Damage::Frame.into());
        } else if subject.next.is_none() {
            if let Some(cut) = &scan.cut {
                self.note(subject, cut.start, (Severity::Leftover, Defect::Torn));
            }
        } else if !scan.sealed {
            let from = subject.base + u64::from(scan.index.next());
            let lost = subject.next.filter(|next| from < *next).map(|next| from..=next - 1);
            self.lost(subject, scan.end, (Damage::Unsealed.into(), lost));
        } else {
            match first_not_zero(subject.file, scan.end) {
                Ok(None) => {}
                Ok(Some(at)) => self.add(subject, at, Defect::NotZero),
                // No event is lost with it.
                Err(error) if Rotten::of(&error).is_some() => {
                    self.add(subject, scan.end, Damage::Block.into());
                }
                Err(error) => self.unreadable(subject, &Fault::io("read", subject.path)(error)),
            }
        }
    }

    fn unreadable(&mut self, subject: &Subject<'_>, fault: &Fault) {
        let lost = subject.next.map(|next| subject.base..=next - 1);
        self.lost(subject, 0, (Defect::Unreadable { why: fault.to_string() }, lost));
    }

    pub(super) fn add(&mut self, subject: &Subject<'_>, offset: u64, defect: Defect) {
        self.lost(subject, offset, (defect, None));
    }

    fn lost(
        &mut self,
        subject: &Subject<'_>,
        offset: u64,
        (defect, lost): (Defect, Option<RangeInclusive<u64>>),
    ) {
        let (severity, file) = (Severity::Damage, subject.path.to_owned());
        self.report.add(Finding { severity, file, offset, defect, lost });
    }

    fn note(&mut self, subject: &Subject<'_>, offset: u64, what: (Severity, Defect)) {
        let (severity, defect) = what;
        let file = subject.path.to_owned();
        self.report.add(Finding { severity, file, offset, defect, lost: None });
    }
}

/// Bytes looked at at once.
const CHUNK: u64 = 1 << 20;

fn first_not_zero(file: &dyn File, from: u64) -> io::Result<Option<u64>> {
    let len = file.len()?;
    let mut bytes = Vec::new();
    let mut at = from;
    while at < len {
        let chunk = CHUNK.min(len - at);
        bytes.resize(usize::try_from(chunk).expect("1 MiB at most"), 0);
        file.read_at(&mut bytes, at)?;
        if let Some(found) = bytes.iter().position(|byte| *byte != 0) {
            return Ok(Some(at + found as u64));
        }
        at += chunk;
    }
    Ok(None)
}
