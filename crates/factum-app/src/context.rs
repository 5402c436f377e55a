//! What a decision may ask besides its state: the time, new ids, and who is asking.

use crate::{Metadata, world::uuid_v7};
use factum_core::{Timestamp, Uuid};
use std::sync::atomic::{AtomicU64, Ordering};

/// The context of one command. Time stands still in it, and its ids come from a seed, so that a
/// decision that is made again is the same one.
///
/// ```
/// use factum_app::{Ctx, Timestamp};
/// let ctx = Ctx::new(Timestamp(0), 7);
/// assert_eq!(ctx.id(), Ctx::new(Timestamp(0), 7).id());
/// assert_ne!(ctx.id(), ctx.id());
/// ```
#[derive(Debug)]
pub struct Ctx {
    now: Timestamp,
    seed: u64,
    count: AtomicU64,
    metadata: Metadata,
}

impl Ctx {
    /// One at this time, whose ids follow from `seed`.
    #[must_use]
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self { now, seed, count: AtomicU64::new(0), metadata: Metadata::default() }
    }

    /// The same on somebody's behalf.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same at another time.
    pub(crate) fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// When the command arrived.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A new id (UUID version 7).
    #[must_use]
    pub fn id(&self) -> Uuid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        uuid_v7(self.now, mix(self.seed ^ mix(count)), mix(self.seed.wrapping_add(count)))
    }

    /// Who is asking, and why.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The same context, with its ids from the first on.
    pub(crate) fn again(&self) -> Self {
        let Self { now, seed, .. } = *self;
        Self { now, seed, count: AtomicU64::new(0), metadata: self.metadata.clone() }
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014): spreads every bit over all.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
