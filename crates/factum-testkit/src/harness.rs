//! What a store's tests bring: how to make a store, and what else can be done with it.

mod clock;
mod memory;
mod turns;

pub use clock::ManualClock;
pub use memory::MemoryHarness;
pub use turns::Turns;

use factum_core::{AnyStore, Timestamp};
use std::{error::Error, fmt, pin::Pin};

/// A future in a box.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A store, or why there is none.
pub type Opened = Result<AnyStore, Box<dyn Error + Send + Sync>>;

/// Makes stores for the cases. One harness serves one case.
pub trait Harness: Send + Sync + 'static {
    /// What the store is called where a case is reported: "memory".
    fn name(&self) -> &'static str;

    /// Whether a case that needs this can run.
    fn can(&self, need: Need) -> bool;

    /// Makes a store: an empty one that nobody else uses, if [`Need::Fresh`] can be had, otherwise
    /// one that may hold other events, and take more while the case runs.
    fn open(&self) -> Boxed<'_, Opened>;

    /// Closes the store as its owner would, and opens it again over the same data. Called where
    /// [`Need::Reopen`] can be had; the case has dropped what it held.
    fn reopen(&self) -> Boxed<'_, Opened> {
        Box::pin(async { Err("this harness cannot reopen its store".into()) })
    }

    /// Sets the store's clock, which stands still otherwise. Called where [`Need::Clock`] can be
    /// had.
    fn set_clock(&self, now: Timestamp) {
        let _ = now;
    }
}

/// What a case needs beyond the store trait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// A store that is empty, and that nobody else uses.
    Fresh,
    /// To close the store, and open it again.
    Reopen,
    /// To set the store's clock.
    Clock,
    /// Positions without gaps, as the store's capabilities say.
    Gapless,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "needs an empty store that nobody else uses",
            Self::Reopen => "needs a store that can be closed and opened again",
            Self::Clock => "needs a store whose clock can be set",
            Self::Gapless => "needs positions without gaps",
        })
    }
}
