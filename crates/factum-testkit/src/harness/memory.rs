//! The in-memory store under the suite: the example of a harness, and the suite's own ground.

use super::{Boxed, Harness, ManualClock, Need, Opened};
use factum_core::{AnyStore, MemoryStore, Timestamp};

/// Makes in-memory stores with a clock that is set by hand.
#[derive(Clone, Debug, Default)]
pub struct MemoryHarness {
    clock: ManualClock,
}

impl MemoryHarness {
    /// A harness whose clock nobody else sets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What this harness' clock says.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An empty store with this harness' clock.
    #[must_use]
    pub fn store(&self) -> MemoryStore {
        let clock = self.clock.clone();
        MemoryStore::with_clock(move || clock.now())
    }
}

impl Harness for MemoryHarness {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn can(&self, need: Need) -> bool {
        need != Need::Reopen
    }

    fn open(&self) -> Boxed<'_, Opened> {
        Box::pin(async { Ok(AnyStore::new(self.store())) })
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }
}
