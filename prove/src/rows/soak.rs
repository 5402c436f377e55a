//! Everything that clients do, all the time: what a server takes of the machine must not grow.
//!
//! Clients of both protocols append, retry, conflict, read, follow for a while, come and go, and
//! give up waiting. At the end, when nobody is there any more, the server holds as many sockets as
//! before, no call, no subscription and no byte of an append.
//!
//! *Memory* is judged by medians: that of the last quarter of the time must not be above that of
//! the second one by more than [`GROWTH_MAX`]. (The first warms up; the index of the newest segment
//! grows and goes with each segment, which medians of long quarters do not see.) So an append that
//! leaks shows once half the time holds enough of them: of two hours, at 14 bytes each. A run of
//! seconds sees only what leaks by the handle; that is what the counts at the end are for.

use crate::server::{Server, Size, runtime, told};
use factum_core::{
    AnyStore, Append, Change, EventData, EventStore, EventType, Expected, Query, Read, Select,
    StreamMetadata, StreamName, Subscribe, Tag, Uuid, next_batch,
};
use factum_sim::{
    dice::Dice,
    program::is_for_ledger,
    rows::{Find, Meter},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// At a change; at a release it takes what time there is.
const TIME: Duration = Duration::from_secs(8);
/// Starting and ending take no longer.
const AROUND: Duration = Duration::from_secs(8);
const WRITERS: u64 = 6;
const READERS: u64 = 3;
const FOLLOWERS: u64 = 3;
const STREAMS: u64 = 300;
/// Between two operations of one client, at most.
const PAUSE_US_MAX: u64 = 20_000;
const SAMPLES: u32 = 400;
const SAMPLE_MIN: Duration = Duration::from_millis(50);
const GROWTH_MAX: u64 = 24 << 20;
/// Files that the store may hold open besides those that it began with.
const FILES_MAX: u64 = 256;
const ANSWER_MAX: Duration = Duration::from_secs(30);
const QUIET_MAX: Duration = Duration::from_secs(6);

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let left = meter.left().saturating_sub(AROUND);
    let time = if is_for_ledger() { left } else { left.min(TIME) };
    if time < Duration::from_secs(1) {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = Arc::new(Server::start(folder.path())?);
    runtime().block_on(async {
        let watcher = server.client().await?;
        told(&watcher, "server_calls_in_progress").await?;
        let before = server.size()?;
        let sizes = soak(&server, seed, time).await?;
        meter.done += time.as_secs();
        let quiet = nothing_is_left(&server, &watcher, before).await;
        let grown = growth(&sizes);
        println!("  soak: {time:?}, memory grew by {} KiB; {quiet:?}", grown >> 10);
        quiet?;
        match u64::try_from(grown).is_ok_and(|grown| grown > GROWTH_MAX) {
            true => Err(format!("memory grew by {grown} bytes in {time:?}")),
            false => Ok(()),
        }
    })
}

/// All clients, for so long; what the server took meanwhile.
async fn soak(server: &Arc<Server>, seed: u64, time: Duration) -> Result<Vec<Size>, Find> {
    let until = Instant::now() + time;
    let mut clients = JoinSet::new();
    for number in 0..WRITERS + READERS + FOLLOWERS {
        let (server, dice) = (server.clone(), Dice::of(seed, number));
        clients.spawn(async move {
            let mut client = Client { server, dice, number, ids: 0, store: None };
            while Instant::now() < until {
                let done = timeout(ANSWER_MAX, client.act()).await;
                done.map_err(|_| format!("client {number}: no answer in {ANSWER_MAX:?}"))??;
                sleep(Duration::from_micros(client.dice.below(PAUSE_US_MAX))).await;
            }
            Ok::<_, Find>(())
        });
    }
    let mut sizes = Vec::new();
    while Instant::now() < until {
        sleep((time / SAMPLES).max(SAMPLE_MIN)).await;
        sizes.push(server.size()?);
    }
    while let Some(ended) = clients.join_next().await {
        ended.map_err(|panic| format!("a client: {panic}"))??;
    }
    Ok(sizes)
}

/// One of many, by its number: one that writes, reads, or follows.
struct Client {
    server: Arc<Server>,
    dice: Dice,
    number: u64,
    ids: u64,
    /// Its connection, now and then a new one.
    store: Option<AnyStore>,
}

impl Client {
    async fn act(&mut self) -> Result<(), Find> {
        if self.store.is_none() || self.dice.one_in(50) {
            let other = self.server.kurrentdb();
            let url = if self.number.is_multiple_of(2) { &self.server.url } else { &other };
            let opened = factum::open(url).await;
            self.store = Some(opened.map_err(|error| format!("connecting: {error}"))?);
        }
        let store = self.store.clone().expect("it was opened above");
        match self.number {
            ..WRITERS => self.write(&store).await,
            number if number < WRITERS + READERS => self.read(&store).await,
            _ => self.follow(&store).await,
        }
    }

    fn stream(&mut self) -> StreamName {
        StreamName::new(&format!("soak-{}", self.dice.below(STREAMS))).unwrap()
    }

    fn append(&mut self, store: &AnyStore) -> Append {
        let stream = self.stream();
        let count = 1 + self.dice.below(3);
        let events: Vec<_> = (0..count)
            .map(|_| {
                self.ids += 1;
                let id = Uuid::from_u128(u128::from(self.number + 1) << 64 | u128::from(self.ids));
                let data = vec![b'x'; 100 + self.dice.index(400)];
                let mut event = EventData::new(id, EventType::new("soaked").unwrap(), data);
                if store.capabilities().tags {
                    event.tags = vec![Tag::new(&format!("k:{}", self.dice.below(500))).unwrap()];
                }
                event
            })
            .collect();
        Append::to(stream, events)
    }

    async fn write(&mut self, store: &AnyStore) -> Result<(), Find> {
        let append = self.append(store);
        let (stream, _) = append.events[0].clone();
        match self.dice.below(10) {
            // It goes away before the answer.
            0 => {
                let moment = Duration::from_micros(self.dice.below(1_000));
                let _ = timeout(moment, store.append(append)).await;
            }
            // It is refused.
            1 => {
                let append = append.expecting(stream, Expected::NoStream);
                let _ = store.append(append).await;
            }
            2 => {
                let metadata = StreamMetadata { max_count: Some(50), ..StreamMetadata::default() };
                let set = store.change(&stream, Change::SetMetadata(metadata), None).await;
                set.map_err(|error| format!("metadata: {error}"))?;
            }
            other => {
                let done = store.append(append.clone()).await;
                done.map_err(|error| format!("an append: {error}"))?;
                if other == 3 {
                    let again = store.append(append).await;
                    again.map_err(|error| format!("a retry: {error}"))?;
                }
            }
        }
        Ok(())
    }

    async fn read(&mut self, store: &AnyStore) -> Result<(), Find> {
        let read = match self.dice.below(3) {
            0 if store.capabilities().queries => Read::query(Query::tag(Tag::new("k:7").unwrap())),
            1 => Read::query(Query::All),
            _ => Read::stream(self.stream()),
        };
        let read = Read { limit: Some(500), ..read };
        let reading = store.read(read).await;
        let mut batches = reading.map_err(|error| format!("a read: {error}"))?.batches;
        // Now and then it goes away in the middle.
        let enough = if self.dice.one_in(4) { 1 } else { usize::MAX };
        for _ in 0..enough {
            let Some(batch) = next_batch(&mut batches).await else { return Ok(()) };
            batch.map_err(|error| format!("a read: {error}"))?;
        }
        Ok(())
    }

    /// From the beginning or the end, for a while; it may not take what comes.
    async fn follow(&mut self, store: &AnyStore) -> Result<(), Find> {
        let head = store.head().await.map_err(|error| format!("the head: {error}"))?;
        let after = (!self.dice.one_in(3)).then_some(head.0);
        let subscribe = Subscribe { select: Select::Query(Query::All), after };
        let batches = store.subscribe(subscribe).await;
        let mut batches = batches.map_err(|error| format!("subscribing: {error}"))?;
        let time = Duration::from_millis(self.dice.below(400));
        if self.dice.one_in(4) {
            sleep(time).await;
            return Ok(());
        }
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match timeout(left, next_batch(&mut batches)).await {
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(format!("a subscription: {error}")),
                Ok(None) => return Err("a subscription ended by itself".into()),
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// Nobody is there any more but who asks.
async fn nothing_is_left(server: &Server, watcher: &AnyStore, before: Size) -> Result<(), Find> {
    let until = Instant::now() + QUIET_MAX;
    loop {
        let found = left(server, watcher, before).await?;
        if found.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("after everybody has left: {}", found.join(", ")));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn left(server: &Server, watcher: &AnyStore, before: Size) -> Result<Vec<String>, Find> {
    let mut found = Vec::new();
    // The one call, and what was received and not decoded, is the one that asks, which says nothing
    // (in 5 bytes, as gRPC frames it).
    for (name, right) in [
        ("server_calls_in_progress", 1.0),
        ("server_connections", 1.0),
        ("server_subscriptions", 0.0),
        ("server_append_bytes", 0.0),
        ("server_received_bytes", 5.0),
        ("queued_appends", 0.0),
        ("queued_reads", 0.0),
    ] {
        let value = told(watcher, name).await?;
        if value != right {
            found.push(format!("{name} is {value} instead of {right}"));
        }
    }
    let statistics = watcher.statistics().await.map_err(|error| format!("statistics: {error}"))?;
    if !statistics.subscribers.is_empty() {
        found.push(format!("{} subscribers", statistics.subscribers.len()));
    }
    let now = server.size()?;
    if now.sockets != before.sockets || now.threads != before.threads {
        found.push(format!("{now:?}, where before there was {before:?}"));
    }
    if now.files > before.files + FILES_MAX {
        found.push(format!("{} files", now.files));
    }
    Ok(found)
}

/// By how much the median of the last quarter is above that of the second.
fn growth(sizes: &[Size]) -> i64 {
    let median = |quarter: usize| {
        let part = &sizes[sizes.len() * quarter / 4..sizes.len() * (quarter + 1) / 4];
        let mut part: Vec<u64> = part.iter().map(|size| size.memory_bytes).collect();
        part.sort_unstable();
        part.get(part.len() / 2).map_or(0, |bytes| bytes.cast_signed())
    };
    median(3) - median(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_seen_and_what_comes_and_goes_is_not() {
        let sizes = |of: fn(u64) -> u64| -> Vec<Size> {
            (0..400).map(|at| Size { memory_bytes: of(at), ..Size::default() }).collect()
        };
        assert_eq!(growth(&sizes(|at| at)), 200);
        assert_eq!(growth(&sizes(|at| at % 20)), 0);
        assert!(growth(&sizes(|at| 400 - at)) < 0);
    }
}
