//! Inline projections of an app: rows change in the append's own transaction, whatever was there
//! before, whoever writes beside, and whenever it is killed.

use crate::support::{all, as_child, child, open, stream};
use factum_app::{
    App, AppBuilder, Ctx, Decision, Envelope, OnError, Outcome, Projection, Row, State, command,
    consumer::{RunState, StartError},
    emit, event,
    projection::{
        Target,
        target::{Changes, Part, Renew, Role, RowChange, Table},
    },
    view::ViewError,
};
use factum_core::{
    Append, AppendError, EventData, EventStore, EventType, Position, Query, Read, Uuid,
};
use factum_sqlite::{Options, SqliteStore, SqliteTarget};
use serde::{Deserialize, Serialize};
use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Write},
    path::Path,
    time::Duration,
};

const ACCOUNTS: u64 = 5;
const LONG: Duration = Duration::from_secs(60);
/// So much nobody deposits: the projection cannot take it.
const POISON: u64 = 666;

#[event("account.deposited")]
struct Deposited {
    #[tag]
    account: u64,
    amount: u64,
}

/// The deposits of an account, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Book {
    amounts: Vec<u64>,
}

fn book(row: &mut Row<impl Projection + AsMut<Vec<u64>> + Default>, amount: u64) {
    assert_ne!(amount, POISON, "not that");
    row.upsert(|row| row.as_mut().push(amount));
}

impl AsMut<Vec<u64>> for Book {
    fn as_mut(&mut self) -> &mut Vec<u64> {
        &mut self.amounts
    }
}

impl Projection for Book {
    const NAME: &'static str = "book";
    type Event = Deposited;

    fn apply(row: &mut Row<Self>, event: &Envelope<Deposited>) {
        book(row, event.event.amount);
    }
}

#[derive(Clone, Default)]
struct Account;

impl State for Account {
    type Event = Deposited;

    fn evolve(self, _: &Deposited) -> Self {
        self
    }
}

#[command("account.deposit")]
struct Deposit {
    #[tag]
    account: u64,
    amount: u64,
}

impl Decision for Deposit {
    type State = Account;
    type Refusal = Infallible;

    fn decide(&self, _: &Account, _: &Ctx) -> Outcome<Self> {
        emit(Deposited { account: self.account, amount: self.amount })
    }
}

/// The same without a decision, as somebody does who knows of no projection.
fn deposit(amount: u64) -> Append {
    let account = amount % ACCOUNTS;
    let data = format!(r#"{{"account":{account},"amount":{amount}}}"#);
    let kind = EventType::new("account.deposited").unwrap();
    let event = EventData::new(Uuid::from_u128(u128::from(amount)), kind, data);
    Append::to(stream(&format!("account-{account}")), [event])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn builder(store: &SqliteStore) -> AppBuilder {
    App::builder(store.clone()).target(SqliteTarget::beside(store).await.unwrap())
}

async fn start(store: &SqliteStore) -> App {
    builder(store).await.inline_projection::<Book>().start().await.unwrap()
}

/// Waits until the consumer has taken in what was there before.
async fn caught_up(app: &App, store: &SqliteStore) {
    let head = store.head().await.unwrap();
    app.view::<Book>().at_least(head).within(LONG).list().await.unwrap();
}

/// Every row as it is now, without waiting for anything, against the events that there are.
async fn check(app: &App, store: &SqliteStore) {
    let rows = app.view::<Book>().list().await.unwrap().rows;
    let events = tokio::task::block_in_place(|| all(store, Read::query(Query::All)));
    for account in 0..ACCOUNTS {
        let of = events.iter().filter(|one| one.stream().as_str() == format!("account-{account}"));
        let amounts: Vec<u64> =
            of.map(|one| serde_json::from_slice::<Deposited>(one.data()).unwrap().amount).collect();
        let row = rows.iter().find(|row| row.key == account.to_string());
        let held = row.map(|row| row.value.amounts.clone()).unwrap_or_default();
        assert_eq!(held, amounts, "account {account}");
    }
}

async fn memory() -> SqliteStore {
    SqliteStore::open_in_memory(Options::default()).await.unwrap()
}

#[test]
fn who_has_written_reads_it_at_once_also_what_was_there_before() {
    runtime().block_on(async {
        let store = memory().await;
        for amount in 1..=30 {
            store.append(deposit(amount)).await.unwrap();
        }
        let app = start(&store).await;
        caught_up(&app, &store).await;
        check(&app, &store).await;
        for amount in 31..=60 {
            let receipt = app.execute(Deposit { account: amount % ACCOUNTS, amount }).await;
            let row = app.view::<Book>().row(amount % ACCOUNTS).await.unwrap().unwrap();
            assert_eq!(row.value.amounts.last(), Some(&amount), "no wait, no receipt");
            assert_eq!(row.through, receipt.unwrap().position);
        }
        check(&app, &store).await;
        // What is of no interest to it moves its checkpoint too.
        let other = EventData::new(Uuid::from_u128(9_999), EventType::new("other").unwrap(), "{}");
        let receipt = store.append(Append::to(stream("other-1"), [other])).await.unwrap();
        let row = app.view::<Book>().row(1).await.unwrap().unwrap();
        assert_eq!(row.through, receipt.position);
    });
}

#[test]
fn an_event_that_cannot_be_applied_refuses_the_append_and_nothing_is_written() {
    runtime().block_on(async {
        let store = memory().await;
        let app = start(&store).await;
        caught_up(&app, &store).await;
        app.execute(Deposit { account: 1, amount: 1 }).await.unwrap();
        let mut both = deposit(6);
        both.events.extend(deposit(POISON).events);
        let refused = store.append(both).await.unwrap_err();
        assert!(!refused.is_retryable(), "{refused}");
        let AppendError::Unsupported { what } = &refused else { panic!("{refused}") };
        let says = ["the inline projection \"book\" refuses it", "at position 3", "not that"];
        assert!(says.iter().all(|part| what.contains(part)), "{what}");
        assert_eq!(store.head().await.unwrap(), Position(1));
        check(&app, &store).await;
        // The same is told to who gives a command; others are not held up.
        let refused = app.execute(Deposit { account: 1, amount: POISON }).await.unwrap_err();
        assert!(refused.to_string().contains("refuses it"), "{refused}");
        app.execute(Deposit { account: 1, amount: 11 }).await.unwrap();
        check(&app, &store).await;
    });
}

#[test]
fn what_somebody_wrote_without_it_is_taken_in_first() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.db");
    let (store, stranger) = (open(&file), open(&file));
    runtime().block_on(async {
        let app = start(&store).await;
        caught_up(&app, &store).await;
        for round in 0..20 {
            for amount in 1..=3 {
                stranger.append(deposit(round * 10 + amount)).await.unwrap();
            }
            store.append(deposit(round * 10 + 4)).await.unwrap();
            check(&app, &store).await;
        }
        // Alone, it is the consumer's, and who asks for it waits.
        let receipt = stranger.append(deposit(999)).await.unwrap();
        let view = app.view::<Book>().at_least(receipt.position).within(LONG);
        assert_eq!(view.get(4).await.unwrap().unwrap().amounts.last(), Some(&999));
        check(&app, &store).await;
    });
}

#[test]
fn appends_while_it_catches_up_are_neither_missed_nor_applied_twice() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 150;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("app.db"));
    runtime().block_on(async {
        for amount in 1..=2_500 {
            store.append(deposit(10_000 + amount)).await.unwrap();
        }
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for nth in 1..=EACH {
                    store.append(deposit(100_000 * (writer + 1) + nth)).await.unwrap();
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let app = start(&store).await;
        for (nth, writer) in writers.into_iter().enumerate() {
            writer.await.unwrap();
            // Made anew beside, while others write.
            if nth == 0 {
                app.projection::<Book>().unwrap().rebuild().await.unwrap();
            }
        }
        caught_up(&app, &store).await;
        check(&app, &store).await;
        let keeping = app.projection::<Book>().unwrap();
        keeping.rebuild().await.unwrap();
        for amount in 1..=100 {
            store.append(deposit(amount)).await.unwrap();
            check(&app, &store).await;
        }
    });
}

#[test]
fn what_takes_the_place_of_another_has_everything_at_once() {
    runtime().block_on(async {
        let store = memory().await;
        let target = SqliteTarget::beside(&store).await.unwrap();
        let app = App::builder(store.clone()).target(target.clone());
        let app = app.inline_projection::<Book>().start().await.unwrap();
        caught_up(&app, &store).await;
        for amount in 1..=5 {
            store.append(deposit(amount)).await.unwrap();
        }
        // Somebody builds beside, and has come as far as the second event when it is finished.
        let table = Table { name: "book".into(), version: 1 };
        let part = Part { index: 0, of: 1 };
        target.renew(&table, Renew::Beside).await.unwrap();
        let opened = target.open(&table, part, Role::Builder).await.unwrap().unwrap();
        let row = |key: u64| RowChange {
            key: key.to_string(),
            at: Position(key),
            data: Some(format!(r#"{{"amounts":[{key}]}}"#).into()),
        };
        let finished = Changes {
            table,
            part,
            from: opened.mark,
            through: Position(2),
            ready: true,
            rows: vec![row(1), row(2)],
            parked: Vec::new(),
            released: Vec::new(),
        };
        target.commit(finished).await.unwrap();
        let row = app.view::<Book>().row(3).await.unwrap().unwrap();
        assert_eq!((row.through, row.value.amounts), (Position(5), vec![3]));
        check(&app, &store).await;
    });
}

#[test]
fn what_stops_it_stops_it_alone_and_is_told() {
    runtime().block_on(async {
        let store = memory().await;
        store.append(deposit(1)).await.unwrap();
        store.append(deposit(POISON)).await.unwrap();
        let app = start(&store).await;
        let mut progress = app.consumer("book").unwrap().progress();
        let stopped =
            |now: &factum_app::consumer::Progress| matches!(now.state, RunState::Stopped { .. });
        progress.wait_for(stopped).await.unwrap();
        // It was never inline, so that it refuses nothing.
        let receipt = store.append(deposit(2)).await.unwrap();
        let view = app.view::<Book>().at_least(receipt.position).within(Duration::from_secs(1));
        let error = view.get(2).await.unwrap_err();
        assert!(matches!(error, ViewError::Stopped { .. }), "{error}");
    });
}

#[test]
fn rows_that_lie_elsewhere_cannot_be_inline() {
    runtime().block_on(async {
        let store = memory().await;
        let none = App::builder(store.clone()).inline_projection::<Book>().start().await;
        let error = none.unwrap_err();
        assert!(matches!(error, StartError::Inline { .. }), "{error}");
        assert!(error.to_string().contains("\"book\" cannot be inline"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let apart = SqliteTarget::open(dir.path().join("rows.db"), Options::default());
        let app = App::builder(store).target(apart.await.unwrap()).inline_projection::<Book>();
        let error = app.start().await.unwrap_err();
        assert!(error.to_string().contains("not in the events' file"), "{error}");
    });
}

/// The same rows under another version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Later {
    amounts: Vec<u64>,
}

impl AsMut<Vec<u64>> for Later {
    fn as_mut(&mut self) -> &mut Vec<u64> {
        &mut self.amounts
    }
}

impl Projection for Later {
    const NAME: &'static str = "book";
    const VERSION: u32 = 2;
    type Event = Deposited;

    fn apply(row: &mut Row<Self>, event: &Envelope<Deposited>) {
        book(row, event.event.amount * 2);
    }
}

#[test]
fn a_new_version_is_built_beside_and_then_inline_and_so_is_what_was_not_inline() {
    runtime().block_on(async {
        let store = memory().await;
        let app = builder(&store).await.projection::<Book>(OnError::Park).start().await.unwrap();
        for amount in 1..=20 {
            store.append(deposit(amount)).await.unwrap();
        }
        caught_up(&app, &store).await;
        drop(app);
        let app = start(&store).await;
        store.append(deposit(21)).await.unwrap();
        check(&app, &store).await;
        drop(app);
        let app = builder(&store).await.inline_projection::<Later>().start().await.unwrap();
        let head = store.head().await.unwrap();
        app.view::<Later>().at_least(head).within(LONG).get(1).await.unwrap();
        app.execute(Deposit { account: 1, amount: 26 }).await.unwrap();
        let row = app.view::<Later>().get(1).await.unwrap().unwrap();
        assert_eq!(row.amounts, [2, 12, 22, 32, 42, 52]);
    });
}

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_deposits_inline() {
    let Some((store, seed)) = as_child() else { return };
    runtime().block_on(async {
        let app = start(&store).await;
        caught_up(&app, &store).await;
        for nth in 1..100_000 {
            let amount = seed * 100_000 + nth;
            app.execute(Deposit { account: amount % ACCOUNTS, amount }).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {nth}").unwrap();
            out.flush().unwrap();
        }
    });
}

fn killed(file: &Path, seed: u64, after: usize) {
    let mut child = child("inlined::the_child_deposits_inline", file, seed);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = lines.filter(|line| line.as_ref().unwrap().contains("acknowledged"));
    assert_eq!(acknowledged.take(after).count(), after, "it lives until it is killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn rows_are_those_of_the_events_whenever_it_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.db");
    for round in 1..=6 {
        killed(&file, round, 7 + 11 * usize::try_from(round).unwrap());
        let store = open(&file);
        runtime().block_on(async {
            // Nobody runs: what lies in the file is what is compared.
            let target = SqliteTarget::beside(&store).await.unwrap();
            let table = Table { name: "book".into(), version: 1 };
            let seen = target.get(&table, "1").await.unwrap();
            assert_eq!(seen.through, store.head().await.unwrap());
            check(&start(&store).await, &store).await;
        });
    }
}
