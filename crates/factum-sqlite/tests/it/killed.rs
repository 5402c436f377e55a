//! Apps that are killed with `kill -9`: over the embedded engine with their rows in a file of
//! SQLite, and two at once over one file, of which the other takes over.

use crate::support::{as_child, child, open};
use factum_app::{AnyStore, App, EventStore, consumer::RunState};
use factum_sqlite::{Options, SqliteTarget};
use factum_testkit::sample;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Child,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const ROUNDS: u64 = 5;
const LONG: Duration = Duration::from_secs(60);
/// After which a lease may be taken over.
const TAKEOVER: Duration = Duration::from_secs(1);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "child: {what}").unwrap();
    out.flush().unwrap();
}

/// What a child says, line by line, as it comes.
fn said(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, said) = mpsc::sync_channel(100_000);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((_, line)) = line.split_once("child: ") {
                // Nobody may listen any more.
                let _ = sender.send(line.to_owned());
            }
        }
    });
    said
}

/// Waits until everybody was thanked, within a limit.
async fn all_thanked(store: &AnyStore) {
    let begun = Instant::now();
    while sample::unthanked(&sample::events(store).await) > 0 {
        assert!(begun.elapsed() < LONG, "waited in vain until all were thanked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The engine in a folder, and the rows in a file beside it.
async fn over_the_engine(folder: &Path) -> App {
    let store = factum::open(&format!("file:{}", folder.join("events").display())).await.unwrap();
    let target = SqliteTarget::open(folder.join("rows.db"), Options::default()).await.unwrap();
    sample::wire(App::builder(store).target(target)).start().await.unwrap()
}

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_runs_over_the_engine() {
    let Some((store, seed)) = as_child() else { return };
    drop(store);
    let file = std::env::var_os(crate::support::CHILD_FILE).unwrap();
    runtime().block_on(async {
        let app = over_the_engine(Path::new(&file).parent().unwrap()).await;
        for nth in 1..100_000 {
            let number = seed * 100_000 + nth;
            app.store().append(sample::deposit(number)).await.unwrap();
            say(&number.to_string());
        }
    });
}

#[test]
fn over_the_engine_nothing_is_lost_or_done_twice_whenever_the_app_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 1..=ROUNDS {
        let name = "killed::the_child_runs_over_the_engine";
        let mut child = child(name, &dir.path().join("none.db"), round);
        let lines = said(&mut child);
        for _ in 0..10 + 37 * round {
            acknowledged.extend(lines.recv_timeout(LONG).unwrap().parse::<u64>());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.iter().filter_map(|line| line.parse::<u64>().ok()));
    }
    runtime().block_on(async {
        let app = over_the_engine(dir.path()).await;
        all_thanked(app.store()).await;
        let events = sample::events(app.store()).await;
        sample::check_thanks(&events);
        sample::check_books(&app, LONG).await;
        for number in acknowledged {
            let id = u128::from(number);
            assert!(events.iter().any(|event| event.id().as_u128() == id), "{number} is lost");
        }
    });
}

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_shares_the_file() {
    let Some((store, _)) = as_child() else { return };
    runtime().block_on(async {
        let target = SqliteTarget::beside(&store).await.unwrap();
        let builder = App::builder(store).target(target).shared(TAKEOVER);
        let app = sample::wire(builder).start().await.unwrap();
        let mut progress = app.consumer("thanks").unwrap().progress();
        progress.wait_for(|now| now.state == RunState::Running).await.unwrap();
        say("has it");
        std::future::pending::<()>().await;
    });
}

#[test]
fn another_instance_takes_over_from_one_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("app.db");
    let store = open(&file);
    let start = |seed| {
        let mut child = child("killed::the_child_shares_the_file", &file, seed);
        let said = said(&mut child);
        (child, said)
    };
    let runtime = runtime();
    let mut number = 0;
    let mut deposit = |count: u64| {
        for _ in 0..count {
            number += 1;
            runtime.block_on(store.append(sample::deposit(number))).unwrap();
        }
    };
    let mut holder = start(0);
    assert_eq!(holder.1.recv_timeout(LONG).unwrap(), "has it");
    for round in 1..=ROUNDS {
        let waiting = start(round);
        deposit(20);
        // Whatever it is at: it is not asked.
        thread::sleep(Duration::from_millis(7 * round));
        holder.0.kill().unwrap();
        let killed = Instant::now();
        deposit(20);
        assert_eq!(waiting.1.recv_timeout(LONG).unwrap(), "has it");
        // A busy machine starts a program slowly; a lease is waited for twice that long at most.
        assert!(killed.elapsed() < TAKEOVER * 15, "{:?}", killed.elapsed());
        holder.0.wait().unwrap();
        holder = waiting;
    }
    runtime.block_on(all_thanked(&AnyStore::new(store.clone())));
    holder.0.kill().unwrap();
    holder.0.wait().unwrap();
    runtime.block_on(async {
        let target = SqliteTarget::beside(&store).await.unwrap();
        let app = sample::wire(App::builder(store.clone()).target(target)).start().await.unwrap();
        sample::check_books(&app, LONG).await;
        sample::check_thanks(&sample::events(&store).await);
    });
}
