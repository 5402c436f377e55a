//! Who follows the store: what each selects, how far it was handed events, how far it lags.
//!
//! One list for all protocols, fed where batches pass from the store to a connection, so that no
//! protocol keeps books of its own. As batches are pulled by the client's flow control, what was
//! handed out is what the client has, but for the few that are on their way.

use crate::{
    clock,
    context::Context,
    planted::{Bug, is_on},
};
use factum_core::{
    Batch, Direction, EventStore, Position, Query, Read, ReadError, Select, Statistics, Subscribe,
    Subscriber, Timestamp, next_batch, store::DynBatches,
};
use futures_core::Stream;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context as TaskContext, Poll},
};

/// How many of the furthest behind are told how long that is: each place may cost a read.
const LAG_READS_MAX: usize = 32;
/// Characters of what a subscriber selects.
const SELECTS_CHARS_MAX: usize = 200;

/// Who asks to follow.
pub(crate) struct Caller {
    /// How it speaks with the server.
    pub(crate) protocol: &'static str,
    /// From where, if the connection tells.
    pub(crate) peer: Option<SocketAddr>,
    /// What a filter of the protocol does besides what the store selects.
    pub(crate) filter: Option<&'static str>,
}

/// One subscriber.
#[derive(Debug)]
struct Progress {
    protocol: &'static str,
    peer: String,
    selects: String,
    since: Timestamp,
    position: AtomicU64,
    events: AtomicU64,
}

impl Progress {
    fn new(caller: Caller, subscribe: &Subscribe) -> Self {
        let what = subscribe.select.to_string();
        let what = caller.filter.map_or(what.clone(), |filter| format!("{what}, {filter}"));
        // Of a stream it is not known yet at which position that revision is.
        let after = subscribe.after.filter(|_| matches!(subscribe.select, Select::Query(_)));
        Self {
            protocol: caller.protocol,
            peer: caller.peer.map_or_else(String::new, |peer| peer.to_string()),
            selects: what.chars().take(SELECTS_CHARS_MAX).collect(),
            since: Timestamp(clock::now_ns()),
            position: AtomicU64::new(after.unwrap_or(0)),
            events: AtomicU64::new(0),
        }
    }

    fn handed_out(&self, batch: &Batch) {
        self.position.store(batch.through.0, Ordering::Relaxed);
        self.events.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
    }

    fn told(&self, head: Position) -> Subscriber {
        let position = Position(self.position.load(Ordering::Relaxed));
        Subscriber {
            protocol: self.protocol.into(),
            peer: self.peer.clone(),
            selects: self.selects.clone(),
            since: self.since,
            position,
            events: self.events.load(Ordering::Relaxed),
            lag_events: head.0.saturating_sub(position.0),
            lag_seconds: (position >= head).then_some(0.0),
        }
    }
}

/// The list. As long as the limit of calls allows.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    all: Mutex<BTreeMap<u64, Arc<Progress>>>,
    next: AtomicU64,
}

impl Subscribers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Progress>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, progress: &Arc<Progress>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.all().insert(number, progress.clone());
        number
    }

    /// Whether anybody was not handed all up to there.
    #[cfg(feature = "planted")]
    pub(crate) fn are_behind(&self, position: Position) -> bool {
        self.all().values().any(|one| one.position.load(Ordering::Relaxed) < position.0)
    }

    fn told(&self, head: Position) -> Vec<Subscriber> {
        let mut told: Vec<_> = self.all().values().map(|one| one.told(head)).collect();
        told.sort_by_key(|one| std::cmp::Reverse(one.lag_events));
        told
    }
}

/// A subscription's batches, on their way out: what passes is written down.
pub(crate) struct Followed {
    batches: DynBatches,
    progress: Arc<Progress>,
    number: u64,
    context: Context,
}

impl Stream for Followed {
    type Item = Result<Batch, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.batches.as_mut().poll_next(task);
        if let Poll::Ready(Some(Ok(batch))) = &polled {
            self.progress.handed_out(batch);
        }
        polled
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if !is_on(Bug::KeepSubscriber) {
            self.context.subscribers.all().remove(&self.number);
        }
    }
}

/// Follows the store, and is on the list for as long as the batches are held.
pub(crate) async fn follow(
    context: &Context,
    caller: Caller,
    subscribe: Subscribe,
) -> Result<DynBatches, ReadError> {
    let progress = Arc::new(Progress::new(caller, &subscribe));
    let batches = context.store.subscribe(subscribe).await?;
    let number = context.subscribers.add(&progress);
    Ok(Box::pin(Followed { batches, progress, number, context: context.clone() }))
}

/// Adds who follows, the furthest behind first, and how long it has been behind.
pub(crate) async fn tell(context: &Context, all: &mut Statistics) {
    let head = context.store.head().await.unwrap_or_default();
    let mut told = context.subscribers.told(head);
    let mut known: Option<(Position, Option<f64>)> = None;
    for subscriber in told.iter_mut().take(LAG_READS_MAX).filter(|one| one.lag_events > 0) {
        let at = subscriber.position;
        let seconds = match known {
            Some((position, seconds)) if position == at => seconds,
            _ => age_of_next(context, at).await,
        };
        known = Some((at, seconds));
        subscriber.lag_seconds = seconds;
    }
    let furthest = told.first().map_or(0, |one| one.lag_events);
    all.gauge("subscriber_lag_events_max", furthest, "How far the last of all subscribers is");
    all.subscribers = told;
}

/// For how many seconds the event after a position has been stored.
#[allow(clippy::cast_precision_loss, reason = "a few nanoseconds of years do not matter")]
async fn age_of_next(context: &Context, position: Position) -> Option<f64> {
    let from = Some(position.0.checked_add(1)?);
    let direction = Direction::Forward;
    let read = Read { direction, from, limit: Some(1), ..Read::query(Query::All) };
    let mut reading = context.store.read(read).await.ok()?;
    let batch = next_batch(&mut reading.batches).await?.ok()?;
    let recorded_at = batch.events.first()?.recorded_at();
    Some(clock::now_ns().saturating_sub(recorded_at.0).max(0) as f64 / 1e9)
}
