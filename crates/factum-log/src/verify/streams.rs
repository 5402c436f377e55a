//! Whether each stream's revisions follow each other, inside of a segment and from one to the next.
//!
//! Where positions are missing (damaged, or scavenged) a stream may go on further on; it never goes
//! back. So each stream's last revision is remembered with how many holes had been met by then.

use crate::format::entry::Entry;
use factum_core::StreamName;
use std::collections::HashMap;

/// Streams that are remembered from segment to segment, at most: about 100 bytes each.
const STREAMS_MAX: usize = 1 << 21;

/// The last event of a stream.
#[derive(Clone, Copy, Debug)]
struct Last {
    revision: u64,
    holes: u64,
}

impl Last {
    /// Whether a revision may follow after so many holes.
    fn admits(last: Option<Self>, revision: u64, holes: u64) -> bool {
        let (next, before) = last.map_or((0, 0), |last| (last.revision + 1, last.holes));
        revision == next || (revision > next && holes > before)
    }
}

/// A revision that does not follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Break {
    /// Of the frame.
    pub(super) offset: u64,
    pub(super) stream: u32,
    pub(super) before: Option<u64>,
    pub(super) found: u64,
}

/// All streams, from segment to segment.
#[derive(Debug, Default)]
pub(super) struct Streams {
    last: HashMap<StreamName, Last>,
    holes: u64,
    pub(super) not_followed: u64,
}

impl Streams {
    /// Positions are missing here.
    pub(super) fn hole(&mut self) {
        self.holes += 1;
    }

    pub(super) fn segment(&self) -> InSegment {
        InSegment { holes: self.holes, ..InSegment::default() }
    }

    /// Goes on after a segment; `name` says what its numbers mean.
    pub(super) fn follow(
        &mut self,
        seen: InSegment,
        name: impl Fn(u32) -> Option<StreamName>,
    ) -> Vec<Break> {
        let mut breaks = seen.breaks;
        for (stream, of_stream) in (0u32..).zip(seen.streams) {
            let (Some(seen), Some(name)) = (of_stream, name(stream)) else { continue };
            let last = self.last.get(&name).copied();
            let is_followed = last.is_some() || self.last.len() < STREAMS_MAX;
            if !is_followed {
                self.not_followed += 1;
                continue;
            }
            if !Last::admits(last, seen.first, seen.first_holes) {
                let before = last.map(|last| last.revision);
                breaks.push(Break { offset: seen.offset, stream, before, found: seen.first });
            }
            self.last.insert(name, seen.last);
        }
        self.holes = seen.holes;
        breaks
    }
}

/// A stream in one segment.
#[derive(Clone, Copy, Debug)]
struct InStream {
    first: u64,
    first_holes: u64,
    /// Of the frame of its first event.
    offset: u64,
    last: Last,
}

/// The streams of one segment, by number.
#[derive(Debug, Default)]
pub(super) struct InSegment {
    streams: Vec<Option<InStream>>,
    breaks: Vec<Break>,
    next: u32,
    holes: u64,
    pub(super) events: u64,
}

impl InSegment {
    /// Takes in the events of a frame. Their numbers are of names that are there.
    pub(super) fn frame(&mut self, offset: u64, entries: &[Entry]) {
        for entry in entries {
            if entry.ordinal != self.next {
                self.holes += 1;
            }
            self.next = entry.ordinal.saturating_add(1);
            self.events += 1;
            self.event(offset, entry);
        }
    }

    /// Positions up to this one, exclusive, are behind.
    pub(super) fn end(&mut self, next: u32) {
        if next != self.next {
            self.holes += 1;
        }
    }

    fn event(&mut self, offset: u64, entry: &Entry) {
        let (number, revision) = (entry.stream as usize, entry.revision);
        let last = Last { revision, holes: self.holes };
        if self.streams.len() <= number {
            self.streams.resize(number + 1, None);
        }
        let Some(place) = self.streams.get_mut(number) else { return };
        let Some(seen) = place else {
            *place = Some(InStream { first: revision, first_holes: self.holes, offset, last });
            return;
        };
        if !Last::admits(Some(seen.last), revision, self.holes) {
            let (stream, before) = (entry.stream, Some(seen.last.revision));
            self.breaks.push(Break { offset, stream, before, found: revision });
        }
        seen.last = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::{ContentType, Uuid};

    fn entry(ordinal: u32, stream: u32, revision: u64) -> Entry {
        Entry {
            ordinal,
            id: Uuid::nil(),
            stream,
            event_type: 0,
            revision,
            content_type: ContentType::Json,
            occurred_at: None,
            tags: Vec::new(),
            metadata: 0..0,
            data: 0..0,
        }
    }

    /// Ordinals, streams and revisions of a segment's events, and its end.
    type Segment<'a> = (&'a [(u32, u32, u64)], u32);

    /// How many breaks there are.
    fn breaks(segments: &[Segment<'_>]) -> usize {
        let mut streams = Streams::default();
        let name = |number: u32| StreamName::new(&format!("s-{number}")).ok();
        let mut count = 0;
        for (events, end) in segments {
            let mut seen = streams.segment();
            let entries: Vec<_> = events.iter().map(|(o, s, r)| entry(*o, *s, *r)).collect();
            seen.frame(0, &entries);
            seen.end(*end);
            count += streams.follow(seen, name).len();
        }
        count
    }

    #[test]
    fn revisions_follow_each_other() {
        assert_eq!(breaks(&[(&[(0, 0, 0), (1, 0, 1)], 2), (&[(0, 0, 2), (1, 1, 0)], 2)]), 0);
        assert_eq!(breaks(&[(&[(0, 0, 0), (1, 0, 2)], 2)]), 1, "one is left out");
        assert_eq!(breaks(&[(&[(0, 0, 0), (1, 0, 0)], 2)]), 1, "one comes twice");
        assert_eq!(breaks(&[(&[(0, 0, 1)], 1)]), 1, "none before the first");
        assert_eq!(breaks(&[(&[(0, 0, 0)], 1), (&[(0, 0, 2)], 1)]), 1, "across segments");
    }

    #[test]
    fn a_hole_lets_a_stream_go_on_further_on_and_never_back() {
        assert_eq!(breaks(&[(&[(0, 0, 0), (5, 0, 4)], 6)]), 0);
        assert_eq!(breaks(&[(&[(0, 0, 4)], 1)]), 1);
        assert_eq!(breaks(&[(&[(3, 0, 4)], 4)]), 0);
        assert_eq!(breaks(&[(&[(0, 0, 0)], 3), (&[(0, 0, 2)], 1)]), 0, "at a segment's end");
        assert_eq!(breaks(&[(&[(3, 0, 4), (6, 0, 4)], 7)]), 1, "back");
        // The hole is before its last event: it explains nothing after it.
        assert_eq!(breaks(&[(&[(3, 0, 4), (4, 0, 6)], 5)]), 1);
    }
}
