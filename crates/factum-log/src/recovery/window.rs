//! Reading a segment from front to back without holding all of it.

use crate::{
    disk::{File, Rotten},
    error::{Damage, Fault},
};
use std::{ops::Range, path::Path};

/// Bytes read at once, unless a frame is longer.
const WINDOW_BYTES: u64 = 1 << 20;

pub(crate) struct Window<'a> {
    file: &'a dyn File,
    path: &'a Path,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
    /// Bytes that cannot be read any more: zeroes stand for them, which are no frame.
    rotten: Vec<Range<u64>>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(file: &'a dyn File, path: &'a Path) -> Result<Self, Fault> {
        let len = file.len().map_err(Fault::io("read", path))?;
        let (bytes, rotten) = Default::default();
        Ok(Self { file, path, len, start: 0, bytes, rotten })
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Why there is no whole frame at an offset.
    pub(crate) fn why(&self, offset: u64) -> Damage {
        if self.is_rotten(offset) { Damage::Block } else { Damage::Frame }
    }

    /// Whether bytes at an offset, or after it, were found that cannot be read any more.
    pub(crate) fn is_rotten(&self, offset: u64) -> bool {
        self.rotten.iter().any(|rotten| rotten.end > offset)
    }

    /// Damage in the file.
    pub(crate) fn fault(&self, offset: u64, what: Damage) -> Fault {
        Fault::Damaged { file: self.path.to_owned(), offset, what }
    }

    /// The bytes at an offset: as many as asked for, or as there are.
    pub(crate) fn at(&mut self, offset: u64, len: u64) -> Result<&[u8], Fault> {
        let end = offset.saturating_add(len).min(self.len);
        let inside = offset >= self.start && end <= self.start + self.bytes.len() as u64;
        if !inside && offset < end {
            self.fill(offset, end)?;
        }
        let from = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let upto = usize::try_from(end.saturating_sub(self.start)).unwrap_or(usize::MAX);
        Ok(self.bytes.get(from..upto).unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, end: u64) -> Result<(), Fault> {
        let end = end.max(offset + WINDOW_BYTES).min(self.len);
        let len = usize::try_from(end - offset).expect("a frame fits in memory");
        self.bytes.resize(len, 0);
        self.start = offset;
        match self.file.read_at(&mut self.bytes, offset) {
            Err(error) if Rotten::of(&error).is_some() => self.fill_around(offset, end),
            read => read.map_err(Fault::io("read", self.path)),
        }
    }

    /// Reads what can be read: what is behind a damaged block is whole.
    fn fill_around(&mut self, mut at: u64, end: u64) -> Result<(), Fault> {
        while at < end {
            let upto = match self.fill_part(at..end) {
                Ok(()) => return Ok(()),
                Err(error) => match Rotten::of(&error) {
                    Some(rotten) => rotten.lost.start.max(at)..rotten.lost.end.min(end),
                    None => return Err(Fault::io("read", self.path)(error)),
                },
            };
            self.fill_part(at..upto.start).map_err(Fault::io("read", self.path))?;
            assert!(upto.start < upto.end, "what is lost is among what was asked for");
            self.part(&upto).fill(0);
            at = upto.end;
            self.rotten.push(upto);
        }
        Ok(())
    }

    fn fill_part(&mut self, range: Range<u64>) -> std::io::Result<()> {
        let (file, at) = (self.file, range.start);
        file.read_at(self.part(&range), at)
    }

    fn part(&mut self, range: &Range<u64>) -> &mut [u8] {
        let at =
            |offset: u64| usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let range = at(range.start)..at(range.end);
        self.bytes.get_mut(range).unwrap_or_default()
    }

    /// One past the last byte that is not zero, at or after `from`; `from` if all are.
    pub(crate) fn content_end(&mut self, from: u64) -> Result<u64, Fault> {
        let mut end = from;
        let mut at = from;
        while at < self.len {
            let bytes = self.at(at, WINDOW_BYTES)?;
            let read = bytes.len() as u64;
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                end = at + last as u64 + 1;
            }
            at += read;
        }
        Ok(end)
    }
}
