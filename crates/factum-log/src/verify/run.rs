//! A verification under way: what was seen so far, and what the next segment is compared with.

use super::{Progress, Report, Watch, streams::Streams};
use crate::format::header::SegmentHeader;

pub(super) struct Run<'a> {
    pub(super) report: Report,
    pub(super) streams: Streams,
    pub(super) progress: Meter<'a>,
    /// The head of the segment before, and the position after its last event.
    pub(super) expected: Option<(SegmentHeader, u64)>,
    /// When the last append so far was recorded.
    pub(super) last_ns: i64,
}

impl<'a> Run<'a> {
    pub(super) fn new(bytes_total: u64, watch: Watch<'a>) -> Self {
        let progress = Meter { watch, done: 0, total: bytes_total, goes_on: true };
        Self {
            report: Report::default(),
            streams: Streams::default(),
            progress,
            expected: None,
            last_ns: i64::MIN,
        }
    }

    pub(super) fn done(mut self) -> Report {
        self.report.is_partial = !self.progress.goes_on;
        self.report.streams_not_followed = self.streams.not_followed;
        self.report.bytes = self.progress.done;
        self.report
    }
}

/// Tells who watches.
pub(super) struct Meter<'a> {
    watch: Watch<'a>,
    done: u64,
    total: u64,
    pub(super) goes_on: bool,
}

impl Meter<'_> {
    /// So many bytes of the file that is being read are behind.
    pub(super) fn at(&mut self, offset: u64) {
        let progress = Progress { bytes: self.done + offset, bytes_total: self.total };
        self.goes_on &= (self.watch)(progress);
    }

    /// A file of so many bytes is behind.
    pub(super) fn file(&mut self, bytes: u64) {
        self.done += bytes;
        self.at(0);
    }
}
