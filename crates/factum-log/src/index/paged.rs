//! A file of checksummed pages, read as if the checksums were not there.
//!
//! A page is 4,096 bytes: 4,092 of content and a CRC32C over the segment's seed, the page's number
//! and the content. A page that does not fit is damage; the index can be made anew.

use super::pages::{Page, PageCache};
use crate::{
    disk::File,
    error::{Damage, Fault},
    format::varint::Reader,
    planted::{Bug, is_on},
};
use std::{io, ops::Range, path::PathBuf, sync::Arc};

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
const CONTENT: usize = PAGE - 4;

/// Puts content into pages.
pub(crate) fn paginate(content: &[u8], seed: u64) -> Vec<u8> {
    pages_from(content, seed, 0)
}

/// Pages from this number on.
fn pages_from(content: &[u8], seed: u64, first: u64) -> Vec<u8> {
    let mut pages = Vec::with_capacity(content.len() / CONTENT * PAGE + PAGE);
    for (number, chunk) in (first..).zip(content.chunks(CONTENT)) {
        let start = pages.len();
        pages.extend_from_slice(chunk);
        pages.resize(start + CONTENT, 0);
        let sum = checksum(pages.get(start..).unwrap_or_default(), seed, number);
        pages.extend_from_slice(&sum.to_le_bytes());
    }
    pages
}

fn checksum(content: &[u8], seed: u64, number: u64) -> u32 {
    let mut sum = crc32c::crc32c(&seed.to_le_bytes());
    sum = crc32c::crc32c_append(sum, &number.to_le_bytes());
    crc32c::crc32c_append(sum, content)
}

/// Whether a page, all of it, is what was written in this place.
pub(crate) fn is_whole(page: &[u8], seed: u64, number: u64) -> bool {
    let Some((content, sum)) = page.split_at_checked(CONTENT) else { return false };
    sum == checksum(content, seed, number).to_le_bytes()
}

/// Longer reads go past the cache: a long list must not drive out what is looked up often.
const PAGES_CACHED_MAX: u64 = 8;

/// Reads content out of pages.
#[derive(Debug)]
pub(super) struct Paged {
    file: Box<dyn File>,
    path: PathBuf,
    seed: u64,
    cache: PageCache,
    opening: u64,
}

impl Paged {
    pub(super) fn new(file: Box<dyn File>, path: PathBuf, seed: u64, cache: &PageCache) -> Self {
        Self { file, path, seed, opening: cache.opening(), cache: cache.clone() }
    }

    /// Where its pages are kept.
    pub(super) fn cache(&self) -> &PageCache {
        &self.cache
    }

    /// How much content the file can hold.
    pub(super) fn content_len(&self) -> Option<u64> {
        Some(self.file.len().ok()? / PAGE as u64 * CONTENT as u64)
    }

    /// The content in a range, which is in the file.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Vec<u8>, Fault> {
        let page = CONTENT as u64;
        let pages = range.start / page..range.end.div_ceil(page).max(range.start / page);
        let mut content = Vec::new();
        if pages.end - pages.start <= PAGES_CACHED_MAX {
            for number in pages.clone() {
                let page = self.page(number)?;
                let from = range.start.saturating_sub(number * CONTENT as u64);
                let upto = (range.end - number * CONTENT as u64).min(CONTENT as u64);
                let part = usize::try_from(from).ok().zip(usize::try_from(upto).ok());
                let part = part.and_then(|(from, upto)| page.get(from..upto));
                content.extend_from_slice(part.ok_or_else(|| self.damage(number))?);
            }
            return Ok(content);
        }
        let count = usize::try_from(pages.end - pages.start);
        let mut fetched = vec![0; count.map_err(|_| self.damage(pages.start))? * PAGE];
        self.fetch(&mut fetched, pages.start)?;
        for (number, bytes) in pages.clone().zip(fetched.chunks(PAGE)) {
            self.check(bytes, number)?;
            content.extend_from_slice(bytes.get(..CONTENT).unwrap_or_default());
        }
        let skip = usize::try_from(range.start - pages.start * page).unwrap_or(usize::MAX);
        let take = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let wanted = content.get(skip..skip.saturating_add(take));
        wanted.map(<[u8]>::to_vec).ok_or_else(|| self.damage(pages.start))
    }

    /// A page that was checked.
    fn page(&self, number: u64) -> Result<Page, Fault> {
        if let Some(page) = self.cache.get((self.opening, number)) {
            return Ok(page);
        }
        let mut page = Page::from([0; PAGE]);
        let bytes = Arc::get_mut(&mut page).expect("nobody else has it yet");
        self.fetch(bytes, number)?;
        self.check(bytes, number)?;
        self.cache.put((self.opening, number), page.clone());
        Ok(page)
    }

    /// Reads whole pages, from this one on.
    fn fetch(&self, bytes: &mut [u8], first: u64) -> Result<(), Fault> {
        let read = self.file.read_at(bytes, first * PAGE as u64);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damage(first),
            _ => Fault::io("read", self.path.clone())(error),
        })
    }

    fn check(&self, page: &[u8], number: u64) -> Result<(), Fault> {
        let is_good = is_whole(page, self.seed, number) || is_on(Bug::TrustIndex);
        is_good.then_some(()).ok_or_else(|| self.damage(number))
    }

    pub(super) fn u32s<const N: usize>(&self, at: u64) -> Result<[u32; N], Fault> {
        let bytes = self.read(at..at + 4 * N as u64)?;
        let mut numbers = [0; N];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
            *number = u32::from_le_bytes(bytes.try_into().expect("chunks of four"));
        }
        Ok(numbers)
    }

    /// Reads a range from front to back, past the cache.
    pub(super) fn sequential(&self, range: Range<u64>) -> Sequential<'_> {
        Sequential { pages: self, rest: range, bytes: Vec::new(), used: 0 }
    }

    /// What to report when content makes no sense.
    pub(super) fn damage(&self, page: u64) -> Fault {
        let offset = page * PAGE as u64;
        Fault::Damaged { file: self.path.clone(), offset, what: Damage::Index }
    }
}

/// Bytes of content that are read at once from front to back.
const SEQUENTIAL_BYTES: u64 = 64 << 10;

/// Content that is read from front to back.
#[derive(Debug)]
pub(super) struct Sequential<'a> {
    pages: &'a Paged,
    /// What is not in the buffer yet.
    rest: Range<u64>,
    bytes: Vec<u8>,
    used: usize,
}

impl Sequential<'_> {
    /// Whether all has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty() && self.used == self.bytes.len()
    }

    /// Parses what comes next, which takes at most so many bytes.
    pub(super) fn parse<T>(
        &mut self,
        bytes_max: usize,
        parse: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Result<T, Fault> {
        if self.bytes.len() - self.used < bytes_max && !self.rest.is_empty() {
            let upto = (self.rest.start + SEQUENTIAL_BYTES).min(self.rest.end);
            self.bytes.drain(..self.used);
            self.used = 0;
            self.bytes.extend(self.pages.read(self.rest.start..upto)?);
            self.rest.start = upto;
        }
        let mut reader = Reader::new(self.bytes.get(self.used..).unwrap_or_default());
        let parsed = parse(&mut reader).ok_or_else(|| self.pages.damage(0))?;
        self.used += reader.at();
        Ok(parsed)
    }
}

/// Writes content into pages, so that little of it is in memory at once; the first page is written
/// last.
#[derive(Debug)]
pub(super) struct PageWriter {
    file: Box<dyn File>,
    seed: u64,
    content: Vec<u8>,
    /// Of the page that the content begins.
    number: u64,
}

/// Pages that are written at once.
const PAGES_WRITTEN: usize = 64;

impl PageWriter {
    pub(super) fn new(file: Box<dyn File>, seed: u64) -> Self {
        Self { file, seed, content: Vec::new(), number: 1 }
    }

    /// The offset of what is put next.
    pub(super) fn offset(&self) -> u64 {
        self.number * CONTENT as u64 + self.content.len() as u64
    }

    /// Appends content.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.content.extend_from_slice(bytes);
        if self.content.len() >= PAGES_WRITTEN * CONTENT {
            let whole = self.content.len() / CONTENT * CONTENT;
            let rest = self.content.split_off(whole);
            self.flush()?;
            self.content = rest;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let pages = pages_from(&self.content, self.seed, self.number);
        self.file.write_at(&pages, self.number * PAGE as u64)?;
        self.number += (pages.len() / PAGE) as u64;
        self.content.clear();
        Ok(())
    }

    /// Writes the rest, and the first page, which has room for this head.
    pub(super) fn finish(mut self, head: &[u8]) -> io::Result<Box<dyn File>> {
        assert!(head.len() <= CONTENT, "a head is a page at most");
        self.flush()?;
        self.file.write_at(&paginate(head, self.seed), 0)?;
        Ok(self.file)
    }
}
