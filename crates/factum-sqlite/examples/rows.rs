//! What rows of a projection cost beside the same rows written by hand: an upsert a row, and a
//! checkpoint, in a transaction of 2,000 rows; the same settings of SQLite.
//!
//! `cargo run --release -p factum-sqlite --features app --example rows -- [FOLDER]`. Both sides
//! take turns; the ratio of the medians is told, as the figures themselves are the machine's.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement prints")]

use factum_app::{
    Position,
    projection::{
        Target,
        target::{Changes, Part, Role, RowChange, Table},
    },
};
use factum_sqlite::{
    Options, SqliteTarget,
    sqlx::{
        self, ConnectOptions, Connection, SqliteConnection,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use std::{path::Path, time::Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Transactions of each side, and rows in one; some of the keys come again.
const COMMITS: u64 = 50;
const ROWS: u64 = 2000;
const KEYS: u64 = 60_000;
const DATA: &str =
    r#"{"order":"4711","customer":"c-4242","total":129.90,"status":"paid","lines":3}"#;

fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let dir = folder.join(format!("factum-rows-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let measured = runtime.block_on(measure(&dir));
    std::fs::remove_dir_all(&dir)?;
    let [loaded, written, hand] = measured?.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or_default()
    });
    println!("target : by hand, in rows a second");
    println!("rows written             {:.2}", hand / written);
    println!("rows loaded and written  {:.2}", hand / (loaded + written));
    Ok(())
}

/// Seconds of each load, each commit, and each transaction by hand.
async fn measure(dir: &Path) -> Result<[Vec<f64>; 3], Failure> {
    let target = SqliteTarget::open(dir.join("target.db"), Options::default()).await?;
    let mut hand = by_hand(&dir.join("hand.db")).await?;
    let (table, part) = (Table { name: "orders".into(), version: 1 }, Part { index: 0, of: 1 });
    let opened = target.open(&table, part, Role::Keeper).await?.ok_or("a keeper has a part")?;
    let mut mark = opened.mark;
    let mut all: [Vec<f64>; 3] = Default::default();
    for commit in 0..COMMITS {
        let keys = keys(commit);
        let began = Instant::now();
        target.load(&table, mark.generation, &keys).await?;
        let loaded = began.elapsed().as_secs_f64();
        let at = Position((commit + 1) * ROWS);
        let row = |key: &String| RowChange { key: key.clone(), at, data: Some(DATA.into()) };
        let rows = keys.iter().map(row).collect();
        let (parked, released) = (Vec::new(), Vec::new());
        let (table, from, ready) = (table.clone(), mark, false);
        let changes = Changes { table, part, from, through: at, ready, rows, parked, released };
        let began = Instant::now();
        target.commit(changes).await?;
        let written = began.elapsed().as_secs_f64();
        mark.through = at;
        let began = Instant::now();
        commit_by_hand(&mut hand, &keys, at).await?;
        let seconds = [loaded, written, began.elapsed().as_secs_f64()];
        all.iter_mut().zip(seconds).for_each(|(all, one)| all.push(one));
    }
    Ok(all)
}

/// The keys of one transaction, spread over all.
fn keys(commit: u64) -> Vec<String> {
    let spread = |n: u64| (commit * ROWS + n).wrapping_mul(7_368_787) % KEYS;
    (0..ROWS).map(|n| format!("order-{:06}", spread(n))).collect()
}

async fn by_hand(file: &Path) -> Result<SqliteConnection, Failure> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut hand = options.connect().await?;
    let tables = "CREATE TABLE orders (key TEXT PRIMARY KEY, at INTEGER NOT NULL,
            data TEXT NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE checkpoint (name TEXT PRIMARY KEY, through INTEGER NOT NULL) STRICT;
        INSERT INTO checkpoint VALUES ('orders', 0)";
    sqlx::raw_sql(tables).execute(&mut hand).await?;
    Ok(hand)
}

async fn commit_by_hand(
    hand: &mut SqliteConnection,
    keys: &[String],
    at: Position,
) -> Result<(), Failure> {
    let at = at.0.cast_signed();
    let mut transaction = hand.begin_with("BEGIN IMMEDIATE").await?;
    for key in keys {
        let row = "INSERT INTO orders VALUES (?, ?, ?)
            ON CONFLICT DO UPDATE SET at = excluded.at, data = excluded.data";
        let row = sqlx::query(row).bind(key.as_str()).bind(at).bind(DATA);
        row.execute(&mut *transaction).await?;
    }
    let moved = sqlx::query("UPDATE checkpoint SET through = ? WHERE name = 'orders'").bind(at);
    moved.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
