//! Appends and reads over any store: so many writers, each with a stream of its own.

use super::{
    groups,
    measured::{Measured, Times},
};
use crate::failure::{Exit, Failure, Outcome};
use factum::{
    AnyStore, Append, AppendError, Change, EventData, EventStore, EventType, Expected, Query, Read,
    ReadError, StreamName, Uuid, next_batch,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// Bytes of an event's data, JSON.
const DATA_BYTES: usize = 256;
/// Events that are written in all, at most: about 1.3 GB of log.
const EVENTS_MAX: u64 = 4_000_000;
/// Events of a stream that are read at once.
const PAGE_EVENTS: u64 = 20;
/// How often an overloaded store is asked again, with a pause, before that is an error.
const RETRIES_MAX: u32 = 100;
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// What was measured over a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfStore {
    pub(super) appends: [(Shape, Measured); 4],
    pub(super) pages: Measured,
    pub(super) everything: Measured,
}

/// How appends are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) writers: usize,
    pub(super) events: usize,
}

const SHAPES: [Shape; 4] = [
    Shape { writers: 1, events: 1 },
    Shape { writers: 16, events: 1 },
    Shape { writers: 64, events: 1 },
    Shape { writers: 1, events: 100 },
];

/// A store under load.
pub(super) struct Load {
    store: AnyStore,
    each: Duration,
    run: String,
    written: Arc<AtomicU64>,
    streams: Vec<StreamName>,
}

impl Load {
    pub(super) fn new(store: AnyStore, each: Duration) -> Self {
        let run = Uuid::new_v4().simple().to_string();
        Self { store, each, run, written: Arc::default(), streams: Vec::new() }
    }

    /// Measures all of it, one after the other.
    pub(super) async fn run(&mut self) -> Outcome<OfStore> {
        let [one, some, many, batched] = SHAPES;
        Ok(OfStore {
            appends: [
                (one, self.appends(one).await?),
                (some, self.appends(some).await?),
                (many, self.appends(many).await?),
                (batched, self.appends(batched).await?),
            ],
            pages: self.pages().await?,
            everything: self.everything().await?,
        })
    }

    async fn appends(&mut self, shape: Shape) -> Outcome<Measured> {
        let before = groups(&self.store).await;
        let mut writers = JoinSet::new();
        let began = Instant::now();
        for writer in 0..shape.writers {
            let name =
                format!("factum_bench-{}-{}-{}-{writer}", self.run, shape.writers, shape.events);
            let stream = StreamName::new(&name).expect("it is short, and of letters");
            self.streams.push(stream.clone());
            let writer = Writer {
                store: self.store.clone(),
                stream,
                events: shape.events,
                until: began + self.each,
                written: self.written.clone(),
            };
            writers.spawn(writer.run());
        }
        let mut times = Times::default();
        while let Some(done) = writers.join_next().await {
            let done = done.map_err(|error| Failure::new(Exit::Failure, error))?;
            times.join(done?);
        }
        let took = began.elapsed();
        let after = groups(&self.store).await;
        let per_sync = before
            .zip(after)
            .map(|(before, after)| (after.0 - before.0) / (after.1 - before.1).max(1.0));
        let events = times.count() * shape.events as u64;
        Ok(Measured { per_sync, ..times.measured(took, events) })
    }

    /// The last events of one stream after the other.
    async fn pages(&self) -> Outcome<Measured> {
        let (began, mut times, mut events) = (Instant::now(), Times::default(), 0);
        for stream in self.streams.iter().cycle() {
            if began.elapsed() >= self.each {
                break;
            }
            let page = Instant::now();
            let read = Read { limit: Some(PAGE_EVENTS), ..Read::stream(stream.clone()) };
            events += count(&self.store, read, began + self.each).await?;
            times.add(page.elapsed());
        }
        Ok(times.measured(began.elapsed(), events))
    }

    /// What was written, from its first event on, as often as there is time.
    async fn everything(&self) -> Outcome<Measured> {
        let (began, mut times, mut events) = (Instant::now(), Times::default(), 0);
        while began.elapsed() < self.each {
            let whole = Instant::now();
            events += count(&self.store, Read::query(Query::All), began + self.each).await?;
            times.add(whole.elapsed());
        }
        Ok(times.measured(began.elapsed(), events))
    }

    /// Deletes the streams of this run.
    pub(super) async fn delete_streams(&self) -> Outcome {
        for stream in &self.streams {
            let deleted = self.store.change(stream, Change::Delete, Some(Expected::Exists)).await;
            match deleted {
                Ok(_) | Err(AppendError::Conflict { .. }) => {}
                Err(error) => {
                    return Err(Failure::from(error).help(format_args!(
                        "the streams that begin with factum_bench-{} are still there: delete them",
                        self.run
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Reads to the end, or until the time is over, and says how many events came.
async fn count(store: &AnyStore, read: Read, until: Instant) -> Result<u64, ReadError> {
    let mut reading = store.read(read).await?;
    let mut events = 0;
    while let Some(batch) = next_batch(&mut reading.batches).await {
        events += batch?.events.len() as u64;
        if Instant::now() >= until {
            break;
        }
    }
    Ok(events)
}

/// One writer: the next append when the one before is answered.
struct Writer {
    store: AnyStore,
    stream: StreamName,
    events: usize,
    until: Instant,
    written: Arc<AtomicU64>,
}

impl Writer {
    async fn run(self) -> Outcome<Times> {
        let mut times = Times::default();
        let mut expected = Expected::NoStream;
        while Instant::now() < self.until {
            let count = self.events as u64;
            if self.written.fetch_add(count, Ordering::Relaxed) + count > EVENTS_MAX {
                break;
            }
            let events: Vec<_> = (0..self.events).map(|_| event()).collect();
            let append = Append::to(self.stream.clone(), events);
            let append = append.expecting(self.stream.clone(), expected);
            let began = Instant::now();
            expected = self.append(append).await?;
            times.add(began.elapsed());
        }
        Ok(times)
    }

    async fn append(&self, append: Append) -> Result<Expected, AppendError> {
        for _ in 0..RETRIES_MAX {
            match self.store.append(append.clone()).await {
                Ok(receipt) => {
                    let last = receipt.streams.first().map(|written| written.last);
                    return Ok(last.map_or(Expected::Exists, Expected::At));
                }
                Err(AppendError::Overloaded) => tokio::time::sleep(RETRY_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
        Err(AppendError::Overloaded)
    }
}

fn event() -> EventData {
    const BEFORE: &str = r#"{"note":""#;
    const AFTER: &str = r#""}"#;
    let note = "x".repeat(DATA_BYTES - BEFORE.len() - AFTER.len());
    let event_type = EventType::new("bench.event.appended").expect("a name of letters");
    EventData::new(Uuid::new_v4(), event_type, format!("{BEFORE}{note}{AFTER}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_measures_everything_and_leaves_no_stream() {
        let store = AnyStore::new(factum::MemoryStore::new());
        let mut load = Load::new(store.clone(), Duration::from_millis(30));
        let measured = load.run().await.unwrap();
        assert!(measured.appends.iter().all(|(_, measured)| measured.count > 0));
        assert!(measured.pages.events_per_second > 0.0);
        assert!(measured.everything.events_per_second > 0.0);
        load.delete_streams().await.unwrap();
        for stream in &load.streams {
            let read = Read { limit: Some(0), ..Read::stream(stream.clone()) };
            let state = store.read(read).await.unwrap().state.unwrap();
            assert!(!matches!(state, factum::StreamState::Live { .. }), "{stream} is {state:?}");
        }
    }

    #[test]
    fn an_event_has_the_bytes_that_are_said() {
        assert_eq!(event().payload_bytes(), DATA_BYTES);
    }
}
