//! Reading a segment from front to back without holding all of it.

use crate::{
    disk::File,
    error::{Damage, Fault},
};
use std::path::Path;

/// Bytes read at once, unless a frame is longer.
const WINDOW_BYTES: u64 = 1 << 20;

pub(crate) struct Window<'a> {
    file: &'a dyn File,
    path: &'a Path,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(file: &'a dyn File, path: &'a Path) -> Result<Self, Fault> {
        let len = file.len().map_err(Fault::io("read", path))?;
        Ok(Self { file, path, len, start: 0, bytes: Vec::new() })
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> u64 {
        self.len
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
        self.file.read_at(&mut self.bytes, offset).map_err(Fault::io("read", self.path))
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
