//! A world whose clock follows the log that is replayed: deadlines of 2007 pass in 2007.

use factum::app::{Timestamp, TokioWorld, World, world::BoxFuture};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often a sleeper looks at the clock.
const LOOK: Duration = Duration::from_millis(2);

/// It jumps where it is told to, and goes on from there as time does.
#[derive(Clone, Debug)]
pub(crate) struct LogWorld {
    real: Arc<TokioWorld>,
    /// The moment of the log, and the real one, of the last jump.
    jump: Arc<Mutex<(Timestamp, Timestamp)>>,
}

impl LogWorld {
    pub(crate) fn new() -> Self {
        let real = Arc::new(TokioWorld::default());
        let jump = Arc::new(Mutex::new((Timestamp(0), real.now())));
        Self { real, jump }
    }

    /// It is this moment now, unless it is later already.
    pub(crate) fn jump_to(&self, at: Timestamp) {
        let at = at.max(self.now());
        *self.jump.lock().unwrap_or_else(PoisonError::into_inner) = (at, self.real.now());
    }
}

impl World for LogWorld {
    fn now(&self) -> Timestamp {
        let (at, since) = *self.jump.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp(at.0.saturating_add(self.real.now().0.saturating_sub(since.0)))
    }

    fn sleep(&self, how_long: Duration) -> BoxFuture<'static, ()> {
        let nanos = i64::try_from(how_long.as_nanos()).unwrap_or(i64::MAX);
        self.sleep_until(Timestamp(self.now().0.saturating_add(nanos)))
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let world = self.clone();
        Box::pin(async move {
            while world.now() < at {
                world.real.sleep(LOOK).await;
            }
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.real.spawn(task);
    }

    fn random(&self) -> u64 {
        self.real.random()
    }
}
