//! What the tests of the engine share: appends in one line, everything read back.

use factum_core::{
    Append, Direction, EventData, EventType, Query, Read, RecordedEvent, Select, StreamName, Uuid,
};
use factum_log::{Job, Options, Reader, Writer};
use std::path::Path;

pub fn name(stream: &str) -> StreamName {
    StreamName::new(stream).unwrap()
}

pub fn event(id: u128, kind: &str, data: &str) -> EventData {
    EventData::new(Uuid::from_u128(id), EventType::new(kind).unwrap(), data.to_owned())
}

pub fn append(stream: &str, events: impl IntoIterator<Item = EventData>) -> Job {
    let append = Append::to(name(stream), events);
    Job::append(append, &Options::default().limits).unwrap()
}

pub fn open(dir: &Path, options: &Options) -> (Writer, Reader) {
    factum_log::open(dir, options.clone()).unwrap()
}

/// Small segments, so that few events fill several.
pub fn small() -> Options {
    Options { segment_bytes: 64 << 10, ..Options::default() }
}

pub fn all(reader: &Reader, read: Read) -> Vec<RecordedEvent> {
    let mut cursor = reader.read(read).unwrap().cursor;
    let mut events = Vec::new();
    loop {
        let batch = cursor.next_batch().unwrap();
        events.extend(batch.events);
        if batch.caught_up {
            return events;
        }
    }
}

/// Everything in the store, read in every way there is, checked against each other.
pub fn everything(reader: &Reader) -> Vec<RecordedEvent> {
    let events = all(reader, Read::query(Query::All));
    for (event, position) in events.iter().zip(1u64..) {
        assert_eq!(event.position().0, position, "positions are gapless");
    }
    let backward = Read { direction: Direction::Backward, ..Read::query(Query::All) };
    let mut reversed = all(reader, backward);
    reversed.reverse();
    assert_eq!(reversed, events);
    let mut streams: Vec<_> = events.iter().map(|event| event.stream().clone()).collect();
    streams.sort();
    streams.dedup();
    for stream in streams.into_iter().filter(|stream| !stream.is_system()) {
        let of_stream: Vec<_> =
            events.iter().filter(|event| *event.stream() == stream).cloned().collect();
        assert_eq!(all(reader, Read::select(Select::Stream(stream.clone()))), of_stream);
        for (event, revision) in of_stream.iter().zip(0u64..) {
            assert_eq!(event.revision().0, revision, "revisions are gapless");
        }
    }
    events
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread; 20 seconds at most.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    let start = std::time::Instant::now();
    loop {
        let mut context = std::task::Context::from_waker(&waker);
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        let left = std::time::Duration::from_secs(20).saturating_sub(start.elapsed());
        assert!(!left.is_zero(), "waited for 20 seconds");
        std::thread::park_timeout(left);
    }
}
