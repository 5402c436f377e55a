//! A run: a file that says which of the segments it covers may have a key. `docs/format.md` has its
//! layout.

use super::{Key, TABLES};
use crate::{
    disk::File,
    error::Fault,
    format::varint::Reader,
    index::{
        paged::Paged,
        pages::PageCache,
        table::{self, TableReader, bucket_of},
    },
};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

pub(super) const MAGIC: &[u8; 8] = b"FACTUMDR";
pub(super) const VERSION: u32 = 3;
/// Bytes of the head: 24 of fields, then pairs, offset of the starts and of the pairs, and the end
/// of these, of each table.
pub(super) const HEAD_BYTES: usize = 24 + TABLES * 32;

/// A table of a run: from key to the number of a segment, from 0, among those that it covers.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct TableSpan {
    pub(super) pairs: u64,
    /// Where the buckets' starts are.
    pub(super) starts: u64,
    /// Where the pairs are.
    pub(super) bytes: u64,
    /// One past the last pair.
    pub(super) end: u64,
}

/// Bytes of a table's pairs that stay in memory once it was asked: nearly every look-up asks for
/// types and categories, which are few.
const PAIRS_KEPT_MAX: u64 = 4 << 10;
/// Bytes of its buckets' starts that do: they are a sixteenth of a byte a pair, so that only those
/// of the largest runs are left out. As a part of the cache of pages, 1 MiB by default.
const STARTS_KEPT_PART: usize = 16;

/// What is in memory of a table, if it is small enough.
#[derive(Debug, Default)]
struct Kept {
    starts: Option<Vec<u32>>,
    pairs: Option<Vec<u8>>,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    pages: Paged,
    kept: [OnceLock<Kept>; TABLES],
    pub(super) path: PathBuf,
    pub(super) tables: [TableSpan; TABLES],
    /// How many merges made it.
    pub(super) level: u32,
    /// How many segments it covers.
    pub(super) segments: u32,
}

/// The run that covers a segment, and the segment's number in it.
#[derive(Clone, Debug)]
pub(crate) struct Cover {
    pub(super) run: Arc<Run>,
    pub(super) nth: u32,
}

impl Run {
    /// Opens a run. `None` if its head is not what the seed of its segments makes, or damaged.
    pub(super) fn open(
        file: Box<dyn File>,
        path: PathBuf,
        seed: u64,
        cache: &PageCache,
    ) -> Option<Self> {
        let pages = Paged::new(file, path.clone(), seed, cache);
        let head = pages.read(0..HEAD_BYTES as u64).ok()?;
        let mut reader = Reader::new(&head);
        let (magic, version) = (reader.array::<8>()?, u32::from_le_bytes(reader.array()?));
        if magic != *MAGIC || version != VERSION {
            return None;
        }
        let level = u32::from_le_bytes(reader.array()?);
        let segments = u32::from_le_bytes(reader.array()?);
        reader.take(4)?;
        let content_len = pages.content_len()?;
        let mut tables = [TableSpan::default(); TABLES];
        for span in &mut tables {
            let mut u64 = || reader.array().map(u64::from_le_bytes);
            *span = TableSpan { pairs: u64()?, starts: u64()?, bytes: u64()?, end: u64()? };
            let starts = (table::buckets(span.pairs) + 1).checked_mul(4)?;
            let fits = span.starts.checked_add(starts)? <= content_len
                && span.bytes <= span.end
                && span.end <= content_len;
            if !fits {
                return None;
            }
        }
        Some(Self { pages, kept: Default::default(), path, tables, level, segments })
    }

    /// Ascending numbers of the segments that may have a key.
    pub(super) fn with(&self, Key { table, key }: Key) -> Result<Vec<u32>, Fault> {
        let span = self.tables.get(table).expect("a key is of a table");
        let buckets = table::buckets(span.pairs);
        if buckets == 0 {
            return Ok(Vec::new());
        }
        let kept = self.kept(table, span)?;
        let bucket = bucket_of(key, buckets);
        let [start, end] = match &kept.starts {
            Some(starts) => usize::try_from(bucket)
                .ok()
                .and_then(|bucket| starts.get(bucket..bucket + 2)?.try_into().ok())
                .ok_or_else(|| self.pages.damage(0))?,
            None => self.pages.u32s(span.starts + bucket * 4)?,
        };
        if start > end || span.bytes + u64::from(end) > span.end {
            return Err(self.pages.damage(0));
        }
        let read;
        let bytes = match &kept.pairs {
            Some(pairs) => pairs.get(start as usize..end as usize).unwrap_or_default(),
            None => {
                read =
                    self.pages.read(span.bytes + u64::from(start)..span.bytes + u64::from(end))?;
                &*read
            }
        };
        let mut found = table::values(bytes, key, buckets).ok_or_else(|| self.pages.damage(0))?;
        found.dedup();
        Ok(found)
    }

    /// What stays in memory of a table: read when it is first asked for, so that opening reads no
    /// more than heads. What cannot be read is tried again the next time.
    fn kept(&self, table: usize, span: &TableSpan) -> Result<&Kept, Fault> {
        let place = self.kept.get(table).expect("every table has its place");
        if let Some(kept) = place.get() {
            return Ok(kept);
        }
        let mut kept = Kept::default();
        let starts = (table::buckets(span.pairs) + 1) * 4;
        let kept_max = (self.pages.cache().bytes_max() / STARTS_KEPT_PART) as u64;
        if starts <= kept_max {
            let bytes = self.pages.read(span.starts..span.starts + starts)?;
            let numbers = bytes
                .chunks_exact(4)
                .map(|number| u32::from_le_bytes(number.try_into().expect("chunks of four")));
            kept.starts = Some(numbers.collect());
        }
        if span.end - span.bytes <= PAIRS_KEPT_MAX.min(kept_max) {
            kept.pairs = Some(self.pages.read(span.bytes..span.end)?);
        }
        Ok(place.get_or_init(|| kept))
    }

    /// All pairs of a table.
    pub(super) fn pairs(&self, table: usize) -> TableReader<'_> {
        let span = self.tables.get(table).expect("a run has all tables");
        TableReader::new(self.pages.sequential(span.bytes..span.end), span.pairs)
    }
}
