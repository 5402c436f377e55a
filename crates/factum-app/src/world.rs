//! The one door to time, to randomness and to tasks, so that a whole app can run in a simulation.

use factum_core::{Timestamp, Uuid};
use std::{fmt, pin::Pin, time::Duration};

/// A future that owns what it needs.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an app asks of the world around it. `TokioWorld` is the real one; the test kit has one
/// whose clock and schedule follow a seed.
pub trait World: Send + Sync + fmt::Debug + 'static {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// Resolves when so much time has passed.
    fn sleep(&self, how_long: Duration) -> BoxFuture<'static, ()>;

    /// Runs a task beside the others until it ends.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// A random number.
    fn random(&self) -> u64;
}

/// A UUID of version 7 (RFC 9562): its first 48 bits are the time in milliseconds.
pub(crate) fn uuid_v7(now: Timestamp, high: u64, low: u64) -> Uuid {
    let millis = u64::try_from(now.0.max(0) / 1_000_000).unwrap_or_default();
    let mut random = [0; 10];
    for (to, from) in random.iter_mut().zip(high.to_be_bytes().into_iter().chain(low.to_be_bytes()))
    {
        *to = from;
    }
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(feature = "tokio")]
pub use real::TokioWorld;

#[cfg(feature = "tokio")]
mod real {
    use super::{BoxFuture, Timestamp, World};
    use std::{
        hash::{BuildHasher, RandomState},
        sync::atomic::{AtomicU64, Ordering},
        time::{Duration, SystemTime},
    };

    /// The clock of the system, and the tasks of Tokio.
    #[derive(Debug, Default)]
    pub struct TokioWorld {
        keys: RandomState,
        count: AtomicU64,
    }

    impl World for TokioWorld {
        #[allow(clippy::disallowed_methods, reason = "the one door to the clock")]
        fn now(&self) -> Timestamp {
            let since =
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
        }

        fn sleep(&self, how_long: Duration) -> BoxFuture<'static, ()> {
            Box::pin(tokio::time::sleep(how_long))
        }

        fn spawn(&self, task: BoxFuture<'static, ()>) {
            tokio::spawn(task);
        }

        /// Keyed by the operating system's randomness, as the standard library's hash maps are.
        fn random(&self) -> u64 {
            self.keys.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
        }
    }
}
