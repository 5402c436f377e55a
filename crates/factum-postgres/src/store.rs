//! PostgreSQL as an [`EventStore`]: connections that append, connections that read, and one look
//! at the head for all who follow.

use crate::{
    OpenError, Options, PostgresBatches,
    append::{self, CALLS_MAX, Group, Work},
    heads, listen,
    pool::Pool,
    read::{self, Begun},
    schema::{self, Place},
    server,
    shared::{BEGIN, Counters, Shared, Statements},
    tail::{self, Follows, Tail},
};
use factum_core::{
    Append, AppendError, Capabilities, Change, EventStore, Expected, Position, Read, ReadError,
    Reading, Receipt, Select, Statistics, StreamMetadata, StreamName, Subscribe, Uuid,
    cursor::{Cursor, Plan},
    judge,
};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, task::AbortHandle};

/// An event store in tables of PostgreSQL. Clones share it; the last one to go closes it.
///
/// It lives on the `tokio` runtime that it was connected in. Any number of processes may be
/// connected to one store.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use factum_core::{Append, EventData, EventStore, EventType, Read, StreamName, Uuid};
/// use factum_postgres::PostgresStore;
/// let store = PostgresStore::connect("postgres://app@localhost/shop").await?;
/// let order = StreamName::new("order-1")?;
/// let placed = EventData::new(Uuid::from_u128(1), EventType::new("order.placed")?, "{}");
/// let receipt = store.append(Append::to(order.clone(), [placed])).await?;
/// let events = store.read(Read::stream(order)).await?.events().await?;
/// assert_eq!(events[0].position(), receipt.position);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
    id: Uuid,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.tail.close();
        self.shared.writers.close();
        self.shared.callers.close();
        self.shared.readers.close();
    }
}

impl PostgresStore {
    /// Connects, and makes the tables where they are missing.
    ///
    /// Besides what every client of PostgreSQL knows, a URL may say `factum_schema=NAME`,
    /// `factum_pooler=transaction` and `factum_listen=off`; see [`Options`].
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why, and what to do.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let (address, options) = server::address(url)?;
        Self::connect_with(address, options).await
    }

    /// Connects with settings.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says why, and what to do.
    pub async fn connect_with(
        address: PgConnectOptions,
        options: Options,
    ) -> Result<Self, OpenError> {
        let options = options.fitted();
        let place = Place::of(&options);
        let address = server::fitted(address, &options);
        let mut connection = address.connect().await?;
        // In transactions, as a pooler may give each of them another connection.
        let mut looking = connection.begin_with(BEGIN).await?;
        server::check(&mut looking).await?;
        looking.commit().await?;
        let id = schema::prepare(&mut connection, &place).await?;
        // Whatever is left of it ends with it.
        let _ = connection.close().await;
        let patience = Duration::from_millis(options.connect_timeout_ms);
        let pool = |seats: usize, waiting_max: usize| {
            Arc::new(Pool::new(address.clone(), seats, (waiting_max, patience)))
        };
        let shared = Arc::new(Shared {
            capabilities: Capabilities {
                gapless: false,
                limits: options.limits,
                ..Capabilities::full()
            },
            statements: Statements::of(&place),
            group: Group::new(options.queue_jobs_max, patience),
            writers: pool(options.write_connections_max, options.queue_jobs_max),
            callers: pool(CALLS_MAX, CALLS_MAX),
            readers: pool(options.read_connections_max, options.read_jobs_max),
            tail: Arc::new(Tail::default()),
            counters: Counters::default(),
            appended: Arc::new(Notify::new()),
            address: address.clone(),
            place,
            options,
        });
        Ok(Self { inner: Arc::new(Inner { tasks: tasks(&shared), shared, id }) })
    }

    /// The id that the store was given when its tables were made.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.inner.id
    }

    /// Lets go of the server, unless there are clones: the last one does it then.
    pub fn close(self) {
        drop(self);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    fn check(&self, select: &Select) -> Result<(), ReadError> {
        let Select::Query(query) = select else { return Ok(()) };
        let limits = &self.shared().capabilities.limits;
        judge::validate_query(query, limits).map_err(|error| match error {
            AppendError::Invalid(invalid) => ReadError::Invalid(invalid),
            other => ReadError::Unsupported { what: other.to_string().into() },
        })
    }
}

/// What runs while the store is open.
fn tasks(shared: &Arc<Shared>) -> [AbortHandle; 2] {
    let weak = Arc::downgrade(shared);
    let looking = tokio::spawn(tail::look(shared.tail.clone(), weak.clone()));
    let notifying = tokio::spawn(listen::notify(shared.appended.clone(), weak));
    [looking.abort_handle(), notifying.abort_handle()]
}

/// A random UUID, keyed as the standard library's hash maps are. Nothing here is secret.
pub(crate) fn random_id() -> Uuid {
    let (keys, more) = (RandomState::new(), RandomState::new());
    let bits = u128::from(keys.hash_one(0)) << 64 | u128::from(more.hash_one(1));
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}

impl EventStore for PostgresStore {
    type Batches = PostgresBatches;

    fn capabilities(&self) -> &Capabilities {
        &self.shared().capabilities
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        append::validate(self.shared(), &append)?;
        append::append(self.shared(), append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<PostgresBatches>, ReadError> {
        self.check(&read.select)?;
        let shared = self.shared();
        if let Some(position) = read.at_least {
            Follows::new(shared).reaches(position).await?;
        }
        let begun = shared.read(async |connection| read::begin(shared, connection, read).await);
        let Begun { head, state, cursor, first } = begun.await?;
        let batches = PostgresBatches::begun(shared.clone(), cursor, first);
        Ok(Reading { head, state, batches })
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<PostgresBatches, ReadError> {
        self.check(&subscribe.select)?;
        let cursor = Cursor::new(Plan::of_subscription(subscribe));
        Ok(PostgresBatches::new(Follows::new(self.shared()), cursor))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        let shared = self.shared();
        let head = shared.read(async |connection| tail::settled(shared, connection).await);
        head.await.map(|found| Position(found.head))
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        let shared = self.shared();
        let head = shared
            .read(async |connection| heads::of_one(shared, connection, stream, u64::MAX).await);
        head.await.map(|head| (*head.metadata).clone())
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        judge::validate_change(&change, &self.capabilities().limits)?;
        let work = Work::Change { stream: stream.clone(), change, expected };
        append::change(self.shared(), work).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        let shared = self.shared();
        let tracked = shared.read(async |connection| {
            // No source has a NUL, and no text of PostgreSQL.
            match source.contains('\0') {
                true => Ok(None),
                false => heads::tracked(shared, connection, source).await,
            }
        });
        tracked.await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        let shared = self.shared();
        let tables =
            shared.read(async |connection| crate::statistics::tables(shared, connection).await);
        let mut all = tables.await?;
        crate::statistics::counted(&mut all, shared);
        Ok(all)
    }
}
