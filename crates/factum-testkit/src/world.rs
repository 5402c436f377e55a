//! A world whose clock and schedule follow a seed: a whole app runs in it on one thread, and the
//! same seed gives the same run, step for step.
//!
//! No runtime lives here. What is ready is polled in an order that the seed draws; where nothing is
//! ready, the clock goes on to the next time that somebody sleeps for. So an hour passes in no
//! time, tasks overtake each other differently with each seed, and a run in which everybody waits
//! for what nobody will bring is told from a slow one.
//!
//! What must hold: nothing that decides the order may come from outside. Futures that are woken by
//! other threads (an embedded store with a thread of its own), `tokio::select!` without `biased;`
//! and the order of a `HashMap` come from outside.

mod executor;
mod random;
mod state;
mod trace;

pub use random::seeds;

pub(crate) use random::Random;
pub(crate) use state::later;

use executor::Executor;
use factum_app::world::{BoxFuture, World};
use factum_core::Timestamp;
use state::{Shared, Sleep};
use std::{fmt, sync::Arc, time::Duration};

/// How many times tasks are polled in one run, at most, unless it is said otherwise: a run that
/// comes to more goes round in circles.
pub const STEPS_MAX: u64 = 2_000_000;

/// A world that follows a seed. Clones share it.
///
/// ```
/// use factum_app::{App, MemoryStore, World};
/// use factum_testkit::SimWorld;
/// use std::{sync::Arc, time::Duration};
///
/// let world = SimWorld::new(7);
/// let store = MemoryStore::with_clock(world.clock());
/// let app = App::builder(store).world(Arc::new(world.clone())).build();
/// let before = world.now();
/// world.run(async {
///     app.world().sleep(Duration::from_secs(3600)).await;
/// });
/// assert_eq!(world.now().0 - before.0, 3_600_000_000_000);
/// ```
#[derive(Clone)]
pub struct SimWorld {
    shared: Arc<Shared>,
    /// Whose tasks those are that are spawned through this handle.
    instance: usize,
}

impl SimWorld {
    /// One that follows this seed. Its clock begins at 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { shared: Arc::new(Shared::new(seed)), instance: 0 }
    }

    /// The same, beginning at another time.
    #[must_use]
    pub fn starting_at(self, now: Timestamp) -> Self {
        self.set_clock(now);
        self
    }

    /// The same, and each step of a task takes up to so long, as the seed draws: what sleeps may
    /// then be due while others are still busy.
    #[must_use]
    pub fn with_step_time(self, longest: Duration) -> Self {
        self.shared.lock().step_time_max = longest;
        self
    }

    /// The same, with another limit than [`STEPS_MAX`].
    #[must_use]
    pub fn with_steps_max(self, steps_max: u64) -> Self {
        self.shared.lock().steps_max = steps_max;
        self
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// The clock, for a store that wants one of its own.
    pub fn clock(&self) -> impl Fn() -> Timestamp + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.lock().now
    }

    /// A part of the world that can be killed by itself, as a process is; the name is for reports.
    #[must_use]
    pub fn instance(&self, name: &str) -> Self {
        let instance = self.shared.lock().add_instance(name);
        Self { shared: self.shared.clone(), instance }
    }

    /// Kills this part: none of its tasks takes another step, and what is spawned later through
    /// this handle never runs. They are dropped once the task that runs now comes to a pause.
    ///
    /// # Panics
    ///
    /// Of the whole world: only its instances are killed, and [`SimWorld::end`] ends it.
    pub fn kill(&self) {
        assert!(self.instance != 0, "kill an instance: `world.instance(\"name\")`");
        self.note("killed");
        self.shared.kill(self.instance);
    }

    /// Whether this part was killed.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.shared.lock().is_killed(self.instance)
    }

    /// Runs a future and everything that is spawned until the future is done.
    ///
    /// # Panics
    ///
    /// A task panics; everybody waits for what nobody will bring; or the steps are used up. The
    /// text says which tasks there are, what each did last, and the seed.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        Executor::new(&self.shared).run(future)
    }

    /// Runs until nothing is ready and nobody sleeps.
    ///
    /// # Panics
    ///
    /// As [`SimWorld::run`]; who waits for ever is no failure here.
    pub fn run_until_idle(&self) {
        Executor::new(&self.shared).run_until(None);
    }

    /// Runs for so long.
    ///
    /// # Panics
    ///
    /// As [`SimWorld::run_until_idle`].
    pub fn run_for(&self, how_long: Duration) {
        let until = later(self.now(), how_long);
        Executor::new(&self.shared).run_until(Some(until));
    }

    /// The clock jumps ahead, as that of a machine does that was asleep: whoever sleeps until then
    /// is late.
    pub fn jump(&self, how_far: Duration) {
        let mut state = self.shared.lock();
        state.now = later(state.now, how_far);
    }

    /// Sets the clock, ahead or back.
    pub fn set_clock(&self, now: Timestamp) {
        self.shared.lock().now = now;
    }

    /// Drops every task. For the end of a run: tasks that never end hold their app, and it them.
    pub fn end(&self) {
        self.shared.end();
    }

    /// Says in the trace what the running task does; a report names it as the last it did.
    pub fn note(&self, text: impl fmt::Display) {
        self.shared.lock().note(&text);
    }

    /// What happened, one line a step; of a long run the last lines only, and a digest of all.
    #[must_use]
    pub fn trace(&self) -> String {
        let state = self.shared.lock();
        state.trace.show(|task| state.name_of(task))
    }

    /// How many steps were taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.shared.lock().steps
    }

    /// A number below this one, as the seed draws it; 0 where there is none below.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        self.shared.lock().random.below(end)
    }
}

impl World for SimWorld {
    fn now(&self) -> Timestamp {
        self.shared.lock().now
    }

    fn sleep(&self, how_long: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::new(&self.shared, how_long))
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let world = self.clone();
        Box::pin(async move {
            while let Ok(left @ 1..) = u64::try_from(at.0.saturating_sub(world.now().0)) {
                world.sleep(Duration::from_nanos(left)).await;
            }
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.shared.spawn(self.instance, task);
    }

    fn random(&self) -> u64 {
        self.shared.lock().random.next()
    }
}

impl fmt::Debug for SimWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimWorld").field("seed", &self.shared.seed).finish_non_exhaustive()
    }
}
