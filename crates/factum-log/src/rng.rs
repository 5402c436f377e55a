//! The one door to randomness: ids of stores, segments and system events. Nothing here is secret.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};
use uuid::Uuid;

/// A source of random numbers.
pub trait Rng: Send + Sync + fmt::Debug + 'static {
    /// The next one.
    fn next_u64(&self) -> u64;

    /// A random UUID (version 4).
    fn next_uuid(&self) -> Uuid {
        let bits = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

/// Keyed by the operating system's randomness, as the standard library's hash maps are.
#[derive(Debug, Default)]
pub struct SystemRng {
    keys: RandomState,
    count: AtomicU64,
}

impl Rng for SystemRng {
    fn next_u64(&self) -> u64 {
        self.keys.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }
}
