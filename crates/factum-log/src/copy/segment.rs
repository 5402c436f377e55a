//! One segment, copied into a file of a folder: whole and checked, or not at all.

use super::{PIECE_BYTES_MAX, walk::Walk};
use crate::{
    disk::{Disk, File, Mode},
    error::{Damage, Fault, HeaderError},
    format::header::{HEADER_BYTES, SegmentHeader},
    planted::{Bug, is_on},
};
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// Where the bytes of one segment come from.
pub(crate) trait Source {
    /// Why they did not come.
    type Error: From<Fault>;

    /// Which file is named where what lies at an offset is damaged.
    fn path(&self, offset: u64) -> PathBuf;

    /// Some bytes, and at least one.
    fn read(&mut self, range: Range<u64>) -> Result<Vec<u8>, Self::Error>;
}

/// A segment that was copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Copied {
    pub(crate) header: SegmentHeader,
    /// Its bytes: up to the last whole append.
    pub(crate) len: u64,
    /// CRC32C of them.
    pub(crate) crc: u32,
    /// One past the position of its last event, where no events are missing at its end.
    pub(crate) next: u64,
    pub(crate) last_ns: i64,
}

/// Copies a segment up to an offset at most, before which there are whole appends only, and gives
/// it its name. The folder is not synced.
pub(crate) fn copy_segment<S: Source>(
    source: &mut S,
    end: u64,
    disk: &dyn Disk,
    to: &Path,
) -> Result<Copied, S::Error> {
    let copied = copy_unnamed(source, end, disk, to)?;
    let unfinished = unfinished(to);
    disk.rename(&unfinished, to).map_err(Fault::io("rename", &unfinished))?;
    Ok(copied)
}

/// The name of a segment's file before it is whole.
pub(crate) fn unfinished(segment: &Path) -> PathBuf {
    segment.with_extension("log.tmp")
}

/// The same without the last step: the file is whole and durable, and has the name of an
/// [`unfinished`] one.
pub(crate) fn copy_unnamed<S: Source>(
    source: &mut S,
    end: u64,
    disk: &dyn Disk,
    to: &Path,
) -> Result<Copied, S::Error> {
    let unfinished = unfinished(to);
    let file = disk.open(&unfinished, Mode::Create).map_err(Fault::io("create", &unfinished))?;
    let copied = write_segment(source, end, &Out { file: &*file, path: &unfinished });
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) => {
            drop(file);
            // What is left of it is cleared away at the next attempt, at the latest.
            let _ = disk.remove(&unfinished);
            return Err(error);
        }
    };
    if !is_on(Bug::UnsyncedCopy) {
        file.sync().map_err(Fault::io("sync", &unfinished))?;
    }
    Ok(copied)
}

struct Out<'a> {
    file: &'a dyn File,
    path: &'a Path,
}

impl Out<'_> {
    fn write(&self, bytes: &[u8], at: u64) -> Result<(), Fault> {
        self.file.write_at(bytes, at).map_err(Fault::io("write", self.path))
    }
}

fn write_segment<S: Source>(source: &mut S, end: u64, out: &Out<'_>) -> Result<Copied, S::Error> {
    let damaged = |source: &S, offset: u64, what: Damage| {
        S::Error::from(Fault::Damaged { file: source.path(offset), offset, what })
    };
    let mut head = Vec::new();
    while head.len() < HEADER_BYTES {
        head.extend(source.read(head.len() as u64..HEADER_BYTES as u64)?);
    }
    let header = SegmentHeader::decode(&head).map_err(|error| match error {
        HeaderError::Damaged(what) => damaged(source, 0, what),
        HeaderError::Newer { .. } => damaged(source, 8, Damage::Header),
    })?;
    out.write(&head, 0)?;
    let mut crc = crc32c::crc32c(&head);
    let mut walk = Walk::new(&header);
    let mut bytes = Vec::new();
    while walk.at < end && !walk.is_sealed {
        let (start, mut taken) = (walk.at, 0usize);
        while !walk.is_sealed {
            let rest = bytes.get(taken..).unwrap_or_default();
            let step = walk.step(rest).map_err(|what| damaged(source, walk.at, what))?;
            let Some(frame) = step else { break };
            taken += frame.frame_bytes();
        }
        let whole = bytes.get(..taken).unwrap_or_default();
        out.write(whole, start)?;
        crc = crc32c::crc32c_append(crc, whole);
        bytes.drain(..taken);
        let have = walk.at + bytes.len() as u64;
        if walk.is_sealed || have >= end {
            break;
        }
        bytes.extend(source.read(have..end.min(have + PIECE_BYTES_MAX))?);
    }
    if walk.whole != walk.at || (walk.at < end && !walk.is_sealed) {
        return Err(damaged(source, walk.whole, Damage::Frame));
    }
    let next = header.base + u64::from(walk.ordinal);
    Ok(Copied { header, len: walk.at, crc, next, last_ns: walk.last_ns })
}
