//! An open store as a source.

use super::{Held, Inventory, PIECE_BYTES_MAX, Source, SourceError};
use crate::{
    Reader,
    error::Fault,
    segment::{Segment, segment_path},
};
use std::{ops::Range, path::PathBuf, sync::Arc};

impl Source for Reader {
    fn folder(&self) -> Option<PathBuf> {
        Some(self.shared.dir.clone())
    }

    fn name(&self, of: &Held) -> PathBuf {
        segment_path(&self.shared.dir, of.base)
    }

    /// Fails where the store is damaged: a copy of it would pass for whole.
    fn inventory(&self) -> Result<Inventory, SourceError> {
        let segments = self.shared.segments();
        if let Some((segment, missing)) =
            segments.iter().find_map(|segment| Some((segment, segment.missing.first()?)))
        {
            return Err(segment.fault(missing.offset, missing.what).into());
        }
        // The head first: what is held then goes as far at least.
        let head = self.head();
        let newest = segments.last().expect("there is always a segment");
        let held = |segment: &Arc<Segment>| Held {
            base: segment.base(),
            seed: segment.header.seed,
            origin: segment.header.origin,
            end: segment.end(),
            is_sealed: segment.base() != newest.base(),
        };
        let store = newest.header.store;
        Ok(Inventory { store, head, segments: segments.iter().map(held).collect() })
    }

    fn read(&self, of: &Held, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let segments = self.shared.segments();
        let nth = segments.partition_point(|segment| segment.base() < of.base);
        let segment = segments.get(nth).filter(|one| one.header.seed == of.seed);
        let segment = segment.ok_or(SourceError::Replaced { base: of.base })?;
        let end = range.end.min(segment.end()).min(range.start.saturating_add(PIECE_BYTES_MAX));
        let len = end.saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(len).expect("a piece is small")];
        let read = segment.file.read_at(&mut bytes, range.start);
        read.map_err(Fault::io("read", &segment.path))?;
        Ok(bytes)
    }
}
