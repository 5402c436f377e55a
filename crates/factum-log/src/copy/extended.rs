//! A segment whose first part is here already, and the rest elsewhere.

use super::{Held, SegmentSource, Source, SourceError};
use crate::{disk::File, error::Fault};
use std::{
    marker::PhantomData,
    ops::Range,
    path::{Path, PathBuf},
};

/// A file of a segment, and how many bytes of it count.
pub(crate) type Part = (Box<dyn File>, u64);

/// A segment of a store, of which the first part may be in a file here.
pub(crate) struct Extended<'a, E> {
    source: &'a dyn Source,
    held: &'a Held,
    /// What is here of it.
    pub(crate) there: Option<Part>,
    path: &'a Path,
    /// Bytes that came from the store.
    pub(crate) copied: u64,
    fails_as: PhantomData<E>,
}

impl<'a, E> Extended<'a, E> {
    /// The segment that a store holds, and the part of it in the file of this name.
    pub(crate) fn new(
        (source, held): (&'a dyn Source, &'a Held),
        there: Option<Part>,
        path: &'a Path,
    ) -> Self {
        Self { source, held, there, path, copied: 0, fails_as: PhantomData }
    }
}

impl<E: From<Fault> + From<SourceError>> SegmentSource for Extended<'_, E> {
    type Error = E;

    fn path(&self, offset: u64) -> PathBuf {
        match &self.there {
            Some((_, bytes)) if offset < *bytes => self.path.to_owned(),
            _ => self.source.name(self.held),
        }
    }

    fn read(&mut self, range: Range<u64>) -> Result<Vec<u8>, E> {
        match &self.there {
            Some((file, bytes)) if range.start < *bytes => {
                let len = range.end.min(*bytes) - range.start;
                let mut piece = vec![0; usize::try_from(len).expect("a piece is small")];
                file.read_at(&mut piece, range.start).map_err(Fault::io("read", self.path))?;
                Ok(piece)
            }
            _ => {
                let piece = self.source.piece(self.held, range)?;
                self.copied += piece.len() as u64;
                Ok(piece)
            }
        }
    }
}
