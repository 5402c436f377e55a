//! Following another store: the thread that a replica has in the place of a writer's, and how far
//! behind it is.
//!
//! What must hold: trouble never ends the reads; what can be mended elsewhere is tried again, with
//! a pause that grows up to a limit; what cannot is said, and nothing more is added.

use crate::{
    Reader,
    copy::{Inventory, Source, SourceError},
    replica::{Replica, ReplicaError},
    rewrite::Stop,
    rng::Rng,
    write::Unindexed,
};
use factum_core::{
    Position, Statistics,
    sync::{mpsc, thread},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How often the whole list of the source's segments is asked for: what was rewritten is only seen
/// there.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long one answer of the source is worked on before it is asked again.
const TURN_TIME_MAX: Duration = Duration::from_millis(200);
/// The first pause after trouble, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What to follow.
#[derive(Clone)]
pub struct Follow {
    /// Where the log comes from. It is asked on a thread of its own, and may block.
    pub source: Arc<dyn Source + Send + Sync>,
    /// What the source is called, best a URL: whoever wants to append is sent there.
    pub name: String,
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Follow {
    /// What appends are refused with.
    pub(super) fn why(&self) -> Arc<str> {
        format!("this is a replica of {0}: write to {0} instead", self.name).into()
    }
}

/// How far a replica is behind its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lag {
    /// What the source is called.
    pub source: Arc<str>,
    /// The source's head, when it was last heard of.
    pub source_head: Position,
    /// How many positions it is ahead.
    pub positions: u64,
    /// How long ago the replica was, for all that is known, as the source was. By this machine's
    /// clock, as clocks of machines differ; zero while it is level and the source answers.
    pub behind: Duration,
    /// Why nothing comes, if nothing does: cause and cure.
    pub trouble: Option<Arc<str>>,
    /// Nothing more comes until the replica is started again.
    pub is_stopped: bool,
}

/// What is known of the source.
#[derive(Debug)]
struct Seen {
    head: Position,
    /// When the replica was level with it, last.
    level_ns: u64,
    trouble: Option<Arc<str>>,
    is_stopped: bool,
}

/// How a replica follows: shared by its thread and by who asks how that goes. Who holds it does not
/// keep the store open.
#[derive(Debug)]
pub struct Following {
    follow: Follow,
    name: Arc<str>,
    reader: Reader,
    seen: Mutex<Seen>,
    stop: Stop,
}

impl Following {
    pub(super) fn new(follow: Follow, reader: &Reader) -> Self {
        let (head, level_ns) = (reader.head(), reader.shared.ticks_ns());
        let seen = Seen { head, level_ns, trouble: None, is_stopped: false };
        let name = follow.name.as_str().into();
        let (reader, seen, stop) = (reader.clone(), Mutex::new(seen), Stop::default());
        Self { follow, name, reader, seen, stop }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread soon.
    pub(super) fn stop(&self) {
        self.stop.stop();
        self.follow.source.interrupt();
    }

    /// How far behind it is.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let now_ns = self.reader.shared.ticks_ns();
        let seen = self.seen();
        let positions = seen.head.0.saturating_sub(self.reader.head().0);
        let is_level = positions == 0 && seen.trouble.is_none();
        let behind_ns = if is_level { 0 } else { now_ns.saturating_sub(seen.level_ns) };
        Lag {
            source: self.name.clone(),
            source_head: seen.head,
            positions,
            behind: Duration::from_nanos(behind_ns),
            trouble: seen.trouble.clone(),
            is_stopped: seen.is_stopped,
        }
    }

    pub(super) fn tell(&self, all: &mut Statistics) {
        let lag = self.lag();
        all.gauge("replica_source_head", lag.source_head.0, "The head of the store it follows");
        all.gauge("replica_lag_positions", lag.positions, "How many positions it is behind");
        all.gauge(
            "replica_lag_seconds",
            lag.behind.as_secs(),
            "How long ago it was as the store that it follows",
        );
        let is_connected = u64::from(lag.trouble.is_none());
        all.gauge("replica_connected", is_connected, "1 while the store that it follows answers");
    }

    /// The source has answered.
    fn heard(&self, inventory: &Inventory) {
        let mut seen = self.seen();
        // Until it answered there was nothing else.
        if seen.trouble.is_none() && self.reader.head() >= seen.head {
            seen.level_ns = self.reader.shared.ticks_ns();
        }
        seen.head = inventory.head;
    }

    /// All that the source has told of is there.
    fn is_level(&self) {
        let mut seen = self.seen();
        seen.level_ns = self.reader.shared.ticks_ns();
        seen.trouble = None;
    }

    /// Something that came is there.
    fn goes_on(&self) {
        self.seen().trouble = None;
    }

    fn troubled(&self, error: &ReplicaError) {
        let mut seen = self.seen();
        seen.trouble = Some(format!("{error}: {}", error.cure()).into());
        seen.is_stopped = error.is_final();
    }
}

/// Follows until it is told to stop, or the disk fails.
pub(super) fn follow(
    replica: Replica,
    following: &Following,
    sealed: &mpsc::SyncSender<Unindexed>,
) {
    let _ends = Ends(following);
    let mut pauses = Pauses(PAUSE_MIN);
    let mut follower = Follower { replica, following, sealed, looked_ns: None };
    while !following.stop.is_stopped() {
        match follower.turn() {
            Ok(()) => pauses = Pauses(PAUSE_MIN),
            Err(error) => {
                let is_news = matches!(error, ReplicaError::Source(SourceError::Replaced { .. }));
                follower.looked_ns = None;
                if !is_news {
                    following.troubled(&error);
                }
                if error.is_final() {
                    break;
                }
                let rng = &*following.reader.shared.options.world.rng;
                following.stop.wait(pauses.next(rng));
            }
        }
    }
    follower.replica.close();
}

/// Says so where the thread ends unexpectedly.
struct Ends<'a>(&'a Following);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut seen = self.0.seen();
            seen.trouble = Some("the replica's thread ended unexpectedly: start again".into());
            seen.is_stopped = true;
        }
    }
}

struct Follower<'a> {
    replica: Replica,
    following: &'a Following,
    sealed: &'a mpsc::SyncSender<Unindexed>,
    /// When the whole list of segments was worked through, last.
    looked_ns: Option<u64>,
}

impl Follower<'_> {
    /// Asks the source once, and does what is to be done.
    fn turn(&mut self) -> Result<(), ReplicaError> {
        let shared = &self.following.reader.shared;
        let source = &*self.following.follow.source;
        let look_ns = u64::try_from(LOOK_EVERY.as_nanos()).unwrap_or(u64::MAX);
        let is_due = self.looked_ns.is_none_or(|looked| shared.since_ns(looked) >= look_ns);
        let inventory = if is_due {
            source.inventory()?
        } else {
            let length = self.replica.length();
            source.news(length, length.base)?
        };
        let began_ns = shared.ticks_ns();
        self.following.heard(&inventory);
        while self.replica.step(source, &inventory)? {
            self.following.goes_on();
            for segment in self.replica.take_unindexed() {
                // The index thread outlives this one: it ends when this sender does.
                let _ = self.sealed.send(segment);
            }
            let took = Duration::from_nanos(shared.since_ns(began_ns));
            if took > TURN_TIME_MAX || self.following.stop.is_stopped() {
                // Something may be left to do, of which a shorter list would not tell.
                self.looked_ns = None;
                return Ok(());
            }
        }
        self.following.is_level();
        if is_due {
            self.looked_ns = Some(began_ns);
        }
        Ok(())
    }
}

/// Pauses after trouble: each twice as long as the one before, up to a limit, and drawn from the
/// upper half of that, so that many replicas do not come back at once.
struct Pauses(Duration);

impl Pauses {
    fn next(&mut self, rng: &dyn Rng) -> Duration {
        let half = self.0 / 2;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_nanos(rng.next_u64() % nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SystemRng;

    #[test]
    fn pauses_grow_up_to_a_limit_and_are_drawn() {
        let mut pauses = Pauses(PAUSE_MIN);
        let drawn: Vec<_> = (0..12).map(|_| pauses.next(&SystemRng::default())).collect();
        assert!(drawn[0] >= PAUSE_MIN / 2 && drawn[0] < PAUSE_MIN, "{drawn:?}");
        assert!(drawn[4] > drawn[0] && drawn.iter().all(|pause| *pause <= PAUSE_MAX), "{drawn:?}");
        assert!(drawn[9..].iter().all(|pause| *pause >= PAUSE_MAX / 2), "{drawn:?}");
        assert_ne!(drawn[10], drawn[11]);
    }
}
