//! How fast single events are appended under a condition, beside the same table written by hand.
//!
//! By hand is the least that has the condition: a table with `unique (stream, revision)`, a
//! generated position, an id that is unique, and one `INSERT` an event, in which a conflict is an
//! error. It has no order that readers can rely on. *Ordered* is the same with what lets readers
//! miss nothing that commits late: events in the order of transactions, beside the number of each,
//! of which readers read those below the oldest that is open. Neither has tags, types or categories
//! to find events by, and a retry is a conflict. All go through the same connections of the same
//! library to the same server, in turns. The server is that of `FACTUM_POSTGRES_URL`:
//!
//! ```text
//! FACTUM_POSTGRES_URL=postgres://localhost/bench \
//!     cargo run --release -p factum-postgres --example throughput
//! ```

#![allow(clippy::print_stdout, reason = "what a program says to whoever runs it")]

use factum_core::{Append, EventData, EventStore, EventType, Expected, Revision, StreamName, Uuid};
use factum_postgres::{
    Listen, Options, PostgresStore,
    sqlx::{
        self, AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions, raw_sql,
    },
};
use std::{
    error::Error,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long each measurement takes.
const SECONDS: u64 = 4;
/// How often each is taken, in turns; the median counts.
const ROUNDS: usize = 3;
const WRITERS: [usize; 3] = [1, 16, 64];
/// Events of one stream: then the writer begins another one.
const STREAM_EVENTS: u64 = 20;
/// The table by hand, and the same with an order that readers can rely on.
const TABLES: [&str; 2] = [
    "position bigserial PRIMARY KEY",
    "position bigserial, transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
        PRIMARY KEY (transaction, position)",
];
const DATA: &str = r#"{"customer":"7b1c","lines":[{"sku":"A-1","count":2}],"total":1290}"#;

#[tokio::main]
async fn main() -> Outcome<()> {
    let url = std::env::var("FACTUM_POSTGRES_URL")
        .map_err(|_| "set FACTUM_POSTGRES_URL to a database that may be written to")?;
    let address: PgConnectOptions = url.parse()?;
    let schema = format!("throughput_{}", std::process::id());
    println!("writers   by hand/s   ordered/s    factum/s   factum = by hand x, = ordered x");
    for writers in WRITERS {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            for (nth, rates) in rates.iter_mut().enumerate() {
                let schema = format!("{schema}_{writers}_{round}_{nth}");
                rates.push(match TABLES.get(nth) {
                    Some(table) => by_hands(&address, (&schema, table), writers).await?,
                    None => measure_factum(&address, &schema, writers).await?,
                });
                let sql = format!("DROP SCHEMA \"{schema}\" CASCADE");
                raw_sql(AssertSqlSafe(sql)).execute(&mut address.connect().await?).await?;
            }
        }
        let [by_hand, ordered, factum] = rates.map(median);
        print!("{writers:7} {by_hand:11.0} {ordered:11.0} {factum:11.0}");
        println!(" {:10.2} {:10.2}", factum / by_hand, factum / ordered);
    }
    Ok(())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

#[allow(clippy::disallowed_methods, reason = "a measurement")]
fn now() -> Instant {
    Instant::now()
}

/// Events a second of so many writers, each of which counts its own.
async fn rate(mut writers: JoinSet<Outcome<u64>>) -> Outcome<f64> {
    let mut events = 0;
    while let Some(written) = writers.join_next().await {
        events += written??;
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    Ok(events as f64 / SECONDS as f64)
}

async fn by_hands(
    address: &PgConnectOptions,
    (schema, table): (&str, &str),
    writers: usize,
) -> Outcome<f64> {
    let sql = format!(
        "CREATE SCHEMA \"{schema}\"; CREATE TABLE \"{schema}\".events (
            {table}, stream text NOT NULL, revision bigint NOT NULL,
            id uuid NOT NULL UNIQUE, type text NOT NULL, data bytea NOT NULL,
            metadata bytea NOT NULL, recorded_at timestamptz NOT NULL DEFAULT now(),
            UNIQUE (stream, revision))"
    );
    raw_sql(AssertSqlSafe(sql)).execute(&mut address.connect().await?).await?;
    let mut connections = Vec::new();
    for _ in 0..writers {
        connections.push(address.clone().disable_statement_logging().connect().await?);
    }
    let until = now() + Duration::from_secs(SECONDS);
    let mut running = JoinSet::new();
    for (writer, connection) in connections.into_iter().enumerate() {
        running.spawn(by_hand(connection, schema.to_owned(), (writer, until)));
    }
    rate(running).await
}

async fn by_hand(
    mut connection: PgConnection,
    schema: String,
    (writer, until): (usize, Instant),
) -> Outcome<u64> {
    let sql: std::sync::Arc<str> = format!(
        "INSERT INTO \"{schema}\".events (stream, revision, id, type, data, metadata)
        VALUES ($1, $2, $3, $4, $5, $6)"
    )
    .into();
    let mut nth = 0;
    while now() < until {
        let (stream, revision) = place(writer, nth);
        let insert = sqlx::query(AssertSqlSafe(sql.clone())).bind(stream);
        let insert = insert.bind(revision.cast_signed()).bind(id(writer, nth));
        let insert = insert.bind("order.placed").bind(DATA.as_bytes()).bind(&b"{}"[..]);
        insert.execute(&mut connection).await?;
        nth += 1;
    }
    Ok(nth)
}

fn place(writer: usize, nth: u64) -> (String, u64) {
    (format!("order-{writer}-{}", nth / STREAM_EVENTS), nth % STREAM_EVENTS)
}

/// As scattered as random ones.
fn id(writer: usize, nth: u64) -> Uuid {
    let number = ((writer as u128) << 64 | u128::from(nth)) + 1;
    Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

async fn measure_factum(address: &PgConnectOptions, schema: &str, writers: usize) -> Outcome<f64> {
    let options = Options {
        schema: schema.to_owned(),
        write_connections_max: writers,
        listen: Listen::Off,
        ..Options::default()
    };
    let store = PostgresStore::connect_with(address.clone(), options).await?;
    // Each writer opens its connection before the time begins.
    let mut warming = JoinSet::new();
    for writer in 0..writers {
        let (store, stream) = (store.clone(), StreamName::new(&format!("warm-{writer}"))?);
        let event = event(writer + writers, 0)?;
        warming.spawn(async move { store.append(Append::to(stream, [event])).await });
    }
    while let Some(warm) = warming.join_next().await {
        warm??;
    }
    let until = now() + Duration::from_secs(SECONDS);
    let mut running = JoinSet::new();
    for writer in 0..writers {
        running.spawn(factum(store.clone(), writer, until));
    }
    rate(running).await
}

fn event(writer: usize, nth: u64) -> Outcome<EventData> {
    let event = EventData::new(id(writer, nth), EventType::new("order.placed")?, DATA);
    Ok(event.with_metadata("{}"))
}

async fn factum(store: PostgresStore, writer: usize, until: Instant) -> Outcome<u64> {
    let mut nth = 0;
    while now() < until {
        let (stream, revision) = place(writer, nth);
        let stream = StreamName::new(&stream)?;
        let expected = match revision.checked_sub(1) {
            None => Expected::NoStream,
            Some(last) => Expected::At(Revision(last)),
        };
        let append = Append::to(stream.clone(), [event(writer, nth)?]);
        store.append(append.expecting(stream, expected)).await?;
        nth += 1;
    }
    Ok(nth)
}
