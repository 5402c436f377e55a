//! The settled head as it moves: one look for all who follow or wait in this process.
//!
//! While somebody follows, the head is asked for: when this process has appended, when a
//! notification says that another one has, and every now and then, as notifications get lost. What
//! holds the head back is an append that is open in a transaction, and nothing else; who waits for
//! it longer than they are willing to is told whose it is.

use crate::{error::closed, listen::Listener, shared::Shared};
use factum_core::{Position, ReadError};
use sqlx::{PgConnection, Row};
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// What is known of the head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The settled head.
    pub(crate) head: u64,
    /// Why it has not moved for too long.
    stuck: Option<Arc<str>>,
    is_closed: bool,
}

#[derive(Debug)]
pub(crate) struct Tail {
    seen: watch::Sender<Seen>,
    followers: AtomicUsize,
    /// The highest head that anybody was told.
    settled: AtomicU64,
    /// Look now.
    pub(crate) wake: Notify,
}

impl Default for Tail {
    fn default() -> Self {
        let (seen, _) = watch::channel(Seen::default());
        Self {
            seen,
            followers: AtomicUsize::new(0),
            settled: AtomicU64::new(0),
            wake: Notify::new(),
        }
    }
}

/// One who waits for more, or will: while there is one, the head is looked for.
#[derive(Debug)]
pub(crate) struct Follows(Arc<Shared>);

impl Follows {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.tail.followers.fetch_add(1, Ordering::AcqRel);
        shared.tail.wake.notify_one();
        Self(shared.clone())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Waits until there is a settled event after this position; the head then.
    pub(crate) async fn passes(&self, position: u64) -> Result<u64, ReadError> {
        let mut seen = self.0.tail.seen.subscribe();
        let is_news = |seen: &Seen| seen.head > position || seen.stuck.is_some() || seen.is_closed;
        let seen = seen.wait_for(is_news).await.map_err(|_| closed())?.clone();
        match seen.stuck {
            _ if seen.head <= position && seen.is_closed => Err(closed()),
            Some(why) if seen.head <= position => {
                Err(ReadError::Unavailable { why: why.to_string().into() })
            }
            _ => Ok(seen.head),
        }
    }

    /// Waits until everything up to this position is settled.
    pub(crate) async fn reaches(&self, position: Position) -> Result<(), ReadError> {
        match position.0.checked_sub(1) {
            None => Ok(()),
            Some(before) => self.passes(before).await.map(|_| ()),
        }
    }
}

impl Drop for Follows {
    fn drop(&mut self) {
        self.0.tail.followers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Tail {
    /// Nobody looks any more: whoever waits is told.
    pub(crate) fn close(&self) {
        self.seen.send_modify(|seen| seen.is_closed = true);
    }

    fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Acquire) > 0
    }
}

/// The head as one statement finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Up to here everything is settled.
    pub(crate) head: u64,
    /// An append that is not settled is open.
    pub(crate) is_open: bool,
}

/// Asks for the settled head. It never goes back: an append marks where it is before it takes its
/// number, and one that was slow in between marks a place that was passed meanwhile. It will take a
/// higher number, so what was settled stays so.
pub(crate) async fn settled(
    shared: &Shared,
    connection: &mut PgConnection,
) -> Result<Head, sqlx::Error> {
    // As it was before the statement looked: what it sees has all of it.
    let before = shared.tail.settled.load(Ordering::Acquire);
    let row = shared.query(&shared.statements.head).fetch_one(connection).await?;
    let head = row.try_get::<i64, _>(0)?.cast_unsigned().max(before);
    shared.tail.settled.fetch_max(head, Ordering::AcqRel);
    Ok(Head { head, is_open: row.try_get(2)? })
}

/// After a failure nobody looks for so long.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks for the head while somebody follows, until the store is gone.
pub(crate) async fn look(tail: Arc<Tail>, shared: Weak<Shared>) {
    let mut listener = Listener::default();
    let mut waits: Option<(u64, Instant)> = None;
    loop {
        if !tail.is_followed() {
            waits = None;
            // Who comes next is not to be told what was the matter with others.
            tail.seen.send_modify(|seen| seen.stuck = None);
            tail.wake.notified().await;
        }
        let Some(held) = shared.upgrade() else { return };
        match held.read(async |connection| held.answer(settled(&held, connection)).await).await {
            Ok(head) => waits = told(&held, head, waits).await,
            // Who asks themselves is told why; who waits goes on when the server is back.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        let interval = listener.interval(&held).await;
        drop(held);
        tokio::select! {
            () = tail.wake.notified() => {}
            () = listener.heard(interval) => {}
        }
    }
}

/// Tells those who wait; since when the head is held back, and where.
async fn told(
    shared: &Arc<Shared>,
    found: Head,
    waits: Option<(u64, Instant)>,
) -> Option<(u64, Instant)> {
    let waits = match waits {
        _ if !found.is_open => None,
        Some((at, since)) if at == found.head => Some((at, since)),
        _ => Some((found.head, Instant::now())),
    };
    let limit = Duration::from_millis(shared.options.settle_timeout_ms);
    let stuck = match waits.filter(|(_, since)| since.elapsed() > limit) {
        None => None,
        Some(_) => Some(crate::waits::why(shared).await),
    };
    shared.tail.seen.send_if_modified(|seen| {
        let is_new = seen.head != found.head || seen.stuck.is_some() != stuck.is_some();
        (seen.head, seen.stuck) = (found.head.max(seen.head), stuck);
        is_new
    });
    waits
}
