//! Concurrent histories: clients on threads of their own on one [`LogStore`], some replies lost,
//! now and then a call of the disk that fails; and subscribers, who must miss nothing.

use super::{Find, Meter};
use crate::{
    check,
    dice::Dice,
    disk::{Fault, FaultKind, Fs, SimDisk},
    linear::{Answer, Ask, Book, Call, client::Client, order, search, wait},
    model::{Model, Task},
    work::{Session, Stage, folder},
};
use factum_core::{
    Append, AppendError, Batch, EventData, EventStore, EventType, Query, ReadError, RecordedEvent,
    Select, Stream, StreamName, Subscribe, Uuid,
};
use factum_log::{LogStore, Options};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// After this nothing comes any more.
const LIVE_MAX: Duration = Duration::from_secs(10);
/// The last event of all, and its stream.
const END: &str = "end";

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    meter.done += 1;
    let mut dice = Dice::of(seed, 2);
    let plan = Plan {
        clients: 2 + dice.below(5),
        calls: if dice.one_in(3) { 2 } else { 4 + dice.below(40) },
        lost_one_in: *dice.pick(&[0, 4, 12]),
        queue_jobs_max: *dice.pick(&[2, 4096, 4096]),
        fault: dice.one_in(4).then(|| 20 + dice.below(120)),
    };
    let stage = Stage::new(SimDisk::new(Fs::default()), seed);
    let run = plan.run(&stage, seed).map_err(|find| format!("{plan:?}: {find}"))?;
    run.check(stage, &mut dice).map_err(|find| format!("{plan:?}: {find}"))
}

#[derive(Debug)]
struct Plan {
    clients: u64,
    calls: u64,
    lost_one_in: u64,
    queue_jobs_max: usize,
    /// Calls of the disk until one fails.
    fault: Option<u64>,
}

/// What was seen.
struct Run {
    calls: Vec<Call>,
    /// What each subscriber was sent.
    sent: Vec<Vec<RecordedEvent>>,
}

impl Plan {
    fn run(&self, stage: &Stage, seed: u64) -> Result<Run, Find> {
        let queue_jobs_max = self.queue_jobs_max;
        let options = Options { queue_jobs_max, ..stage.options() };
        let store = LogStore::open(&folder(), options).map_err(|error| format!("{error}"))?;
        if let Some(nth) = self.fault {
            stage.disk.arm(Fault::at(FaultKind::Eio, nth));
        }
        let book = Book::default();
        let last = AtomicU64::new(u64::MAX);
        let (worked, sent) = std::thread::scope(|scope| {
            let followers: Vec<_> = (0..2)
                .map(|nth| {
                    scope.spawn({
                        let (store, last) = (&store, &last);
                        // Where the disk fails nothing may come any more.
                        let patience = self.fault.map_or(LIVE_MAX, |_| Duration::from_millis(20));
                        move || Follower { store, last, patience }.follow(nth)
                    })
                })
                .collect();
            let clients = (0..self.clients).map(|number| {
                let mut client = Client::new(&store, &book, Dice::of(seed, 100 + number), number);
                client.lost_one_in = self.lost_one_in;
                scope.spawn(move || client.work(self.calls))
            });
            let clients: Vec<_> = clients.collect();
            let worked: Vec<Result<(), Find>> =
                clients.into_iter().map(|one| one.join().expect("a client panicked")).collect();
            let end = settle(&store, &book);
            last.store(end.clone().unwrap_or(0), Ordering::SeqCst);
            let sent: Vec<_> = followers.into_iter().map(|one| one.join()).collect();
            (worked.into_iter().chain([end.map(drop)]).collect::<Result<Vec<()>, _>>(), sent)
        });
        worked?;
        let sent =
            sent.into_iter().map(|one| one.map_err(|_| "a subscriber panicked".to_owned())?);
        let sent = sent.collect::<Result<_, Find>>()?;
        store.close();
        stage.disk.disarm();
        Ok(Run { calls: book.close(), sent })
    }
}

/// Appends one more event, after all that was not waited for; the head then.
fn settle(store: &LogStore, book: &Book) -> Result<u64, Find> {
    let until = Instant::now() + LIVE_MAX;
    loop {
        let event_type = EventType::new(END).unwrap();
        let event = EventData::new(Uuid::from_u128(1), event_type, "{}");
        let append = Append::to(StreamName::new(END).unwrap(), [event]);
        let from = book.now();
        let settled = wait::within(LIVE_MAX, store.append(append.clone()));
        let settled = settled.ok_or("the last append was not answered")?;
        let is_overload = matches!(settled, Err(AppendError::Overloaded));
        book.write(from, Ask::Write(Task::Append(append)), Answer::of(settled));
        if !is_overload {
            break;
        }
        if Instant::now() > until {
            return Err("overloaded by nobody".into());
        }
        std::thread::yield_now();
    }
    let head = wait::within(LIVE_MAX, store.head()).ok_or("no head")?;
    head.map(|head| head.0).map_err(|error| error.to_string())
}

/// A subscriber.
struct Follower<'a> {
    store: &'a LogStore,
    /// The last position, once it is known.
    last: &'a AtomicU64,
    /// How long it may have to wait for what comes next.
    patience: Duration,
}

type Batches = <LogStore as EventStore>::Batches;

impl Follower<'_> {
    /// Follows until it has seen the last event.
    fn follow(&self, nth: u64) -> Result<Vec<RecordedEvent>, Find> {
        let until = Instant::now() + LIVE_MAX * 3;
        let mut seen: Vec<RecordedEvent> = Vec::new();
        let mut batches: Option<Batches> = None;
        while !self.is_last(seen.last()) {
            if Instant::now() > until {
                return Err(format!("a subscriber waits after {} events", seen.len()));
            }
            let after = seen.last().map(|event| event.position().0).or((nth > 0).then_some(0));
            let open = match &mut batches {
                Some(open) => open,
                None => batches.insert(self.subscribe(after)?),
            };
            match wait::within(self.patience, next(open)) {
                None if self.patience == LIVE_MAX => {
                    return Err(format!("a subscriber was not woken after {} events", seen.len()));
                }
                None => {}
                Some(Some(Ok(batch))) => seen.extend(batch.events),
                // The disk failed, or too many read: it begins again where it was.
                Some(_) => batches = None,
            }
        }
        Ok(seen)
    }

    /// Whether this is all: the end itself; or, where the disk failed before it, what was known.
    fn is_last(&self, seen: Option<&RecordedEvent>) -> bool {
        let is_end = seen.is_some_and(|event| event.event_type().as_str() == END);
        is_end || seen.map_or(0, |event| event.position().0) >= self.last.load(Ordering::SeqCst)
    }

    fn subscribe(&self, after: Option<u64>) -> Result<Batches, Find> {
        let subscribe = Subscribe { select: Select::Query(Query::All), after };
        let open = wait::within(LIVE_MAX, self.store.subscribe(subscribe));
        let open = open.ok_or("a subscription was not begun")?;
        open.map_err(|error| format!("subscribing: {error}"))
    }
}

async fn next(batches: &mut Batches) -> Option<Result<Batch, ReadError>> {
    poll_fn(|context| Pin::new(&mut *batches).poll_next(context)).await
}

impl Run {
    fn check(self, stage: Stage, dice: &mut Dice) -> Result<(), Find> {
        // What was acknowledged survives; what was not is there or not.
        let stage = stage.after_power_cut(dice);
        let session = Session::open(&stage, Model::default())?;
        let events = check::coherent(&session.reader, dice, 3)?;
        for sent in &self.sent {
            if sent.iter().zip(&events).any(|(sent, event)| sent != event)
                || sent.len() > events.len()
            {
                return Err("a subscriber was sent other events than there are".into());
            }
        }
        let ordered = order::check(&self.calls, &events);
        if let Some(is_linearizable) = search::is_linearizable(&self.calls)
            && !is_linearizable
        {
            return Err(format!("no order of the calls explains the answers: {:?}", self.calls));
        }
        ordered
    }
}
