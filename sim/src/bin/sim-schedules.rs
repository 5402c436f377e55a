//! Thread schedules: the real store, whose threads and locks a checker runs one step at a time, in
//! orders that it draws ([shuttle](https://docs.rs/shuttle)).
//!
//! A program of its own: with the feature `schedules` the store works inside the checker only. What
//! it is told by variables: see `factum_sim::program`. A lost wake-up is a deadlock here, at once.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that reports, and here a panic is a find"
)]

use factum_core::{
    Append, AppendError, EventData, EventStore, EventType, Position, Query, Read, ReadError,
    Receipt, Select, Stream, StreamName, Subscribe, Uuid,
};
use factum_log::{LogStore, Options};
use factum_sim::{
    dice::Dice,
    disk::{Fault, FaultKind, Fs, SimDisk},
    program,
    rows::{Cases, Find, Meter, Row},
    work::{Stage, folder},
};
use shuttle::{Config, FailurePersistence, Runner, future::block_on, scheduler, thread};
use std::{future::poll_fn, pin::Pin, process::ExitCode};

/// Schedules of one case, all of the same work.
const SCHEDULES: usize = 50;
/// The budget, where nothing is said.
const SECONDS: u64 = 20;

const ROW: Row = Row {
    name: "schedules",
    unit: "schedules",
    goal: 20_000,
    release: 2_000_000,
    share: 1,
    cases: Cases::Drawn,
    case,
};

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--rows") {
        program::list(&[ROW]);
        return ExitCode::SUCCESS;
    }
    #[cfg(feature = "planted")]
    plant();
    std::panic::set_hook(Box::new(|_| {}));
    let (passed, failed) = program::run(&[ROW], SECONDS, u64::MAX);
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The bug on purpose that `FACTUM_BUG` names.
#[cfg(feature = "planted")]
fn plant() {
    use factum_log::planted::{Bug, set};
    let asked = std::env::var("FACTUM_BUG").unwrap_or_default();
    set(Bug::named(&asked));
}

fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let mut dice = Dice::new(seed);
    let play = Play {
        writers: 1 + dice.below(2),
        queue_jobs_max: *dice.pick(&[1, 64]),
        fault: dice.one_in(3).then(|| 10 + dice.below(20)),
        gives_up: dice.one_in(3),
        seed,
    };
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    // It takes every atomic for one in a single order; what weaker orders allow it cannot see.
    config.silence_warnings = true;
    let scheduler = scheduler::RandomScheduler::new_from_seed(seed, SCHEDULES);
    meter.done += Runner::new(scheduler, config).run(move || play.run()) as u64;
    Ok(())
}

/// What happens, in whatever order.
#[derive(Clone, Copy, Debug)]
struct Play {
    writers: u64,
    queue_jobs_max: usize,
    /// Calls of the disk until one fails, and the store takes no more.
    fault: Option<u64>,
    /// One does not wait for its answer.
    gives_up: bool,
    seed: u64,
}

/// Appends of each writer.
const APPENDS: u64 = 2;

impl Play {
    fn run(self) {
        let stage = Stage::new(SimDisk::new(Fs::default()), self.seed);
        let (queue_jobs_max, read_threads) = (self.queue_jobs_max, 1);
        // The scrubber waits for time to pass, which here it never does.
        let scrub_bytes_per_second = 0;
        let options =
            Options { queue_jobs_max, read_threads, scrub_bytes_per_second, ..stage.options() };
        let store = LogStore::open(&folder(), options).unwrap();
        if let Some(nth) = self.fault {
            stage.disk.arm(Fault::at(FaultKind::Eio, nth));
        }
        let writers: Vec<_> = (0..self.writers)
            .map(|number| {
                let store = store.clone();
                thread::spawn(move || self.write(&store, number))
            })
            .collect();
        let follower = {
            let store = store.clone();
            // Where appends may fail nobody knows how many will come.
            let is_sure = self.fault.is_none() && self.queue_jobs_max > 1 && !self.gives_up;
            thread::spawn(move || {
                if is_sure {
                    follow(&store, self.writers * APPENDS)
                }
            })
        };
        let heads = writers.into_iter().flat_map(|writer| writer.join().unwrap());
        let mut heads: Vec<Position> = heads.map(|receipt| receipt.position).collect();
        follower.join().unwrap();
        let head = block_on(store.head()).unwrap();
        let count = heads.len();
        heads.sort_unstable();
        heads.dedup();
        assert_eq!(heads.len(), count, "two appends have one position");
        assert!(heads.last().is_none_or(|last| *last <= head), "acknowledged, and not there");
        // The last one to go closes it, and all threads end.
        store.close();
    }

    /// What was acknowledged.
    fn write(self, store: &LogStore, number: u64) -> Vec<Receipt> {
        let mut done = Vec::new();
        for nth in 0..APPENDS {
            let id = Uuid::from_u128(u128::from(number) << 8 | u128::from(nth) | 1 << 64);
            let event = EventData::new(id, EventType::new("t").unwrap(), "{}");
            let append = Append::to(StreamName::new("s-1").unwrap(), [event]);
            let asked = store.append(append);
            if self.gives_up && nth == 0 {
                let _ = factum_sim::linear::wait::once(asked);
                continue;
            }
            match block_on(asked) {
                Ok(receipt) => {
                    sees(store, receipt.position);
                    done.push(receipt);
                }
                Err(AppendError::Overloaded) => assert_eq!(self.queue_jobs_max, 1),
                Err(error) => assert!(self.fault.is_some(), "{error}"),
            }
        }
        done
    }
}

/// What was acknowledged can be read at once, by whoever asks for it.
fn sees(store: &LogStore, position: Position) {
    let read = Read { at_least: Some(position), limit: Some(8), ..Read::query(Query::All) };
    match block_on(async { store.read(read).await?.events().await }) {
        Ok(events) => assert!(events.len() as u64 >= position.0.min(8), "not there yet"),
        Err(ReadError::Unavailable { .. } | ReadError::Overloaded) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Waits for so many events, in order.
fn follow(store: &LogStore, count: u64) {
    let subscribe = Subscribe { select: Select::Query(Query::All), after: None };
    let mut batches = block_on(store.subscribe(subscribe)).unwrap();
    let mut next = 1;
    while next <= count {
        let batch = block_on(poll_fn(|context| Pin::new(&mut batches).poll_next(context)));
        for event in batch.unwrap().unwrap().events {
            assert_eq!(event.position().0, next);
            next += 1;
        }
    }
}
