//! The one door to time, to randomness and to tasks, so that a whole app can run in a simulation.

use crate::context::mix;
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

    /// Resolves when [`World::now`] is this moment or later, however it came to be: also where the
    /// clock is set, or the machine sleeps, between the call and then.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()>;

    /// Runs a task beside the others until it ends.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// A random number.
    fn random(&self) -> u64;
}

/// The longest pause after so many attempts that failed: twice as long each time.
fn longest_pause(attempt: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(1 << attempt.min(16)).min(longest)
}

/// A random part of one, from 0 on.
fn part(world: &dyn World) -> f64 {
    (mix(world.random()) >> 11) as f64 / (1u64 << 53) as f64
}

/// Waits between two attempts: up to twice as long each time, and not as long as others do.
pub(crate) async fn pause(world: &dyn World, attempt: u32, first: Duration, longest: Duration) {
    world.sleep(longest_pause(attempt, first, longest).mul_f64(part(world))).await;
}

/// Between two attempts at something that others wait for too: at least half of the longest pause.
pub(crate) fn half_pause(
    world: &dyn World,
    attempt: u32,
    first: Duration,
    longest: Duration,
) -> Duration {
    longest_pause(attempt, first, longest).mul_f64(0.5 + part(world) / 2.0)
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

    /// How long, at most, a clock that was set is not noticed. Tokio's sleeps follow the monotonic
    /// clock, which knows nothing of that, nor of a machine that slept.
    const LOOK: Duration = Duration::from_secs(1);

    impl World for TokioWorld {
        fn now(&self) -> Timestamp {
            system_time()
        }

        fn sleep(&self, how_long: Duration) -> BoxFuture<'static, ()> {
            Box::pin(tokio::time::sleep(how_long))
        }

        fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
            Box::pin(until(at, system_time))
        }

        fn spawn(&self, task: BoxFuture<'static, ()>) {
            tokio::spawn(task);
        }

        /// Keyed by the operating system's randomness, as the standard library's hash maps are.
        fn random(&self) -> u64 {
            self.keys.hash_one(self.count.fetch_add(1, Ordering::Relaxed))
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the one door to the clock")]
    fn system_time() -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    async fn until(at: Timestamp, now: impl Fn() -> Timestamp) {
        while let Ok(left @ 1..) = u64::try_from(at.0.saturating_sub(now().0)) {
            tokio::time::sleep(Duration::from_nanos(left).min(LOOK)).await;
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::{cell::Cell, time::Instant};

        /// A timer of a year goes off when the clock was set a year ahead, not a year later.
        #[tokio::test]
        async fn a_clock_that_is_set_is_noticed() {
            let (year, looks) = (365 * 86_400 * 1_000_000_000, Cell::new(0));
            let clock = || {
                looks.set(looks.get() + 1);
                Timestamp(if looks.get() > 1 { year } else { 0 })
            };
            let begun = Instant::now();
            tokio::time::timeout(LOOK * 20, until(Timestamp(year), clock)).await.unwrap();
            assert!(begun.elapsed() >= LOOK / 2, "it did not wait at all");
        }
    }
}
