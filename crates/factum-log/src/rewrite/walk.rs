//! Reading a sealed segment from its first frame to its seal, each frame checked.

use crate::{
    error::Fault,
    format::{
        frame::{self, FRAME_HEADER_BYTES_MAX, FrameHeader, Kind},
        header::HEADER_BYTES,
        names::{NameKind, NewName},
    },
    recovery::Window,
    segment::Segment,
};
use factum_core::{EventType, StreamName, Tag};

/// A place in a sealed segment.
pub(super) struct Walk<'a> {
    segment: &'a Segment,
    window: Window<'a>,
    at: u64,
    sealed: bool,
}

/// A whole frame.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) offset: u64,
    pub(super) header: FrameHeader,
    pub(super) body: &'a [u8],
}

impl<'a> Walk<'a> {
    pub(super) fn new(segment: &'a Segment) -> Result<Self, Fault> {
        let window = Window::new(&*segment.file, &segment.path)?;
        Ok(Self { segment, window, at: HEADER_BYTES as u64, sealed: false })
    }

    /// The next frame; `None` behind the seal.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, Fault> {
        if self.sealed {
            return Ok(None);
        }
        let (segment, offset) = (self.segment, self.at);
        let head = self.window.at(offset, FRAME_HEADER_BYTES_MAX as u64)?;
        let len = FrameHeader::decode(head).map_or(0, |header| header.frame_bytes() as u64);
        // First, as it may be what is found to be damaged.
        self.window.at(offset, len)?;
        let why = self.window.why(offset);
        let whole = frame::decode(self.window.at(offset, len)?, segment.place(offset));
        let (header, body) = whole.ok_or_else(|| segment.fault(offset, why))?;
        self.at = offset + len;
        self.sealed = header.kind == Kind::Sealed;
        Ok(Some(Frame { offset, header, body }))
    }
}

/// The names of the segment that is walked, by their numbers.
#[derive(Default)]
pub(super) struct Names {
    streams: Vec<StreamName>,
    types: Vec<EventType>,
    tags: Vec<Tag>,
}

impl Names {
    /// Takes in a name; `None` if its number is not the next one.
    pub(super) fn learn(&mut self, new: &NewName<'_>) -> Option<()> {
        fn push<N>(list: &mut Vec<N>, number: u32, name: N) -> Option<()> {
            (number as usize == list.len()).then(|| list.push(name))
        }
        let name = (*new.name).into();
        match new.kind {
            NameKind::Stream => push(&mut self.streams, new.number, StreamName::trusted(name)),
            NameKind::Type => push(&mut self.types, new.number, EventType::trusted(name)),
            NameKind::Tag => push(&mut self.tags, new.number, Tag::trusted(name)),
        }
    }

    pub(super) fn stream(&self, number: u32) -> Option<&StreamName> {
        self.streams.get(number as usize)
    }

    pub(super) fn event_type(&self, number: u32) -> Option<&EventType> {
        self.types.get(number as usize)
    }

    pub(super) fn tag(&self, number: u32) -> Option<&Tag> {
        self.tags.get(number as usize)
    }
}
