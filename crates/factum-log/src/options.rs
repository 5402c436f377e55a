//! Settings of an opened folder, each with its default and its unit, and the world it lives in.

use crate::{
    clock::{Clock, SystemClock},
    disk::{Disk, OsDisk},
    index::PageCache,
    packed::Compression,
    rng::{Rng, SystemRng},
};
use factum_core::Limits;
use std::sync::Arc;

/// The doors to disk, time and randomness.
#[derive(Clone, Debug)]
pub struct World {
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Ids and seeds.
    pub rng: Arc<dyn Rng>,
}

impl Default for World {
    fn default() -> Self {
        Self { disk: disk(), clock: Arc::new(SystemClock), rng: Arc::new(SystemRng::default()) }
    }
}

/// The disk of the operating system, on which segments may be compressed.
#[cfg(feature = "zstd")]
fn disk() -> Arc<dyn Disk> {
    use crate::packed::{PackedDisk, PackedOptions};
    Arc::new(PackedDisk::new(Arc::new(OsDisk), PackedOptions::default()))
}

#[cfg(not(feature = "zstd"))]
fn disk() -> Arc<dyn Disk> {
    Arc::new(OsDisk)
}

/// Settings.
///
/// ```
/// use factum_log::Options;
/// let small = Options { segment_bytes: 1 << 20, ..Options::default() };
/// assert!(small.queue_jobs_max > 0);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The doors to disk, time and randomness.
    pub world: World,
    /// Names and sizes that are refused.
    pub limits: Limits,
    /// A segment that reaches this many bytes is sealed. From 64 KiB to 2 GiB.
    pub segment_bytes: u64,
    /// Appends that may wait for the writer; one more is refused as overload.
    pub queue_jobs_max: usize,
    /// Payload bytes that may wait for the writer; more is refused as overload.
    pub queue_bytes_max: usize,
    /// Encoded bytes after which a group is committed.
    pub group_bytes_max: usize,
    /// Bytes of zeroes written ahead at once, at most.
    pub zero_ahead_bytes_max: u64,
    /// Streams whose heads the writer remembers.
    pub heads_max: usize,
    /// Sources whose positions are tracked.
    pub sources_max: usize,
    /// Files that are held open; the others are opened when they are read.
    pub open_files_max: usize,
    /// Memory for pages of index files. 16 MiB by default.
    pub index_pages: PageCache,
    /// Index files that are merged into a run of the directory, and runs into a larger one. From 2.
    pub index_fan_out: usize,
    /// Threads that read.
    pub read_threads: usize,
    /// Bytes of sealed segments and index files that are read again in the background each second,
    /// to find what rots on the disk; 0 for none. A store that would take more than a week at this
    /// pace is read faster, and none more than once a day.
    pub scrub_bytes_per_second: u64,
    /// Reads that may wait for a thread; one more is refused as overload.
    pub read_jobs_max: usize,
    /// Whether sealed segments are compressed in the background.
    pub compression: Compression,
    /// Bytes of sealed segments that are compressed in the background each second, at most, so
    /// that it takes a small part of one processor. 32 MiB by default.
    pub compression_bytes_per_second: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            world: World::default(),
            limits: Limits::default(),
            segment_bytes: 64 << 20,
            queue_jobs_max: 8192,
            queue_bytes_max: 256 << 20,
            group_bytes_max: 4 << 20,
            zero_ahead_bytes_max: 16 << 20,
            heads_max: 65_536,
            sources_max: 1024,
            open_files_max: 256,
            index_pages: PageCache::default(),
            index_fan_out: 2,
            read_threads: 2,
            scrub_bytes_per_second: 1 << 20,
            read_jobs_max: 65_536,
            compression: Compression::None,
            compression_bytes_per_second: 32 << 20,
        }
    }
}

/// The bounds of [`Options::segment_bytes`]: offsets in a segment have 32 bits, and the last append
/// of one may go past its end.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
const SEGMENT_BYTES_MAX: u64 = 2 << 30;

/// The most that the format can hold, whatever is asked for: an event with its names is one frame
/// ([`crate::format::frame::FRAME_BYTES_MAX`]), as are all tracked positions; an append is in one
/// segment.
const FORMAT_MAX: Limits = Limits {
    append_events_max: 1 << 20,
    append_bytes_max: 512 << 20,
    event_bytes_max: 32 << 20,
    metadata_bytes_max: 16 << 20,
    tags_max: 4096,
    checks_max: usize::MAX,
    query_items_max: usize::MAX,
    query_terms_max: usize::MAX,
};
const SOURCES_MAX: usize = 32_768;

impl Options {
    /// Lowers what is more than the format can hold, so that nothing is accepted that could not
    /// be read back.
    pub(crate) fn fit_to_format(&mut self) {
        self.segment_bytes = self.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self.sources_max = self.sources_max.min(SOURCES_MAX);
        let limits = &mut self.limits;
        let max = FORMAT_MAX;
        limits.append_events_max = limits.append_events_max.min(max.append_events_max);
        limits.append_bytes_max = limits.append_bytes_max.min(max.append_bytes_max);
        limits.event_bytes_max = limits.event_bytes_max.min(max.event_bytes_max);
        limits.metadata_bytes_max = limits.metadata_bytes_max.min(max.metadata_bytes_max);
        limits.tags_max = limits.tags_max.min(max.tags_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{entry::TAGS_READ_MAX, frame::FRAME_BYTES_MAX};
    use factum_core::name::NAME_BYTES_MAX;

    /// Cause: a limit could be set above what a frame holds; such an event was acknowledged, and
    /// not a frame at the next opening. Fix: limits are lowered to what the format can hold.
    #[test]
    fn no_limit_is_above_what_a_frame_holds() {
        let most = usize::MAX;
        let limits = Limits {
            append_events_max: most,
            append_bytes_max: most,
            event_bytes_max: most,
            metadata_bytes_max: most,
            tags_max: most,
            ..Limits::default()
        };
        let mut options = Options { limits, sources_max: most, ..Options::default() };
        options.fit_to_format();
        let limits = options.limits;
        let names = (limits.tags_max + 2) * (NAME_BYTES_MAX + 16);
        let event = limits.event_bytes_max + limits.metadata_bytes_max + names + 4096;
        assert!(event < FRAME_BYTES_MAX as usize, "{event}");
        assert!(limits.tags_max as u64 <= TAGS_READ_MAX);
        let carry = options.sources_max * (NAME_BYTES_MAX + 16);
        assert!(carry < FRAME_BYTES_MAX as usize, "{carry}");
        let appended = limits.append_bytes_max as u64 + limits.append_events_max as u64 * 256;
        assert!(options.segment_bytes + appended < u64::from(u32::MAX));
    }
}
