//! Stores in schemas of their own, on one server that most tests share.

use factum_core::{
    Append, EventData, EventStore, EventType, Read, RecordedEvent, StreamName, Uuid,
};
use factum_postgres::{
    Options, PostgresStore,
    sqlx::{
        AssertSqlSafe, ConnectOptions, Connection, PgPool, postgres::PgConnectOptions,
        postgres::PgPoolOptions, raw_sql,
    },
};
use factum_testkit::Boxed;
use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicU64, Ordering},
};
use tokio::runtime::{Builder, Runtime};

/// The one that all stores of this program live on.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().enable_all().build().unwrap())
}

pub(crate) fn run(case: Boxed<'_, ()>) {
    runtime().block_on(case);
}

/// The server that most tests share.
pub(crate) fn address() -> PgConnectOptions {
    static URL: OnceLock<String> = OnceLock::new();
    let url = URL.get_or_init(|| {
        factum_services::postgres::shared_url().unwrap_or_else(|error| panic!("{error}"))
    });
    url.parse().unwrap()
}

/// A schema that nobody has yet.
pub(crate) fn new_schema() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test_{}_{nth}", std::process::id())
}

/// Settings of a store in a schema of its own, on the shared server.
pub(crate) fn options() -> Options {
    Options { schema: new_schema(), ..Options::default() }
}

pub(crate) async fn open(options: &Options) -> PostgresStore {
    PostgresStore::connect_with(address(), options.clone()).await.unwrap()
}

/// Connections of an application's own.
pub(crate) fn application() -> PgPool {
    PgPoolOptions::new().max_connections(10).connect_lazy_with(address())
}

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

pub(crate) fn event(id: u128) -> EventData {
    EventData::new(Uuid::from_u128(id), EventType::new("happened").unwrap(), "{}")
}

pub(crate) fn to(name: &str, ids: impl IntoIterator<Item = u128>) -> Append {
    Append::to(stream(name), ids.into_iter().map(event))
}

pub(crate) async fn all(store: &PostgresStore, read: Read) -> Vec<RecordedEvent> {
    store.read(read).await.unwrap().events().await.unwrap()
}

/// The numbers of events' ids.
pub(crate) fn ids(events: &[RecordedEvent]) -> Vec<u128> {
    events.iter().map(|event| event.id().as_u128()).collect()
}

static LEFT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A schema with an empty store, or none: one that another test has left, as making one takes
/// longer than most tests.
#[derive(Debug)]
pub(crate) struct Room(pub(crate) String);

impl Room {
    pub(crate) async fn take() -> Self {
        let left = LEFT.lock().unwrap().pop();
        let Some(schema) = left else { return Self(new_schema()) };
        let mut connection = address().connect().await.unwrap();
        let sql = format!(
            "DELETE FROM {schema}.factum_events; DELETE FROM {schema}.factum_tags;
            DELETE FROM {schema}.factum_tracked; SELECT setval('{schema}.factum_positions', 0)"
        );
        raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Self(schema)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            LEFT.lock().unwrap().push(std::mem::take(&mut self.0));
        }
    }
}
