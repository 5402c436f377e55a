//! Apps over a real server: two instances share a process, the one that has it is killed with
//! `kill -9` in the middle of it, and the other goes on; every step is done once.

use super::support::{PATIENCE, Place, eventually};
use factum::app::{AnyStore, App, EventStore, RecordedEvent, consumer::RunState};
use factum_testkit::sample;
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

const URL: &str = "FACTUM_APPS_CHILD_URL";
const TAKEOVER: Duration = Duration::from_secs(1);
/// A lease is waited for twice its time at most: the rest is what a busy machine takes.
const TAKEOVER_MAX: Duration = Duration::from_secs(30);
const ROUNDS: u64 = 4;
const BURST: u64 = 20;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
#[ignore = "the work of a child: started, and killed, by the test beside it"]
fn the_child_shares_a_process() {
    let Ok(url) = std::env::var(URL) else { return };
    runtime().block_on(async {
        let builder = App::builder(factum::open(&url).await.unwrap()).shared(TAKEOVER);
        let app = sample::wire(builder).start().await.unwrap();
        say("waits");
        let mut progress = app.consumer("thanks").unwrap().progress();
        progress.wait_for(|now| now.state == RunState::Running).await.unwrap();
        say("has it");
        std::future::pending::<()>().await;
    });
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "child: {what}").unwrap();
    out.flush().unwrap();
}

/// An instance of the app; killed when it goes.
struct Instance {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Instance {
    fn start(url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["apps::the_child_shares_a_process", "--exact", "--ignored", "--nocapture"])
            .env(URL, url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, said) = mpsc::sync_channel(8);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // What the harness of tests prints stands before it on the line.
                if let Some((_, what)) = line.split_once("child: ") {
                    let _ = sender.send(what.to_owned());
                }
            }
        });
        Self { child, said }
    }

    fn says(&self, what: &str) {
        assert_eq!(self.said.recv_timeout(PATIENCE).unwrap(), what);
    }

    fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The store, and what is deposited into it.
struct Bank {
    runtime: tokio::runtime::Runtime,
    store: AnyStore,
    number: u64,
}

impl Bank {
    fn deposit(&mut self) {
        for _ in 0..BURST {
            self.number += 1;
            self.runtime.block_on(self.store.append(sample::deposit(self.number))).unwrap();
        }
    }

    fn events(&self) -> Vec<RecordedEvent> {
        self.runtime.block_on(sample::events(&self.store))
    }

    fn wait_until_unthanked_are(&self, most: u64) {
        eventually("they were thanked", || {
            (sample::unthanked(&self.events()) as u64 <= most).then_some(())
        });
    }
}

#[test]
fn another_instance_takes_over_from_one_that_was_killed() {
    let mut place = Place::new();
    let server = place.serve();
    let runtime = runtime();
    let store = runtime.block_on(factum::open(&server.url)).unwrap();
    let mut bank = Bank { runtime, store, number: 0 };
    let mut holder = Instance::start(&server.url);
    holder.says("waits");
    holder.says("has it");
    for round in 1..=ROUNDS {
        let waiting = Instance::start(&server.url);
        waiting.says("waits");
        bank.deposit();
        // In the middle of it, at another place each time.
        bank.wait_until_unthanked_are(BURST - 4 * round);
        let killed = Instant::now();
        holder.kill_9();
        bank.deposit();
        waiting.says("has it");
        assert!(killed.elapsed() < TAKEOVER_MAX, "{:?}", killed.elapsed());
        holder = waiting;
        bank.wait_until_unthanked_are(0);
    }
    drop(holder);
    sample::check_thanks(&bank.events());
}
