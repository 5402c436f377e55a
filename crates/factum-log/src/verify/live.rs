//! Verifying a store while it is open: sealed segments whole, the newest up to the watermark.

use super::{Report, Watch, index::IndexCopy, run::Run, segment::Subject};
use crate::{
    Reader,
    disk::{File, Mode},
    error::{Fault, OpenError},
    segment::{Segment, index_path},
};
use std::io;

impl Reader {
    /// Verifies the store: every byte that has been acknowledged, and every index file. Blocks on
    /// the disk; appends and reads go on meanwhile.
    ///
    /// Needs memory for the index of one segment.
    ///
    /// # Errors
    /// None that verifying itself meets: what cannot be read is a finding.
    pub fn verify(&self, watch: Watch<'_>) -> Result<Report, OpenError> {
        let segments = self.shared.segments();
        let total = segments.iter().map(|segment| segment.end()).sum();
        let mut run = Run::new(total, watch);
        for (nth, segment) in segments.iter().enumerate() {
            if !run.progress.goes_on {
                break;
            }
            let next = segments.get(nth + 1).map(|next| next.base());
            self.one(&mut run, segment, next)?;
        }
        Ok(run.done())
    }

    fn one(
        &self,
        run: &mut Run<'_>,
        segment: &Segment,
        next: Option<u64>,
    ) -> Result<(), OpenError> {
        let disk = &*self.shared.options.world.disk;
        let index_path = index_path(&self.shared.dir, segment.base());
        // A file of its own: what is read is what the disk says now.
        let is_file = segment.index.as_file().is_some();
        let index = is_file.then(|| disk.open(&index_path, Mode::Read)).transpose();
        let index = index.map_err(Fault::io("open", &index_path))?;
        // A segment that was rewritten meanwhile has left its name to another's index.
        let copy = match &index {
            Some(index) if self.shared.has_segment(segment) => {
                IndexCopy::File(&**index, &index_path)
            }
            _ => IndexCopy::Memory,
        };
        let published = Published { file: &*segment.file, end: segment.end() };
        // Of a sealed segment the zeroes at the end count too.
        let file: &dyn File = if next.is_some() { &*segment.file } else { &published };
        let (path, base) = (&*segment.path, segment.base());
        let acknowledged = next.is_none().then_some(published.end);
        run.segment(&Subject { path, base, file, next, index: copy, acknowledged })?;
        run.progress.file(segment.end());
        Ok(())
    }
}

/// The part of a file that readers may see.
#[derive(Debug)]
struct Published<'a> {
    file: &'a dyn File,
    end: u64,
}

impl File for Published<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.len()?.min(self.end))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.end => self.file.read_at(buffer, offset),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
