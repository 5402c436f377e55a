//! Change data capture over real servers: what the tests of it share.

mod crashes;
mod faults;
mod relay;
mod setup;

use crate::support::{address, new_schema};
use factum_app::{
    message::{Outgoing, PublishError, Publisher},
    world::BoxFuture,
};
use factum_postgres::{
    Options, PostgresOutbox,
    cdc::{CdcRelay, CdcRelayHandle, CdcRelayOptions, CdcRelayStatus},
    sqlx::{
        self, AssertSqlSafe, ConnectOptions, PgConnection,
        postgres::{PgConnectOptions, PgPoolOptions},
        raw_sql,
    },
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Longer than anything takes on a machine that many share.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rows, each with its key and its id.
const INSERT: &str = "INSERT INTO {s}.factum_outbox
    (id, aggregatetype, aggregateid, type, payload, headers, created_at)
    SELECT id, 'orders.placed', key, 'order.placed', convert_to('of ' || id, 'UTF8'),
        '{\"source\": \"/shop\"}', (extract(epoch FROM clock_timestamp()) * 1000000)::int8 * 1000
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS x(key, id, nth) ORDER BY nth";

/// A schema with an outbox, and a slot of its own.
pub(super) struct Room {
    pub(super) address: PgConnectOptions,
    pub(super) schema: String,
    pub(super) connection: PgConnection,
}

impl Room {
    /// On the server that most tests share.
    pub(super) async fn new() -> Self {
        Self::at(address()).await
    }

    pub(super) async fn at(address: PgConnectOptions) -> Self {
        let address = address.disable_statement_logging();
        let connection = address.connect().await.unwrap();
        let schema = new_schema();
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(address.clone());
        let options = Options { schema: schema.clone(), ..Options::default() };
        PostgresOutbox::open(pool, options).await.unwrap();
        Self { address, schema, connection }
    }

    pub(super) fn sql(&self, sql: &str) -> String {
        sql.replace("{s}", &self.schema)
    }

    pub(super) async fn run(&mut self, sql: &str) {
        let sql = AssertSqlSafe(self.sql(sql));
        raw_sql(sql).execute(&mut self.connection).await.unwrap();
    }

    pub(super) async fn number(&mut self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(self.sql(sql));
        sqlx::query_scalar(sql).fetch_one(&mut self.connection).await.unwrap()
    }

    /// Commits rows: keys and ids, such as `a1`: the first row of the key `a`.
    pub(super) async fn insert(&mut self, ids: &[&str]) {
        let keys = ids.iter().map(|id| id[..1].to_owned()).collect::<Vec<_>>();
        let sql = AssertSqlSafe(self.sql(INSERT));
        let query = sqlx::query(sql).bind(keys).bind(ids);
        query.execute(&mut self.connection).await.unwrap();
    }

    pub(super) fn options(&self) -> CdcRelayOptions {
        CdcRelayOptions {
            schema: self.schema.clone(),
            slot: self.schema.clone(),
            publication: self.schema.clone(),
            look: Duration::from_millis(200),
            check: Duration::from_millis(100),
            pause_min: Duration::from_millis(20),
            pause_max: Duration::from_millis(200),
            ..CdcRelayOptions::default()
        }
    }

    pub(super) fn start(&self, broker: &Broker) -> CdcRelayHandle {
        self.start_with(broker, self.options())
    }

    pub(super) fn start_with(&self, broker: &Broker, options: CdcRelayOptions) -> CdcRelayHandle {
        let broker = Arc::new(broker.clone());
        CdcRelay::at(self.address.clone(), broker, options).unwrap().start()
    }

    /// So many bytes of the log that are nobody's business.
    pub(super) async fn write_log(&mut self, kilobytes: u32) {
        let sql = format!(
            "SELECT count(pg_logical_emit_message(false, 'test', repeat('x', 1024)))
            FROM generate_series(1, {kilobytes})"
        );
        self.number(&sql).await;
    }

    /// Ends what was started, and drops the slot.
    pub(super) async fn leave(mut self, relay: CdcRelayHandle) {
        relay.stop().await;
        self.drop_slot().await;
    }

    /// Waits until nobody reads the slot any more.
    pub(super) async fn is_left(&mut self) {
        let is_read = "SELECT count(*) FROM pg_replication_slots
            WHERE slot_name = '{s}' AND active";
        until("its reader leaves", async || self.number(is_read).await == 0).await;
    }

    /// Drops the slot when nobody reads it any more.
    pub(super) async fn drop_slot(&mut self) {
        self.is_left().await;
        let sql = "SELECT count(pg_drop_replication_slot(slot_name))
            FROM pg_replication_slots WHERE slot_name = '{s}'";
        self.number(sql).await;
    }
}

/// Waits until a relay's status is so.
pub(super) async fn told(
    relay: &mut CdcRelayHandle,
    is_so: impl FnMut(&CdcRelayStatus) -> bool,
) -> CdcRelayStatus {
    match tokio::time::timeout(PATIENCE, relay.wait_for(is_so)).await {
        Ok(status) => status,
        Err(_) => panic!("it never is so: {:?}", relay.status()),
    }
}

/// Waits until it is so.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A broker that keeps what it confirms, and does as it is told. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Broker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    has: Vec<Outgoing>,
    refuses: BTreeSet<String>,
    is_away: bool,
    asked: usize,
}

impl Broker {
    pub(super) fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().has.iter().map(|one| one.message.id.clone()).collect()
    }

    pub(super) fn messages(&self) -> Vec<Outgoing> {
        self.0.lock().unwrap().has.clone()
    }

    /// Those with a key.
    pub(super) fn of(&self, key: &str) -> Vec<String> {
        self.ids().into_iter().filter(|id| id.starts_with(key)).collect()
    }

    pub(super) fn refuse(&self, ids: &[&str]) {
        self.0.lock().unwrap().refuses = ids.iter().map(|id| (*id).to_owned()).collect();
    }

    pub(super) fn be_away(&self, is_away: bool) {
        self.0.lock().unwrap().is_away = is_away;
    }

    /// How often it was asked to take something.
    pub(super) fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    pub(super) async fn has(&self, count: usize) {
        until(&format!("{count} messages at the broker: {:?}", self.ids()), async || {
            self.ids().len() >= count
        })
        .await;
    }
}

impl State {
    fn take(&mut self, batch: &[Outgoing]) -> Vec<Result<(), PublishError>> {
        self.asked += 1;
        let mut failed = BTreeSet::new();
        let outcomes = batch.iter().map(|one| {
            let key = one.message.key.clone().unwrap_or_default();
            if self.is_away {
                return Err(PublishError::Unavailable { why: "away".into() });
            }
            if failed.contains(&key) {
                return Err(PublishError::Behind { key });
            }
            if self.refuses.contains(&one.message.id) {
                failed.insert(key);
                return Err(PublishError::Refused { why: "poison".into() });
            }
            self.has.push(one.clone());
            Ok(())
        });
        outcomes.collect()
    }
}

impl Publisher for Broker {
    fn max_bytes(&self) -> u64 {
        1 << 20
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [Outgoing],
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move { self.0.lock().unwrap().take(batch) })
    }
}
