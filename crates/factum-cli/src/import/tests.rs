//! Sending, where things go wrong on the way: replies get lost, and others write in between.

use super::{
    plan::Plan,
    present::present,
    send::{Sender, Sent},
};
use factum::{
    AnyStore, Append, AppendError, Capabilities, Change, Check, EventData, EventStore, EventType,
    Expected, MemoryStore, Position, Read, ReadError, Reading, Receipt, RecordedEvent, Statistics,
    StreamMetadata, StreamName, Subscribe, Uuid, store::DynBatches,
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// What happens to an append on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It is done, and the reply is lost.
    ReplyLost,
    /// It is not done: too much is waiting.
    Overloaded,
    /// Somebody else writes to the first stream just before.
    Foreign,
    /// Another import of the same file writes the first event just before.
    Twin,
    /// The store takes one stream an append.
    SeveralStreams,
}

/// A store over which every third append has trouble.
#[derive(Clone)]
struct Troubled {
    inner: AnyStore,
    trouble: Trouble,
    appends: Arc<AtomicU32>,
    capabilities: Capabilities,
}

impl Troubled {
    fn new(inner: &AnyStore, trouble: Trouble, capabilities: Capabilities) -> Self {
        Self { inner: inner.clone(), trouble, appends: Arc::default(), capabilities }
    }
}

impl EventStore for Troubled {
    type Batches = DynBatches;

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        for (stream, _) in &append.events {
            let is_numbered = |check: &Check| match check {
                Check::Stream { stream: checked, expected } => {
                    checked == stream && *expected != Expected::Exists
                }
                Check::NoMatch { .. } => false,
            };
            assert!(append.checks.iter().any(is_numbered), "{stream} has no number");
        }
        if !self.appends.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            return self.inner.append(append).await;
        }
        let (stream, event) = append.events[0].clone();
        match self.trouble {
            Trouble::Overloaded => return Err(AppendError::Overloaded),
            Trouble::ReplyLost => {
                self.inner.append(append).await?;
                return Err(AppendError::Unknown { why: "the reply is lost".into() });
            }
            Trouble::Foreign => {
                let foreign = EventData { id: Uuid::new_v4(), ..event };
                self.inner.append(Append::to(stream, [foreign])).await?;
            }
            Trouble::SeveralStreams => {
                assert!(append.events.iter().all(|(other, _)| *other == stream));
            }
            Trouble::Twin => {
                self.inner.append(Append::to(stream, [event])).await?;
            }
        }
        self.inner.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<DynBatches>, ReadError> {
        self.inner.read(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<DynBatches, ReadError> {
        self.inner.subscribe(subscribe).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.inner.metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.inner.change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.inner.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.inner.statistics().await
    }
}

/// Twenty events in four streams, in turn.
fn plan() -> Plan {
    let event = |n: u128| {
        let stream = StreamName::new(&format!("a-{}", n % 4)).unwrap();
        let id = Uuid::from_u128(n + 1);
        (stream, EventData::new(id, EventType::new("t").unwrap(), n.to_string()))
    };
    Plan { events: (0..20).map(event).collect(), ..Plan::default() }
}

async fn import(store: &AnyStore, batch: usize) -> Sent {
    let plan = plan();
    let known = present(store, &plan).await.unwrap();
    Sender::new(store, known, batch).send(plan.events).await.unwrap()
}

/// Data of all events that came from the plan, in the store's order.
async fn stored(store: &AnyStore) -> Vec<String> {
    let all = store.read(Read::query(factum::Query::All)).await.unwrap();
    let events = all.events().await.unwrap();
    let ours = |event: &&RecordedEvent| event.id().as_u128() <= 20;
    let data = |event: &RecordedEvent| String::from_utf8(event.data().to_vec()).unwrap();
    events.iter().filter(ours).map(data).collect()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn whatever_happens_on_the_way_each_event_enters_once_in_order() {
    for trouble in [Trouble::ReplyLost, Trouble::Overloaded, Trouble::Foreign, Trouble::Twin] {
        for batch in [1, 3, 7, 100] {
            run(async {
                let inner = AnyStore::new(MemoryStore::new());
                let troubled = Troubled::new(&inner, trouble, Capabilities::full());
                let sent = import(&AnyStore::new(troubled), batch).await;
                assert_eq!(sent.new + sent.there, 20);
                let expected: Vec<String> = (0..20).map(|n: u32| n.to_string()).collect();
                assert_eq!(stored(&inner).await, expected);
                assert_eq!(import(&inner, 5).await, Sent { new: 0, there: 20 });
            });
        }
    }
}

#[test]
fn a_store_that_takes_one_stream_an_append_gets_one() {
    run(async {
        let inner = AnyStore::new(MemoryStore::new());
        let one_stream = Capabilities { multi_stream: false, ..Capabilities::full() };
        let store = Troubled::new(&inner, Trouble::SeveralStreams, one_stream);
        assert_eq!(import(&AnyStore::new(store), 100).await, Sent { new: 20, there: 0 });
        assert_eq!(stored(&inner).await.len(), 20);
    });
}
