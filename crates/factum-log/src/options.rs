//! Settings of an opened folder, each with its default and its unit, and the world it lives in.

use crate::{
    clock::{Clock, SystemClock},
    disk::{Disk, OsDisk},
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
        Self {
            disk: Arc::new(OsDisk),
            clock: Arc::new(SystemClock),
            rng: Arc::new(SystemRng::default()),
        }
    }
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
    /// Threads that read.
    pub read_threads: usize,
    /// Reads that may wait for a thread; one more is refused as overload.
    pub read_jobs_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            world: World::default(),
            limits: Limits::default(),
            segment_bytes: 256 << 20,
            queue_jobs_max: 8192,
            queue_bytes_max: 256 << 20,
            group_bytes_max: 4 << 20,
            zero_ahead_bytes_max: 16 << 20,
            heads_max: 65_536,
            sources_max: 1024,
            read_threads: 2,
            read_jobs_max: 65_536,
        }
    }
}
