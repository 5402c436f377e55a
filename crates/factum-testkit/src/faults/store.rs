//! The store itself: asks what shall go wrong, and lets the rest through.

use super::{FaultyBatches, plan::Fault, plan::Faults};
use crate::SimWorld;
use factum_app::world::World;
use factum_core::{
    AnyStore, Append, AppendError, Capabilities, Change, EventStore, Expected, Position, Read,
    ReadError, Reading, Receipt, Select, Statistics, StreamMetadata, StreamName, Subscribe,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A store that fails as it is told to, as one process sees it. After that process died, every
/// call fails until it is [restarted](FaultyStore::restart); clones are of the same process.
///
/// ```
/// use factum_app::App;
/// use factum_core::{AppendError, EventStore, MemoryStore};
/// use factum_testkit::{Fault, Faults, FaultyStore, SimWorld, event, build};
/// use std::sync::Arc;
///
/// let world = SimWorld::new(7);
/// let faults = Faults::none().at(1, Fault::LoseReply);
/// let store = FaultyStore::new(MemoryStore::new(), faults, Arc::new(world.clone()));
/// let stream = factum_core::StreamName::new("order-1")?;
/// let append = build::to(&stream, [event("order.placed")]);
/// world.run(async {
///     let lost = store.append(append.clone()).await;
///     assert!(matches!(lost, Err(AppendError::Unknown { .. })));
///     let again = store.append(append).await.expect("the second is not lost");
///     assert!(again.replayed, "the first had been done");
/// });
/// # Ok::<(), factum_core::InvalidName>(())
/// ```
#[derive(Clone, Debug)]
pub struct FaultyStore {
    store: AnyStore,
    pub(super) process: Process,
}

/// The process that uses a store, and what may happen to it.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) faults: Faults,
    pub(super) world: Arc<dyn World>,
    down: Arc<AtomicBool>,
    /// The part of a simulated world that dies with it.
    instance: Option<SimWorld>,
}

impl FaultyStore {
    /// One over a store. The world is who waits where something takes time.
    pub fn new(store: impl EventStore, faults: Faults, world: Arc<dyn World>) -> Self {
        let process =
            Process { faults, world, down: Arc::new(AtomicBool::new(false)), instance: None };
        Self { store: AnyStore::new(store), process }
    }

    /// The same, where a crash kills this part of the world, as `kill -9` does: none of its tasks
    /// takes another step, and no call returns.
    #[must_use]
    pub fn killing(mut self, instance: SimWorld) -> Self {
        self.process.instance = Some(instance);
        self
    }

    /// Whether its process is dead.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.process.is_down()
    }

    /// The process is there again.
    pub fn restart(&self) {
        self.process.down.store(false, Ordering::SeqCst);
    }

    /// Does an append or a change, or does not.
    async fn commit(
        &self,
        what: impl FnOnce() -> String,
        done: impl Future<Output = Result<Receipt, AppendError>>,
    ) -> Result<Receipt, AppendError> {
        let process = &self.process;
        process.arrive().await.map_err(|why| AppendError::Unavailable { why: why.into() })?;
        let fault = process.faults.of_append();
        process.note(format_args!("{}{}", what(), named(fault)));
        match fault {
            Some(Fault::Unavailable) => {
                process.faults.count(|counts| counts.refused += 1);
                return Err(AppendError::Unavailable { why: "planned by the test".into() });
            }
            Some(Fault::Overloaded) => {
                process.faults.count(|counts| counts.refused += 1);
                return Err(AppendError::Overloaded);
            }
            Some(Fault::LoseRequest) => {
                process.faults.count(|counts| counts.lost_requests += 1);
                process.on_its_way().await;
                return Err(AppendError::Unknown { why: "the request was lost".into() });
            }
            Some(Fault::CrashBefore) => return process.die().await,
            _ => {}
        }
        let done = done.await;
        process.faults.count(|counts| counts.commits += u64::from(done.is_ok()));
        if fault == Some(Fault::CrashAfter) {
            return process.die().await;
        }
        process.on_its_way().await;
        if process.is_down() {
            return Err(AppendError::Unknown { why: DEAD.into() });
        }
        if fault == Some(Fault::LoseReply) {
            process.faults.count(|counts| counts.lost_replies += 1);
            return Err(AppendError::Unknown { why: "the reply was lost".into() });
        }
        done
    }

    /// Lets a read through, or does not.
    async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        let process = &self.process;
        process.arrive().await.map_err(|why| ReadError::Unavailable { why: why.into() })?;
        if let Some(is_overloaded) = process.faults.of_read() {
            return Err(match is_overloaded {
                true => ReadError::Overloaded,
                false => ReadError::Unavailable { why: "planned by the test".into() },
            });
        }
        let answer = answer.await;
        process.on_its_way().await;
        match process.is_down() {
            true => Err(ReadError::Unavailable { why: DEAD.into() }),
            false => answer,
        }
    }
}

pub(super) const DEAD: &str = "the process died";

fn named(fault: Option<Fault>) -> String {
    fault.map(|fault| format!(": {fault:?}")).unwrap_or_default()
}

impl Process {
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    pub(super) async fn on_its_way(&self) {
        let delay = self.faults.delay();
        if !delay.is_zero() {
            self.world.sleep(delay).await;
        }
    }

    async fn arrive(&self) -> Result<(), &'static str> {
        self.on_its_way().await;
        if self.is_down() { Err(DEAD) } else { Ok(()) }
    }

    /// Where the process is a part of a simulated world, this never returns.
    async fn die(&self) -> Result<Receipt, AppendError> {
        self.faults.count(|counts| counts.crashes += 1);
        self.down.store(true, Ordering::SeqCst);
        if let Some(instance) = &self.instance {
            instance.kill();
            std::future::pending::<()>().await;
        }
        Err(AppendError::Unknown { why: DEAD.into() })
    }

    pub(super) fn note(&self, text: std::fmt::Arguments<'_>) {
        if let Some(instance) = &self.instance {
            instance.note(text);
        }
    }
}

impl EventStore for FaultyStore {
    type Batches = FaultyBatches;

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        let what = describe(&append);
        self.commit(|| what, self.store.append(append)).await
    }

    async fn read(&self, read: Read) -> Result<Reading<FaultyBatches>, ReadError> {
        self.process.note(format_args!("reads {}", read.select));
        let reading = self.ask(self.store.read(read)).await?;
        let batches = FaultyBatches::new(reading.batches, self.process.clone(), false);
        Ok(Reading { head: reading.head, state: reading.state, batches })
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<FaultyBatches, ReadError> {
        // The batches of a stream are numbered by revisions, which a split cannot tell.
        let splits = matches!(subscribe.select, Select::Query(_));
        let after = subscribe.after.unwrap_or_default();
        self.process.note(format_args!("follows {} after {after}", subscribe.select));
        let batches = self.ask(self.store.subscribe(subscribe)).await?;
        Ok(FaultyBatches::new(batches, self.process.clone(), splits))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.ask(self.store.head()).await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.ask(self.store.metadata(stream)).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        let what = || format!("changes {stream}");
        self.commit(what, self.store.change(stream, change, expected)).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.ask(self.store.tracked(source)).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.ask(self.store.statistics()).await
    }
}

fn describe(append: &Append) -> String {
    let events = append.events.iter();
    let events = events.map(|(stream, event)| format!(" {} to {stream}", event.event_type));
    format!("appends{}", events.collect::<Vec<_>>().join(","))
}
