//! The file `BACKUP`: what a backup holds, as text, with a checksum at its end.
//!
//! It is written last, and replaced as a whole: what it says is there, whatever happens to a backup
//! that is under way.

use crate::disk::{Disk, Mode};
use factum_core::{Position, Timestamp, Uuid};
use std::{fmt::Write, path::Path};

/// The file's name.
pub(crate) const BACKUP: &str = "BACKUP";
const FIRST_LINE: &str = "factum backup 1";
/// A larger file is none: a line has about 80 bytes, a store some thousand segments.
const BYTES_MAX: u64 = 64 << 20;

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The store's id.
    pub store: Uuid,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// The position of its last event.
    pub head: Position,
    /// When the last append in it was recorded.
    pub recorded_at: Timestamp,
    /// Its segments, in order. None while the first backup into the folder is under way.
    pub segments: Vec<Entry>,
}

/// A segment of a backup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The position of its first event.
    pub base: u64,
    /// Its seed.
    pub seed: u64,
    /// The seed it was created with.
    pub origin: u64,
    /// Bytes of it: there may be more in the file, of a backup that was not finished.
    pub bytes: u64,
    /// CRC32C of these.
    pub crc: u32,
    /// It was sealed: all of it is there.
    pub is_sealed: bool,
}

impl Manifest {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = format!(
            "{FIRST_LINE}\nstore {}\ntaken {}\nhead {}\nrecorded {}\n",
            self.store, self.taken_at.0, self.head.0, self.recorded_at.0
        );
        for one in &self.segments {
            let state = if one.is_sealed { "sealed" } else { "newest" };
            let Entry { base, seed, origin, bytes, crc, .. } = one;
            writeln!(text, "segment {base} {seed:016x} {origin:016x} {bytes} {crc:08x} {state}")
                .expect("text takes any text");
        }
        let sum = crc32c::crc32c(text.as_bytes());
        writeln!(text, "sum {sum:08x}").expect("text takes any text");
        text.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (body, sum) = text.strip_suffix('\n')?.rsplit_once("\nsum ")?;
        let body = text.get(..=body.len())?;
        if sum != format!("{:08x}", crc32c::crc32c(body.as_bytes())) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let store = field("store")?.parse().ok()?;
        let taken_at = Timestamp(field("taken")?.parse().ok()?);
        let head = Position(field("head")?.parse().ok()?);
        let recorded_at = Timestamp(field("recorded")?.parse().ok()?);
        let segments = lines.map(Entry::decode).collect::<Option<_>>()?;
        Some(Self { store, taken_at, head, recorded_at, segments })
    }

    /// The manifest of a folder: `Ok(None)` where there is none, an error where it is damaged.
    pub(crate) fn read(dir: &Path, disk: &dyn Disk) -> Result<Option<Self>, Unreadable> {
        let Ok(file) = disk.open(&dir.join(BACKUP), Mode::Read) else { return Ok(None) };
        let len = file.len().ok().filter(|len| *len <= BYTES_MAX).ok_or(Unreadable)?;
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| Unreadable)?];
        file.read_at(&mut bytes, 0).map_err(|_| Unreadable)?;
        Self::decode(&bytes).map(Some).ok_or(Unreadable)
    }

    pub(super) fn segment(&self, base: u64) -> Option<&Entry> {
        let nth = self.segments.binary_search_by_key(&base, |one| one.base).ok()?;
        self.segments.get(nth)
    }
}

/// A manifest that is not what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unreadable;

impl Entry {
    fn decode(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("segment ")?.split(' ');
        let base = words.next()?.parse().ok()?;
        let seed = u64::from_str_radix(words.next()?, 16).ok()?;
        let origin = u64::from_str_radix(words.next()?, 16).ok()?;
        let bytes = words.next()?.parse().ok()?;
        let crc = u32::from_str_radix(words.next()?, 16).ok()?;
        let is_sealed = match words.next()? {
            "sealed" => true,
            "newest" => false,
            _ => return None,
        };
        words.next().is_none().then_some(Self { base, seed, origin, bytes, crc, is_sealed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_whole_or_not_at_all() {
        let (seed, origin) = (u64::MAX, 8);
        let entry = Entry { base: 1, seed, origin, bytes: 4096, crc: 7, is_sealed: true };
        let manifest = Manifest {
            store: Uuid::from_u128(3),
            taken_at: Timestamp(5),
            head: Position(9),
            recorded_at: Timestamp(i64::MIN),
            segments: vec![entry, Entry { base: 7, is_sealed: false, ..entry }],
        };
        let good = manifest.encode();
        assert_eq!(Manifest::decode(&good), Some(manifest));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Manifest::decode(&bad), None, "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(Manifest::decode(&good[..len]), None, "cut at {len}");
        }
    }
}
