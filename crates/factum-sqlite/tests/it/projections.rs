//! An app whose facts and rows lie in one file, killed with `kill -9` while it projects: opened
//! again, every row is what its events make it, none of them applied twice or left out.

use crate::support::{all, as_child, child, open, stream};
use factum_app::{App, Envelope, OnError, Projection, Row, event};
use factum_core::{Append, EventData, EventStore, EventType, Position, Read, Uuid};
use factum_sqlite::{SqliteStore, SqliteTarget};
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    time::Duration,
};

const ROUNDS: u64 = 4;
const ACCOUNTS: u64 = 5;
/// More than a round ever gets to.
const APPENDS_MAX: u64 = 100_000;
const LONG: Duration = Duration::from_secs(60);

#[event("account.deposited")]
struct Deposited {
    account: u64,
    amount: u64,
}

/// What was deposited; each deposit has another amount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Balance {
    deposits: u64,
    amount: u64,
}

impl Projection for Balance {
    const NAME: &'static str = "balance";
    type Event = Deposited;

    fn apply(row: &mut Row<Self>, event: &Envelope<Deposited>) {
        let amount = event.event.amount;
        row.upsert(|row| {
            row.deposits += 1;
            row.amount += amount;
        });
    }
}

async fn app(store: &SqliteStore) -> App {
    let target = SqliteTarget::beside(store).await.unwrap();
    let builder = App::builder(store.clone()).target(target);
    builder.projection::<Balance>(OnError::Stop).start().await.unwrap()
}

fn deposit(seed: u64, nth: u64) -> Append {
    let amount = seed * APPENDS_MAX + nth + 1;
    let account = nth % ACCOUNTS;
    let data = format!(r#"{{"account":{account},"amount":{amount}}}"#);
    let id = Uuid::from_u128(u128::from(amount));
    let event = EventData::new(id, EventType::new("account.deposited").unwrap(), data);
    Append::to(stream(&format!("account-{account}")), [event])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_deposits_and_projects() {
    let Some((store, seed)) = as_child() else { return };
    runtime().block_on(async {
        let _app = app(&store).await;
        for nth in 0..APPENDS_MAX {
            let receipt = store.append(deposit(seed, nth)).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {}", receipt.position).unwrap();
            out.flush().unwrap();
        }
    });
}

fn killed(file: &Path, seed: u64, after: usize) {
    let mut child = child("projections::the_child_deposits_and_projects", file, seed);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = lines.filter(|line| line.as_ref().unwrap().contains("acknowledged"));
    assert_eq!(acknowledged.take(after).count(), after, "it lives until it is killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn no_event_is_applied_twice_or_left_out_whenever_the_app_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.db");
    for round in 0..ROUNDS {
        killed(&file, round, 15 + 23 * usize::try_from(round).unwrap());
        let store = open(&file);
        runtime().block_on(check(&store));
    }
}

async fn check(store: &SqliteStore) {
    let app = app(store).await;
    let head: Position = store.head().await.unwrap();
    for account in 0..ACCOUNTS {
        let view = app.view::<Balance>().at_least(head).within(LONG);
        let row = view.get(account).await.unwrap().unwrap_or_default();
        let reading = Read::stream(stream(&format!("account-{account}")));
        let events = tokio::task::block_in_place(|| all(store, reading));
        let amounts = events.iter().map(|event| {
            serde_json::from_slice::<serde_json::Value>(event.data()).unwrap()["amount"].as_u64()
        });
        let expected =
            Balance { deposits: events.len() as u64, amount: amounts.map(Option::unwrap).sum() };
        assert_eq!(row, expected, "account {account}");
    }
}
