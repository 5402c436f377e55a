//! The engine as an [`EventStore`]: one thread that writes, a few that read, one that writes index
//! files, and futures that any runtime can await.
//!
//! Which thread syncs: the writer's, and no other. Reads run on threads of their own too, so that
//! a page that must come from the disk never stops an async worker.

mod batches;
mod erase;
mod follow;
mod pool;
mod queue;
mod threads;

pub use batches::LogBatches;
pub use follow::{Follow, Following, Lag};

use crate::{
    Job, OpenError, Options, Reader,
    disk::Mode,
    error::Fault,
    read::Begun,
    recovery::HOLDER,
    replica::{Replica, ReplicaError},
};
use factum_core::{
    Append, AppendError, Capabilities, Change, EventStore, Expected, Position, Read, ReadError,
    Reading, Receipt, Statistics, StreamMetadata, StreamName, Subscribe, store::HereBatches,
};
use pool::Pool;
use queue::Queue;
use std::{future::poll_fn, path::Path, sync::Arc, task::Poll};
use threads::{Adds, Threads};

/// An event store in a folder. Clones share it; the last one to go closes it.
///
/// ```
/// use factum_core::{Append, EventData, EventStore, EventType, StreamName, Uuid};
/// use factum_log::{LogStore, Options};
/// # let dir = tempfile::tempdir()?;
/// let store = LogStore::open(dir.path(), Options::default())?;
/// let placed = EventData::new(Uuid::from_u128(1), EventType::new("order.placed")?, "{}");
/// # let waker = std::task::Waker::noop();
/// # let mut append = Box::pin(store.append(Append::to(StreamName::new("order-1")?, [placed])));
/// # let receipt = loop {
/// #     use std::task::{Context, Poll};
/// #     if let Poll::Ready(done) = append.as_mut().poll(&mut Context::from_waker(waker)) {
/// #         break done;
/// #     }
/// # };
/// # #[cfg(any())]
/// let receipt = store.append(Append::to(StreamName::new("order-1")?, [placed])).await;
/// assert_eq!(receipt?.position.0, 1);
/// # drop(append);
/// store.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reader: Reader,
    queue: Arc<Queue>,
    pool: Arc<Pool>,
    capabilities: Capabilities,
    /// Where the log comes from, if this is a replica.
    following: Option<Arc<Following>>,
    threads: Threads,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(following) = &self.following {
            following.stop();
        }
        self.threads.join_writer();
        self.reader.shared.close();
        self.pool.close();
        self.threads.join_readers();
    }
}

impl LogStore {
    /// Opens a folder, creating it if need be.
    ///
    /// Fails if another process has it open, if a newer release wrote it, or if the disk refuses.
    /// Damage is no failure: the store opens to read only ([`LogStore::read_only`] says why).
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let queue = Arc::new(Queue::new(&options));
        let (writer, reader) = crate::open(dir, options)?;
        let adds = Adds::Writer(Box::new(writer), queue.clone());
        Self::start(reader, queue, (adds, None))
    }

    /// Opens a folder that follows another store: what that has appended is here soon, and can be
    /// read. Appends, and all that changes the store, are refused with the name of the source.
    ///
    /// A folder that has nothing yet fetches the first segment before this returns; one that has
    /// something needs no source to be opened, and serves what it has. The source is followed on a
    /// thread of its own; [`LogStore::lag`] says how that goes.
    ///
    /// # Errors
    /// [`ReplicaError`] says why, and what to do.
    pub fn follow(dir: &Path, options: Options, follow: Follow) -> Result<Self, ReplicaError> {
        let queue = Arc::new(Queue::new(&options));
        let (mut replica, reader) = Replica::open((dir, options), &*follow.source, follow.why())?;
        // Whether it is the right one is known at once, where it answers.
        if let Ok(inventory) = follow.source.inventory()
            && let Err(error) = replica.step(&*follow.source, &inventory)
            && error.is_unlike()
        {
            return Err(error);
        }
        queue.close();
        let following = Arc::new(Following::new(follow, &reader));
        let adds = Adds::Replica(Box::new(replica), following.clone());
        Ok(Self::start(reader, queue, (adds, Some(following)))?)
    }

    fn start(
        reader: Reader,
        queue: Arc<Queue>,
        (adds, following): (Adds, Option<Arc<Following>>),
    ) -> Result<Self, OpenError> {
        let shared = &reader.shared;
        let pool = Arc::new(Pool::new(shared.options.read_jobs_max));
        let capabilities = Capabilities { limits: *shared.limits(), ..Capabilities::full() };
        // Whoever said to serve this folder is gone: the lock is ours.
        let _ = shared.options.world.disk.remove(&shared.dir.join(HOLDER));
        let threads = Threads::start(adds, &pool, &reader)?;
        let inner = Inner { reader, queue, pool, capabilities, following, threads };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How it follows another store; `None` if it follows none.
    #[must_use]
    pub fn following(&self) -> Option<Arc<Following>> {
        self.inner.following.clone()
    }

    /// How far it is behind the store that it follows; `None` if it follows none.
    #[must_use]
    pub fn lag(&self) -> Option<Lag> {
        self.inner.following.as_ref().map(|following| following.lag())
    }

    /// Why appends are refused, if they are.
    #[must_use]
    pub fn read_only(&self) -> Option<Arc<str>> {
        self.inner.reader.read_only()
    }

    /// The store as its threads read it: to verify it, and to copy it.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.inner.reader.clone()
    }

    /// Writes beside the lock at which URL this folder is served, for who finds it locked.
    pub fn advertise(&self, url: &str) -> Result<(), OpenError> {
        let shared = &self.inner.reader.shared;
        let path = shared.dir.join(HOLDER);
        let file = shared.options.world.disk.open(&path, Mode::Create);
        let file = file.map_err(Fault::io("create", &path))?;
        file.write_at(url.as_bytes(), 0).map_err(Fault::io("write", path))?;
        Ok(())
    }

    /// Finishes what waits, says in the log that it is whole, and lets go of the folder, unless
    /// there are clones: the last one does it then.
    pub fn close(self) {
        drop(self);
    }

    async fn submit(&self, job: Job) -> Result<Receipt, AppendError> {
        let shared = &self.inner.reader.shared;
        if self.inner.following.is_some() {
            let why = shared.read_only().expect("a replica takes no appends");
            return Err(AppendError::ReadOnly { why });
        }
        let began_ns = shared.ticks_ns();
        let completion = self.inner.queue.submit(job)?;
        let reply = completion.await.unwrap_or_else(|| {
            Err(AppendError::Unknown { why: "the store was closed meanwhile".into() })
        });
        shared.counters.append_time.add(shared.since_ns(began_ns));
        reply
    }

    async fn reaches(&self, position: Position) -> Result<(), ReadError> {
        let reader = &self.inner.reader;
        let before = Position(position.0.saturating_sub(1));
        let waiter = reader.waiter();
        poll_fn(|context| {
            if reader.head() >= position {
                Poll::Ready(Ok(()))
            } else if waiter.wait_past(before, context.waker()) {
                Poll::Pending
            } else if reader.head() >= position {
                Poll::Ready(Ok(()))
            } else {
                Poll::Ready(Err(closed()))
            }
        })
        .await
    }
}

fn closed() -> ReadError {
    ReadError::Unavailable { why: "the store is closed: open it again".into() }
}

impl EventStore for LogStore {
    type Batches = LogBatches;

    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.submit(Job::append(append, &self.inner.capabilities.limits)?).await
    }

    async fn read(&self, read: Read) -> Result<Reading<LogBatches>, ReadError> {
        if let Some(position) = read.at_least {
            self.reaches(position).await?;
        }
        let reader = self.inner.reader.clone();
        let began_ns = reader.shared.ticks_ns();
        let begin = move || {
            let Begun { head, state, mut cursor } = reader.read(read)?;
            let first = cursor.next_batch();
            let shared = &reader.shared;
            shared.counters.read_time.add(shared.since_ns(began_ns));
            Ok((head, state, cursor, first))
        };
        let begun: Result<_, ReadError> = self.inner.pool.run(begin)?.await.ok_or_else(closed)?;
        let (head, state, cursor, first) = begun?;
        let batches = LogBatches::begun(&self.inner.pool, &self.inner.reader, cursor, first);
        Ok(Reading { head, state, batches })
    }

    fn read_here(&self, read: &Read) -> Option<Result<Reading<HereBatches>, ReadError>> {
        let reader = &self.inner.reader;
        if read.at_least.is_some_and(|position| position > reader.head()) {
            return None;
        }
        let began_ns = reader.shared.ticks_ns();
        let reading = reader.read(read.clone()).map(|Begun { head, state, cursor }| {
            let batches: HereBatches = Box::new(cursor.batches());
            Reading { head, state, batches }
        });
        reader.shared.counters.read_time.add(reader.shared.since_ns(began_ns));
        Some(reading)
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<LogBatches, ReadError> {
        let cursor = self.inner.reader.subscribe(subscribe)?;
        Ok(LogBatches::new(&self.inner.pool, &self.inner.reader, cursor))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.inner.reader.head())
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        let (reader, stream) = (self.inner.reader.clone(), stream.clone());
        let metadata = self.inner.pool.run(move || reader.metadata(&stream))?;
        metadata.await.ok_or_else(closed)?
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        let limits = &self.inner.capabilities.limits;
        self.submit(Job::change(stream.clone(), change, expected, limits)?).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.inner.reader.tracked(source)
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        let Inner { reader, queue, pool, .. } = &*self.inner;
        let mut all = reader.statistics();
        let (jobs, bytes) = queue.waiting();
        all.gauge("queued_appends", jobs, "Appends that wait for the writer");
        all.gauge("queued_bytes", bytes, "Payload bytes that wait for the writer");
        all.gauge("queued_reads", pool.waiting(), "Reads that wait for a thread");
        let what = "Appends refused because too many waited";
        all.counter("overloaded_appends_total", queue.overloaded(), what);
        let what = "Reads refused because too many waited";
        all.counter("overloaded_reads_total", pool.overloaded(), what);
        if let Some(following) = &self.inner.following {
            following.tell(&mut all);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::{Query, Select, Stream};
    use std::{
        pin::Pin,
        task::{Context, Waker},
    };

    /// Cause: a consumer that went away while it waited left its waker behind until the next
    /// append, so that they piled up on a quiet store. Fix: it takes its waker with it.
    #[test]
    fn consumers_who_leave_leave_no_waker() {
        let dir = tempfile::tempdir().unwrap();
        let store = LogStore::open(dir.path(), Options::default()).unwrap();
        let shared = store.inner.reader.shared.clone();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let subscribe = Subscribe { select: Select::Query(Query::All), after: None };
            let cursor = store.inner.reader.subscribe(subscribe).unwrap();
            let mut batches = LogBatches::new(&store.inner.pool, &store.inner.reader, cursor);
            let mut polled = 0;
            while shared.waiting_count() == 0 {
                let _ = Pin::new(&mut batches).poll_next(&mut context);
                polled += 1;
                assert!(polled < 1_000_000, "it never waits");
                std::thread::yield_now();
            }
            drop(batches);
            assert_eq!(shared.waiting_count(), 0);
        }
    }
}
