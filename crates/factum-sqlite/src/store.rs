//! SQLite as an [`EventStore`]: one thread that writes, connections that read, and futures that any
//! runtime can await.

mod queue;
mod writer;

pub(crate) use queue::{Job, Message, Refused, Reply, Work};

use crate::{
    OpenError, Options, SqliteBatches,
    error::{CLOSED, closed, unread},
    heads,
    inline::Hook,
    pool::Place,
    read::Reader,
    shared::{Counters, Follows, Shared},
};
use factum_core::{
    Append, AppendError, AsOf, Batch, Capabilities, Change, EventStore, Expected, Position, Read,
    ReadError, Reading, Receipt, Select, Statistics, StreamMetadata, StreamName, StreamState,
    Subscribe, Timestamp, Uuid, completion::completion, cursor::Plan, judge,
};
use queue::Queue;
use sqlx::{Connection, SqliteConnection};
use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};
use writer::Writer;

/// An event store in a file of SQLite, or in memory. Clones share it; the last one to go closes it.
///
/// No runtime is needed, and any will do. Several processes may have one file open.
///
/// ```
/// use factum_core::{Append, EventData, EventStore, EventType, Read, StreamName, Uuid};
/// use factum_sqlite::{Options, SqliteStore};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let store = SqliteStore::open_in_memory(Options::default()).await?;
/// let order = StreamName::new("order-1")?;
/// let placed = EventData::new(Uuid::from_u128(1), EventType::new("order.placed")?, "{}");
/// let receipt = store.append(Append::to(order.clone(), [placed])).await?;
/// let events = store.read(Read::stream(order)).await?.events().await?;
/// assert_eq!(events[0].position(), receipt.position);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    // Dropped to end the writer.
    queue: Option<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
    id: Uuid,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last user of a store may be something that the writer's thread has run or woken.
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != thread::current().id())
        {
            // A thread that panicked has said so on standard error, and nobody waits for it.
            let _ = writer.join();
        }
    }
}

/// What is there once the file is open.
struct Opened {
    shared: Arc<Shared>,
    queue: Queue,
    id: Uuid,
}

impl SqliteStore {
    /// Opens a file, creating it if need be. Its folder must exist. Tables of others are left
    /// alone; those of the store begin with `factum_`.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why, and what to do.
    pub async fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::start(Place::File(path.as_ref().to_owned()), options).await
    }

    /// A store in memory, gone with its last clone.
    ///
    /// # Errors
    ///
    /// [`OpenError::Thread`], where the system gives no thread.
    pub async fn open_in_memory(options: Options) -> Result<Self, OpenError> {
        Self::start(Place::Memory, options).await
    }

    async fn start(place: Place, options: Options) -> Result<Self, OpenError> {
        let options = Arc::new(options.fitted());
        let (filler, opened) = completion();
        let work = move || match Writer::open(place, options) {
            Ok((writer, opened)) => {
                filler.fill(Ok(opened));
                writer.work();
            }
            Err(error) => filler.fill(Err(error)),
        };
        let writer = thread::Builder::new().name("factum-sqlite".into()).spawn(work)?;
        let ended = || std::io::Error::other("the writer's thread ended unexpectedly");
        let Opened { shared, queue, id } = opened.await.unwrap_or_else(|| Err(ended().into()))?;
        let (queue, writer) = (Some(queue), Mutex::new(Some(writer)));
        Ok(Self { inner: Arc::new(Inner { shared, queue, writer, id }) })
    }

    /// The id that the store was given when its file was made.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.inner.id
    }

    /// Why appends are refused, if they are, until the file is opened again.
    #[must_use]
    pub fn read_only(&self) -> Option<Arc<str>> {
        self.inner.shared.stopped.get().cloned()
    }

    /// Finishes what waits and lets go of the file, unless there are clones: the last one does it
    /// then. Waits for it on this thread.
    pub fn close(self) {
        drop(self);
    }

    #[cfg(feature = "app")]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    fn queue(&self) -> &Queue {
        self.inner.queue.as_ref().expect("it is taken when the last clone is dropped")
    }

    pub(crate) async fn submit(&self, work: Work, hook: Option<Hook>) -> Reply {
        let shared = &self.inner.shared;
        let counters = &shared.counters;
        if let Some(why) = shared.stopped.get() {
            return Err(Refused::Append(AppendError::ReadOnly { why: why.clone() }));
        }
        if self.is_inside() {
            let why = "an append waits for itself: inside of one, use its connection".into();
            return Err(Refused::Append(AppendError::Unavailable { why }));
        }
        let completion = self.queue().submit(work, hook).inspect_err(|error| {
            if *error == AppendError::Overloaded {
                Counters::add(&counters.overloaded, 1);
            }
        });
        completion.map_err(Refused::Append)?.await.unwrap_or_else(|| {
            let why = "the store was closed meanwhile".into();
            Err(Refused::Append(AppendError::Unknown { why }))
        })
    }

    /// Whether this is the writer's thread, in the transaction of an append.
    fn is_inside(&self) -> bool {
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().is_some_and(|writer| writer.thread().id() == thread::current().id())
    }

    fn check(&self, select: &Select) -> Result<(), ReadError> {
        let Select::Query(query) = select else { return Ok(()) };
        let limits = &self.inner.shared.capabilities.limits;
        judge::validate_query(query, limits).map_err(|error| match error {
            AppendError::Invalid(invalid) => ReadError::Invalid(invalid),
            other => ReadError::Unsupported { what: other.to_string().into() },
        })
    }

    /// From now on what others write is looked for too.
    fn follows(&self) -> Follows {
        let follows = Follows::new(&self.inner.shared);
        self.queue().watch();
        follows
    }

    async fn reaches(&self, position: Position) -> Result<(), ReadError> {
        let _follows = self.follows();
        let reached = self.inner.shared.reaches(position).await;
        if reached { Ok(()) } else { Err(closed()) }
    }

    /// Lends a connection to read with, in a transaction.
    pub(crate) async fn with<T>(
        &self,
        read: impl AsyncFnOnce(&mut SqliteConnection, &Shared) -> Result<T, sqlx::Error>,
    ) -> Result<T, ReadError> {
        if self.is_inside() {
            let why = "a read waits for an append: inside of one, use its connection".into();
            return Err(ReadError::Unavailable { why });
        }
        let shared = &self.inner.shared;
        let mut lease = shared.readers.lease().await?;
        let done = async {
            let mut transaction = lease.begin().await?;
            let value = read(&mut transaction, shared).await?;
            transaction.commit().await?;
            Ok(value)
        };
        match done.await {
            Ok(value) => Ok(value),
            Err(error) => {
                lease.spoil();
                Err(unread(&error))
            }
        }
    }
}

/// What a read begins with, all of one snapshot.
struct Begun {
    head: Position,
    state: Option<StreamState>,
    reader: Reader,
    first: Batch,
}

async fn begin(
    read: Read,
    connection: &mut SqliteConnection,
    shared: &Shared,
) -> Result<Begun, sqlx::Error> {
    let head = heads::head(&mut *connection).await?;
    let of_stream = match &read.select {
        Select::Stream(stream) => Some(heads::stream_head(&mut *connection, stream).await?),
        Select::Query(_) => None,
    };
    let until = match read.as_of {
        AsOf::Position(position) => position.0.min(head),
        AsOf::Recorded(moment) => recorded_by(&mut *connection, moment, head).await?,
        AsOf::Now | AsOf::Occurred(_) => head,
    };
    let state = of_stream.as_ref().map(|(head, _)| head.state());
    let (of_stream, number) = of_stream.unzip();
    let plan = Plan::of_read(read, Position(until), of_stream);
    let mut reader = Reader::new(plan, number.flatten());
    let first = reader.next_batch(connection, shared).await?;
    Ok(Begun { head: Position(head), state, reader, first })
}

/// The last position before the first event that was recorded later. Recorded times ascend.
async fn recorded_by(
    connection: &mut SqliteConnection,
    moment: Timestamp,
    head: u64,
) -> Result<u64, sqlx::Error> {
    let sql = "SELECT recorded_at <= ? FROM factum_events WHERE position >= ?
        ORDER BY position LIMIT 1";
    // Everything up to `low` was recorded by then; what stands after `high` was not.
    let (mut low, mut high) = (0, head);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let at = crate::select::sql_number(middle);
        let by_then = sqlx::query_scalar(sql).bind(moment.0).bind(at);
        match by_then.fetch_optional(&mut *connection).await?.unwrap_or(true) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    Ok(low)
}

/// A random UUID, keyed as the standard library's hash maps are. Nothing here is secret.
pub(crate) fn random_id() -> Uuid {
    let (keys, more) = (RandomState::new(), RandomState::new());
    let bits = u128::from(keys.hash_one(0)) << 64 | u128::from(more.hash_one(1));
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}

fn of_store(reply: Reply) -> Result<Receipt, AppendError> {
    reply.map_err(|refused| match refused {
        Refused::Append(error) => error,
        // Only who gives a hook is told of one.
        Refused::Inline(_) => AppendError::Unavailable { why: CLOSED.into() },
    })
}

impl EventStore for SqliteStore {
    type Batches = SqliteBatches;

    fn capabilities(&self) -> &Capabilities {
        &self.inner.shared.capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        judge::validate(&append, &self.capabilities().limits)?;
        of_store(self.submit(Work::Append(append), None).await)
    }

    async fn read(&self, read: Read) -> Result<Reading<SqliteBatches>, ReadError> {
        self.check(&read.select)?;
        if let Some(position) = read.at_least {
            self.reaches(position).await?;
        }
        let begun = self.with(async |connection, shared| begin(read, connection, shared).await);
        let Begun { head, state, reader, first } = begun.await?;
        let batches = SqliteBatches::begun(self.inner.shared.clone(), reader, first);
        Ok(Reading { head, state, batches })
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<SqliteBatches, ReadError> {
        self.check(&subscribe.select)?;
        let reader = Reader::new(Plan::of_subscription(subscribe), None);
        Ok(SqliteBatches::new(self.follows(), reader))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let head = self.with(async |connection, _| heads::head(connection).await);
        head.await.map(Position)
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        let head = self.with(async |connection, _| heads::stream_head(connection, stream).await);
        head.await.map(|(head, _)| (*head.metadata).clone())
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        judge::validate_change(&change, &self.capabilities().limits)?;
        let stream = stream.clone();
        of_store(self.submit(Work::Change { stream, change, expected }, None).await)
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.with(async |connection, _| heads::tracked(connection, source).await).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        let tables = self.with(async |connection, _| crate::statistics::tables(connection).await);
        let mut all = tables.await?;
        let Inner { shared, .. } = &*self.inner;
        crate::statistics::counted(&mut all, shared);
        all.gauge("queued_appends", self.queue().waiting(), "Appends that wait for the writer");
        Ok(all)
    }
}
