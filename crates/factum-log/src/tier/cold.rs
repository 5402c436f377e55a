//! A moved segment as a file: its head from the marker, the rest in blocks from the storage.

use super::{
    ColdError, ColdStore,
    marker::{BLOCK_BYTES, Marker},
};
use crate::{
    clock::Clock,
    disk::{BlockCache, File},
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// How long a storage that did not answer is left alone: at first, and at most.
const PAUSE_NS_MIN: u64 = 1_000_000_000;
const PAUSE_NS_MAX: u64 = 30_000_000_000;

/// The storage, and what is kept of it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) store: Arc<dyn ColdStore>,
    pub(super) cache: BlockCache,
    pub(super) clock: Arc<dyn Clock>,
    outage: Mutex<Option<Outage>>,
}

/// A storage that did not answer.
#[derive(Clone, Debug)]
struct Outage {
    until_ns: u64,
    pause_ns: u64,
    why: Arc<str>,
}

impl Source {
    pub(super) fn new(store: Arc<dyn ColdStore>, clock: Arc<dyn Clock>, bytes_max: usize) -> Self {
        let (cache, outage) = (BlockCache::new(bytes_max), Mutex::default());
        Self { store, cache, clock, outage }
    }

    /// One block, checked.
    fn block(&self, marker: &Marker, seed: u64, block: u32) -> io::Result<Arc<[u8]>> {
        if let Some(held) = self.cache.get((seed, block)) {
            return Ok(held);
        }
        let bytes = self.fetch(marker, block)?;
        let bytes: Arc<[u8]> = bytes.into();
        self.cache.put((seed, block), &bytes);
        Ok(bytes)
    }

    /// One block from the storage, checked. A storage that did not answer just now is not asked.
    pub(super) fn fetch(&self, marker: &Marker, block: u32) -> io::Result<Vec<u8>> {
        let named = |error| self.error(marker, error);
        let now_ns = self.clock.ticks_ns();
        let mut known = self.outage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(outage) = known.take_if(|outage| now_ns < outage.until_ns) {
            return Err(named(ColdError::Unavailable { why: outage.why }));
        }
        let range = marker.range(block);
        let got = self.store.get(&marker.key, range.clone());
        self.note(now_ns, got.as_ref().err());
        let bytes = got.map_err(named)?;
        let is_whole = bytes.len() as u64 == range.end - range.start;
        let sum = marker.blocks.get(block as usize);
        if !is_whole || sum != Some(&crc32c::crc32c(&bytes)) {
            let what = format!(
                "object {} in {} is damaged between bytes {} and {}: bring it back, or restore the \
                 folder from a backup",
                marker.key,
                self.store.location(),
                range.start,
                range.end
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(bytes)
    }

    /// Remembers whether the storage answers.
    fn note(&self, now_ns: u64, error: Option<&ColdError>) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ColdError::Unavailable { why }) = error else {
            *outage = None;
            return;
        };
        let pause_ns = outage.as_ref().map_or(PAUSE_NS_MIN, |before| before.pause_ns * 2);
        let pause_ns = pause_ns.min(PAUSE_NS_MAX);
        let until_ns = self.clock.ticks_ns().max(now_ns).saturating_add(pause_ns);
        *outage = Some(Outage { until_ns, pause_ns, why: why.clone() });
    }

    /// What the storage says, with the object that it was asked for.
    pub(super) fn error(&self, marker: &Marker, error: ColdError) -> io::Error {
        let kind = match error {
            ColdError::Gone => io::ErrorKind::NotFound,
            ColdError::Unavailable { .. } => io::ErrorKind::TimedOut,
            ColdError::Refused { .. } => io::ErrorKind::PermissionDenied,
        };
        let location = self.store.location();
        io::Error::new(kind, format!("object {} in {location}: {error}", marker.key))
    }
}

/// A moved segment.
#[derive(Debug)]
pub(super) struct ColdFile {
    pub(super) source: Arc<Source>,
    pub(super) marker: Marker,
    seed: u64,
}

impl ColdFile {
    pub(super) fn new(source: Arc<Source>, marker: Marker) -> Self {
        let seed = marker.seed().unwrap_or(0);
        Self { source, marker, seed }
    }

    /// Copies what of the blocks is asked for.
    fn copy(&self, buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let number = u32::try_from(offset / BLOCK_BYTES).expect("a segment is below 4 GiB");
            let block = self.source.block(&self.marker, self.seed, number)?;
            let from = usize::try_from(offset % BLOCK_BYTES).expect("a block fits in memory");
            let part = block.get(from..).unwrap_or_default();
            let len = part.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(part.get(..len).unwrap_or_default());
            (rest, offset) = (later, offset + len as u64);
        }
        Ok(())
    }
}

fn moved() -> io::Error {
    let what = "the segment was moved to object storage: it is only read";
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, what)
}

impl File for ColdFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.marker.len)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.marker.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (from, to) = (usize::try_from(offset), usize::try_from(end));
        if let (Ok(from), Ok(to)) = (from, to)
            && let Some(known) = self.marker.head.get(from..to)
        {
            buffer.copy_from_slice(known);
            return Ok(());
        }
        self.copy(buffer, offset)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(moved())
    }

    fn sync(&self) -> io::Result<()> {
        // What is read back whole is durable there.
        Ok(())
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn stored_bytes(&self) -> io::Result<u64> {
        Ok(0)
    }
}
