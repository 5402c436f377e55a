//! A whole application in a simulation: instances of it that crash and come back over one store,
//! replies that are lost, subscriptions that break off and repeat themselves, and a clock that
//! nobody waits for.
//!
//! What runs is the user's own wiring: `build` makes the app as `main` does, from a store and a
//! world. `drive` is what is outside: clients that ask, a clock that jumps, and whoever checks that
//! what must hold does. A crash is what `kill -9` is: from one step to the next nothing of that
//! instance goes on, and what it had not stored is gone.
//!
//! ```
//! # use factum_app::{Ctx, Decision, Outcome, State, command, emit, ensure, event};
//! # #[event("seat.reserved")]
//! # struct SeatReserved { #[tag] seat: u32 }
//! # #[derive(Clone, Default)]
//! # struct Seat { taken: bool }
//! # impl State for Seat {
//! #     type Event = SeatReserved;
//! #     fn evolve(self, _: &SeatReserved) -> Self { Seat { taken: true } }
//! # }
//! # #[command("seat.reserve")]
//! # struct Reserve { #[tag] seat: u32 }
//! # #[derive(Debug)]
//! # struct Taken;
//! # impl Decision for Reserve {
//! #     type State = Seat;
//! #     type Refusal = Taken;
//! #     fn decide(&self, seat: &Seat, _: &Ctx) -> Outcome<Self> {
//! #         ensure(!seat.taken, Taken)?;
//! #         emit(SeatReserved { seat: self.seat })
//! #     }
//! # }
//! use factum_app::App;
//! use factum_testkit::{Sim, seeds};
//!
//! for seed in seeds(20) {
//!     Sim::new(seed).run(
//!         |store, world| async { App::builder(store).world(world).build() },
//!         async |sim| {
//!             for client in 0..4 {
//!                 // Asked until there is an answer, whoever gives it.
//!                 let work = move |app: App| async move {
//!                     app.execute(Reserve { seat: 7 }).key(client.to_string()).await.is_ok()
//!                 };
//!                 sim.insist(work).await;
//!             }
//!             assert_eq!(sim.events().await.len(), 1, "a seat is reserved once");
//!         },
//!     );
//! }
//! ```

mod cluster;
mod sweep;

pub use cluster::{Cluster, Crashed};
pub use sweep::at_every_append;

use crate::{Chances, Counts, Fault, Faults, SimWorld};
use cluster::Plan;
use factum_app::World;
use factum_core::{AnyStore, MemoryStore};
use std::{sync::Arc, time::Duration};

/// How long an instance is gone after a crash, at most, unless it is said otherwise.
const DOWN_MAX: Duration = Duration::from_secs(2);
/// How long a step takes, at most: so that what sleeps may be due while others are still busy.
const STEP_TIME_MAX: Duration = Duration::from_micros(50);

/// A simulation, to be run.
#[derive(Clone, Debug)]
#[must_use = "a simulation does something when it is `run`"]
pub struct Sim {
    seed: u64,
    instances: usize,
    down_max: Duration,
    chances: Chances,
    plan: Vec<(u64, Fault)>,
}

/// What a simulation did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// What happened to the store.
    pub counts: Counts,
    /// How often an instance came back.
    pub restarts: u64,
    /// How many steps tasks took.
    pub steps: u64,
    /// How long it took, by its own clock.
    pub time: Duration,
    /// What happened, as [`SimWorld::trace`] has it.
    pub trace: String,
}

impl Sim {
    /// One that follows this seed: two instances, and [`Chances::USUAL`].
    pub fn new(seed: u64) -> Self {
        let (chances, plan) = (Chances::USUAL, Vec::new());
        Self { seed, instances: 2, down_max: DOWN_MAX, chances, plan }
    }

    /// With so many instances of the app over one store.
    pub fn instances(self, instances: usize) -> Self {
        Self { instances, ..self }
    }

    /// With these chances that something goes wrong.
    pub fn chances(self, chances: Chances) -> Self {
        Self { chances, ..self }
    }

    /// With this happening to the append of this number, from 1.
    pub fn at(mut self, append: u64, fault: Fault) -> Self {
        self.plan.push((append, fault));
        self
    }

    /// With instances that come back within this time.
    pub fn down_max(self, down_max: Duration) -> Self {
        Self { down_max, ..self }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Runs it: `build` makes an instance of the app, at the start and after each crash; `drive` is
    /// what is outside of the app. When `drive` is done, so is the simulation.
    ///
    /// # Panics
    ///
    /// `drive` or a task of the app panics; everybody waits for what nobody will bring. The text
    /// says who waits, and the seed.
    pub fn run<A, F>(
        self,
        build: impl Fn(AnyStore, Arc<SimWorld>) -> F + Send + Sync + 'static,
        drive: impl AsyncFnOnce(&Cluster<A>),
    ) -> Report
    where
        A: Clone + Send + Sync + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        let world = SimWorld::new(self.seed).with_step_time(STEP_TIME_MAX);
        let store = AnyStore::new(MemoryStore::with_clock(world.clock()));
        let faults = Faults::seeded(self.seed, self.chances);
        let plan = self.plan.iter();
        let faults = plan.fold(faults, |faults, (append, fault)| faults.at(*append, *fault));
        let build = Box::new(move |store, world| Box::pin(build(store, world)) as _);
        let (instances, down_max) = (self.instances, self.down_max);
        let began = world.now();
        let cluster = Cluster::start(Plan {
            world: world.clone(),
            store,
            faults,
            instances,
            down_max,
            build,
        });
        world.run(drive(&cluster));
        let report = Report {
            counts: cluster.faults().counts(),
            restarts: cluster.restarts(),
            steps: world.steps(),
            time: Duration::from_nanos((world.now().0 - began.0).unsigned_abs()),
            trace: world.trace(),
        };
        cluster.end();
        report
    }
}
