//! A hundred follow a server, and one of them is stuck: appends must be as fast as if it were not.
//!
//! Rounds with one stuck and rounds with none come in turns, in one run over one server, each with
//! the same appends; compared are the 99th percentiles of each pair, and what decides is the median
//! of these ratios. At the size of a change the bound is one that only a defect breaks (a writer
//! that waits for a subscriber is slower without bound); at that of a release it is what is
//! promised, for a machine that does nothing else meanwhile.

use crate::server::{Server, runtime};
use factum_core::{
    AnyStore, Append, EventData, EventStore, EventType, Query, Select, StreamName, Subscribe, Uuid,
    next_batch, store::DynBatches,
};
use factum_sim::{
    program,
    rows::{Find, Meter},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// Who follows. They share connections, but the last one, which has its own.
const SUBSCRIBERS: usize = 100;
const CONNECTIONS: usize = 9;
/// Appends of a round that are measured, and their bytes.
const APPENDS: usize = 200;
const BYTES: usize = 256;
/// Appended before, in a few appends: more than all buffers on the way to one subscriber hold.
const FILL_BYTES: usize = 3 << 19;
const FILL_APPENDS: usize = 24;
/// Pairs of rounds of a case; where time is short, the first is enough.
const PAIRS: usize = 3;
const PAIRS_RELEASE: usize = 15;
/// How much slower the slowest of a hundred appends may be where one is stuck.
const RATIO_MAX: f64 = 1.2;
const RATIO_OF_DEFECT: f64 = 5.0;
/// Less than this is noise of a busy machine, at a change.
const NOISE: Duration = Duration::from_millis(20);
const ANSWER_MAX: Duration = Duration::from_secs(20);

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = Server::start(folder.path())?;
    let ratios = runtime().block_on(async {
        let mut crowd = Crowd::gather(&server, seed).await?;
        let mut pairs = Vec::new();
        let count = if program::is_for_ledger() { PAIRS_RELEASE } else { PAIRS };
        for pair in 0..count {
            if pair > 0 && meter.is_over() {
                break;
            }
            // Which comes first takes turns too: the store grows meanwhile.
            let first_is_stuck = pair % 2 == 0;
            let first = crowd.round(first_is_stuck).await?;
            let second = crowd.round(!first_is_stuck).await?;
            pairs.push(if first_is_stuck { (first, second) } else { (second, first) });
            meter.done += 2;
        }
        Ok::<_, Find>(pairs)
    })?;
    judge(ratios)
}

/// Each pair is the 99th percentile with one stuck, and with none.
fn judge(mut pairs: Vec<(Duration, Duration)>) -> Result<(), Find> {
    let ratio = |(stuck, none): &(Duration, Duration)| stuck.as_secs_f64() / none.as_secs_f64();
    pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let Some(median) = pairs.get(pairs.len() / 2) else { return Ok(()) };
    let is_slow = match program::is_for_ledger() {
        true => ratio(median) > RATIO_MAX,
        false => ratio(median) > RATIO_OF_DEFECT && median.0 > NOISE,
    };
    println!("  stuck-subscriber: p99 {:?} with one stuck, {:?} with none", median.0, median.1);
    match is_slow {
        true => Err(format!("with one stuck and with none, by ratio: {pairs:?}")),
        false => Ok(()),
    }
}

/// Those who follow, and who appends.
struct Crowd {
    writer: AnyStore,
    /// Appends so far: their ids.
    count: u64,
    seed: u64,
    /// Where each is.
    positions: Arc<Vec<AtomicU64>>,
    /// Whether the last one is to be stuck.
    is_stuck: watch::Sender<bool>,
}

impl Crowd {
    async fn gather(server: &Server, seed: u64) -> Result<Self, Find> {
        let positions: Vec<_> = (0..SUBSCRIBERS).map(|_| AtomicU64::new(0)).collect();
        let positions = Arc::new(positions);
        let (is_stuck, seen) = watch::channel(false);
        let mut clients = Vec::new();
        for _ in 0..=CONNECTIONS {
            clients.push(server.client().await?);
        }
        let own = clients.pop().expect("there is one more");
        for number in 0..SUBSCRIBERS {
            let is_last = number + 1 == SUBSCRIBERS;
            let client = if is_last { &own } else { &clients[number % CONNECTIONS] };
            let subscribe = Subscribe { select: Select::Query(Query::All), after: None };
            let batches = client.subscribe(subscribe).await;
            let batches = batches.map_err(|error| format!("subscribing: {error}"))?;
            let may_stop = is_last.then(|| seen.clone());
            runtime().spawn(follow(batches, number, positions.clone(), may_stop));
        }
        let writer = server.client().await?;
        Ok(Self { writer, count: 0, seed, positions, is_stuck })
    }

    async fn append(&mut self, bytes: usize) -> Result<Duration, Find> {
        self.count += 1;
        let id = Uuid::from_u128(u128::from(self.seed) << 64 | u128::from(self.count));
        let event = EventData::new(id, EventType::new("t").unwrap(), vec![b'x'; bytes]);
        let append = Append::to(StreamName::new("s-1").unwrap(), [event]);
        let began = Instant::now();
        let answer = timeout(ANSWER_MAX, self.writer.append(append)).await;
        let answer = answer.map_err(|_| format!("an append has no answer in {ANSWER_MAX:?}"))?;
        answer.map_err(|error| format!("an append: {error}"))?;
        Ok(began.elapsed())
    }

    /// The 99th percentile of a round.
    async fn round(&mut self, is_stuck: bool) -> Result<Duration, Find> {
        self.is_stuck.send_replace(is_stuck);
        for _ in 0..FILL_APPENDS {
            self.append(FILL_BYTES / FILL_APPENDS).await?;
        }
        self.arrive(is_stuck).await?;
        let mut took = Vec::with_capacity(APPENDS);
        for _ in 0..APPENDS {
            took.push(self.append(BYTES).await?);
        }
        self.arrive(is_stuck).await?;
        took.sort_unstable();
        Ok(took[APPENDS * 99 / 100])
    }

    /// All others have everything; who is stuck lacks something, or was not stuck.
    async fn arrive(&self, is_stuck: bool) -> Result<(), Find> {
        let head = self.count;
        let reading = if is_stuck { SUBSCRIBERS - 1 } else { SUBSCRIBERS };
        let until = Instant::now() + ANSWER_MAX;
        let at = |one: &AtomicU64| one.load(Ordering::Relaxed);
        while let Some(late) = self.positions[..reading].iter().position(|one| at(one) < head) {
            if Instant::now() > until {
                return Err(format!("subscriber {late} has not got everything in {ANSWER_MAX:?}"));
            }
            sleep(Duration::from_millis(1)).await;
        }
        assert!(!is_stuck || at(&self.positions[SUBSCRIBERS - 1]) < head, "it is not stuck");
        Ok(())
    }
}

/// Takes what comes, but while it is told to be stuck.
async fn follow(
    mut batches: DynBatches,
    number: usize,
    positions: Arc<Vec<AtomicU64>>,
    mut may_stop: Option<watch::Receiver<bool>>,
) {
    loop {
        if let Some(stops) = &mut may_stop
            && stops.wait_for(|is_stuck| !is_stuck).await.is_err()
        {
            return;
        }
        let Some(Ok(batch)) = next_batch(&mut batches).await else { return };
        positions[number].store(batch.through.0, Ordering::Relaxed);
    }
}
