//! Processes that write and relay killed with `kill -9`, and the server under them: what was
//! committed gets to the broker, in order for its key; what was not, or was lost, never does.

use super::{PATIENCE, options, world};
use crate::support::runtime;
use factum_app::{
    message::{Message, Outgoing},
    outbox::{Outbox, Relay, RelayHandle, RelayOptions},
};
use factum_postgres::{
    PostgresOutbox,
    sqlx::{self, PgPool, postgres::PgPoolOptions, raw_sql},
};
use factum_services::postgres::Postgres;
use factum_testkit::outboxes::FileBroker;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Where a child finds the server, and the broker.
const CHILD_URL: &str = "FACTUM_POSTGRES_OUTBOX_URL";
const CHILD_FILE: &str = "FACTUM_POSTGRES_OUTBOX_FILE";
/// Whether a child's transactions do not wait for the disk.
const CHILD_HASTE: &str = "FACTUM_POSTGRES_OUTBOX_HASTE";

const KEYS: i32 = 5;
const ROUNDS: usize = 2;

async fn open(url: &str) -> (PgPool, PostgresOutbox) {
    let began = Instant::now();
    loop {
        let pool = PgPoolOptions::new().max_connections(6).connect_lazy(url).unwrap();
        // The server may be down just now.
        match PostgresOutbox::open(pool.clone(), options("public", false)).await {
            Ok(outbox) => return (pool, outbox),
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn relay(outbox: &PostgresOutbox, file: &Path) -> RelayHandle {
    let options = RelayOptions {
        batch_max: 16,
        claim: Duration::from_secs(1),
        poll: Duration::from_millis(20),
        pause_min: Duration::from_millis(5),
        pause_max: Duration::from_millis(50),
        ..RelayOptions::default()
    };
    let broker = Arc::new(FileBroker::open(file).unwrap());
    Relay::new(world(), Arc::new(outbox.clone()), broker, options).start()
}

/// One transaction: the next number of a key, in the application's tables and in the outbox. It is
/// the time, so that one that was lost with the server is never given again.
async fn place(
    (pool, outbox): &(PgPool, PostgresOutbox),
    key: i32,
    haste: bool,
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    if haste {
        sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *transaction).await?;
    }
    let next = "WITH next AS (UPDATE keys SET last = greatest(last + 1,
            (extract(epoch FROM clock_timestamp()) * 1000000)::int8) WHERE key = $1 RETURNING *)
        INSERT INTO placed SELECT key, last FROM next RETURNING number";
    let number: i64 = sqlx::query_scalar(next).bind(key).fetch_one(&mut *transaction).await?;
    let message = Message::new(format!("{key}-{number}"), "/orders", "order.placed");
    let batch = [Outgoing::new("orders", message.key(key.to_string()))];
    outbox.enqueue(&mut transaction, &batch).await?;
    transaction.commit().await?;
    outbox.wake();
    Ok(())
}

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_places_and_relays() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let file = std::env::var_os(CHILD_FILE).unwrap();
    let haste = std::env::var_os(CHILD_HASTE).is_some();
    runtime().block_on(async {
        let on = open(&url).await;
        let _relay = relay(&on.1, Path::new(&file));
        for nth in 0.. {
            // Where the server is killed, what was placed or not is for its table to say.
            if place(&on, nth % KEYS, haste).await.is_ok() {
                let mut out = std::io::stdout().lock();
                writeln!(out, "placed").unwrap();
                out.flush().unwrap();
            }
        }
    });
}

struct Placing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Placing {
    fn start(url: &str, file: &Path, haste: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let test = "outbox::crashes::the_child_places_and_relays";
        command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(CHILD_URL, url).env(CHILD_FILE, file).stdout(Stdio::piped());
        if haste {
            command.env(CHILD_HASTE, "1");
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it has placed so many more.
    fn more(&mut self, count: usize) {
        let lines = self.lines.by_ref().map_while(Result::ok);
        let placed = lines.filter(|line| line.contains("placed")).take(count);
        assert_eq!(placed.count(), count, "it has ended");
    }
}

impl Drop for Placing {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn nothing_committed_is_lost_and_nothing_lost_is_published() {
    let mut server = Postgres::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broker");
    let on = runtime().block_on(async {
        let on = open(&server.url()).await;
        let sql = format!(
            "CREATE TABLE keys (key int4 PRIMARY KEY, last int8 NOT NULL);
            CREATE TABLE placed (key int4, number int8);
            INSERT INTO keys SELECT key, 0 FROM generate_series(0, {KEYS} - 1) AS x(key)"
        );
        raw_sql(sqlx::AssertSqlSafe(sql)).execute(&on.0).await.unwrap();
        on
    });
    for round in 0..ROUNDS {
        let start = |haste| Placing::start(&server.url(), &file, haste);
        let mut children = [start(true), start(round == 0)];
        children.iter_mut().for_each(|child| child.more(11 + 17 * round));
        server.kill9().unwrap();
        server.restart().unwrap();
        children.iter_mut().for_each(|child| child.more(7 + 13 * round));
    }
    let placed = runtime().block_on(async {
        let relaying = relay(&on.1, &file);
        let began = Instant::now();
        while on.1.lag(world().now()).await.map_or(true, |lag| lag.waiting > 0) {
            assert!(began.elapsed() < PATIENCE, "it is not done: {:?}", relaying.status());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::timeout(PATIENCE, relaying.stop()).await.unwrap();
        let sql = "SELECT key::text, array_agg(number ORDER BY number) FROM placed GROUP BY key";
        sqlx::query_as::<_, (String, Vec<i64>)>(sql).fetch_all(&on.0).await.unwrap()
    });
    let (came, _) = FileBroker::came(&file).unwrap();
    assert_eq!(came, BTreeMap::from_iter(placed));
}
