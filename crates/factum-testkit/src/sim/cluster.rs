//! The instances of an app in a simulation, as their clients see them.

use crate::{Faults, FaultyStore, SimWorld};
use factum_app::{World, world::BoxFuture};
use factum_core::{
    AnyStore, EventStore, Query, Read, RecordedEvent,
    completion::{Filler, completion},
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often a client looks whether an instance is there.
const LOOK: Duration = Duration::from_millis(5);
/// How often a condition is looked at.
const CHECK: Duration = Duration::from_millis(100);

/// Makes an instance of an app.
pub(super) type Build<A> =
    Box<dyn Fn(AnyStore, Arc<SimWorld>) -> BoxFuture<'static, A> + Send + Sync>;

/// What a cluster is made of.
pub(super) struct Plan<A> {
    pub(super) world: SimWorld,
    pub(super) store: AnyStore,
    pub(super) faults: Faults,
    pub(super) instances: usize,
    pub(super) down_max: Duration,
    pub(super) build: Build<A>,
}

/// The instance died before it had answered: what it was asked for may have been done.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("the instance died before it had answered; ask again, with the same key")]
pub struct Crashed;

/// The instances of an app. Clones share them.
pub struct Cluster<A>(Arc<Inner<A>>);

struct Inner<A> {
    plan: Plan<A>,
    slots: Vec<Mutex<Option<Instance<A>>>>,
    started: AtomicU64,
}

/// An instance that is there.
struct Instance<A> {
    world: SimWorld,
    app: A,
}

impl<A: Clone + Send + Sync + 'static> Cluster<A> {
    pub(super) fn start(plan: Plan<A>) -> Self {
        let slots = (0..plan.instances).map(|_| Mutex::new(None)).collect();
        let cluster = Self(Arc::new(Inner { plan, slots, started: AtomicU64::new(0) }));
        for nth in 0..cluster.0.slots.len() {
            let supervised = cluster.clone();
            let supervisor = async move { supervised.supervise(nth).await };
            cluster.world().spawn(Box::pin(supervisor));
        }
        cluster
    }

    /// Starts an instance, and again whenever it died.
    async fn supervise(&self, nth: usize) {
        let Plan { store, faults, world, down_max, build, .. } = &self.0.plan;
        loop {
            let number = self.0.started.fetch_add(1, Ordering::SeqCst);
            let own = world.instance(&format!("instance {nth} ({number})"));
            let faulty = FaultyStore::new(store.clone(), faults.clone(), Arc::new(own.clone()));
            let faulty = AnyStore::new(faulty.killing(own.clone()));
            let (built, app) = completion();
            let building = build(faulty, Arc::new(own.clone()));
            own.spawn(Box::pin(async move { built.fill(building.await) }));
            // Held by a task of the instance: dropped when it dies.
            let (alive, dies) = completion::<()>();
            own.spawn(Box::pin(hold(alive)));
            if let Some(app) = app.await {
                *self.slot(nth) = Some(Instance { world: own, app });
                dies.await;
            }
            let gone = self.slot(nth).take();
            drop(gone);
            let down = u64::try_from(down_max.as_nanos()).unwrap_or(u64::MAX);
            world.sleep(Duration::from_nanos(world.below(down))).await;
        }
    }

    fn slot(&self, nth: usize) -> MutexGuard<'_, Option<Instance<A>>> {
        let slot = self.0.slots.get(nth).expect("an instance of the simulation: from 0 on");
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instance, unless it is dead. One that died a moment ago is still in its slot until its
    /// supervisor has seen it.
    fn there(&self, nth: usize) -> Option<(SimWorld, A)> {
        let slot = self.slot(nth);
        let there = slot.as_ref().filter(|one| !one.world.is_killed())?;
        Some((there.world.clone(), there.app.clone()))
    }

    /// The world of the clients, which does not die.
    #[must_use]
    pub fn world(&self) -> &SimWorld {
        &self.0.plan.world
    }

    /// The store itself, in front of which nothing goes wrong: for checks.
    #[must_use]
    pub fn store(&self) -> &AnyStore {
        &self.0.plan.store
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.plan.faults
    }

    /// How many instances there are.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.0.slots.len()
    }

    /// How often an instance came back.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.0.started.load(Ordering::SeqCst).saturating_sub(self.0.slots.len() as u64)
    }

    /// Kills an instance, if it is there.
    pub fn crash(&self, nth: usize) {
        let world = self.slot(nth).as_ref().map(|instance| instance.world.clone());
        if let Some(world) = world {
            world.kill();
        }
    }

    /// From now on nothing goes wrong any more: what was begun must come to its end.
    pub fn calm(&self) {
        self.faults().calm();
    }

    /// Waits until an instance is there, and has it do something.
    ///
    /// # Errors
    ///
    /// It died meanwhile.
    pub async fn ask<T, F>(&self, nth: usize, work: impl FnOnce(A) -> F) -> Result<T, Crashed>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (world, app) = loop {
            match self.there(nth) {
                Some(there) => break there,
                None => self.world().sleep(LOOK).await,
            }
        };
        let (answer, answered) = completion();
        let work = work(app);
        world.spawn(Box::pin(async move { answer.fill(work.await) }));
        answered.await.ok_or(Crashed)
    }

    /// Asks one instance after another, as the seed draws them, until one lives to answer.
    pub async fn insist<T, F>(&self, work: impl Fn(A) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        loop {
            let drawn = self.world().below(self.instances() as u64);
            let nth = usize::try_from(drawn).unwrap_or_default();
            if let Ok(answer) = self.ask(nth, &work).await {
                return answer;
            }
        }
    }

    /// Waits until something holds.
    ///
    /// # Panics
    ///
    /// It does not within this time of the simulation.
    pub async fn eventually(
        &self,
        what: &str,
        within: Duration,
        mut holds: impl AsyncFnMut() -> bool,
    ) {
        let began = self.world().now();
        while !holds().await {
            let waited = self.world().now().0.saturating_sub(began.0);
            let is_over = u128::from(waited.unsigned_abs()) > within.as_nanos();
            assert!(!is_over, "waited {within:?} in vain until {what}");
            self.world().sleep(CHECK).await;
        }
    }

    /// Everything that is stored, in order.
    ///
    /// # Panics
    ///
    /// Never: the store is one in memory.
    pub async fn events(&self) -> Vec<RecordedEvent> {
        let reading = self.store().read(Read::query(Query::All)).await;
        let reading = reading.expect("a store in memory answers");
        reading.events().await.expect("a store in memory answers")
    }

    /// Drops everything: apps hold the world, and the world holds their tasks.
    pub(super) fn end(&self) {
        self.world().end();
        for nth in 0..self.instances() {
            let gone = self.slot(nth).take();
            drop(gone);
        }
    }
}

async fn hold(alive: Filler<()>) {
    std::future::pending::<()>().await;
    drop(alive);
}

impl<A> Clone for Cluster<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A> fmt::Debug for Cluster<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("world", &self.0.plan.world).finish_non_exhaustive()
    }
}
