//! Stores in schemas of their own, on one server that most tests share.

use factum_postgres::sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, postgres::PgConnectOptions, raw_sql,
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

pub(crate) fn run(case: Boxed<'static, ()>) {
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
