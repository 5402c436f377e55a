//! Appends that wait while others are on their way, and then go together: one call and one commit
//! for all of them. Nobody waits for company: while few calls are on their way, each goes at once.
//!
//! What must hold: appends of one call, and of calls that are on their way at the same time, check
//! nothing of each other (their locks do not meet), so that each is judged as if it were alone.
//! Nobody is passed by one that it meets, so that who is first goes as soon as it can. A call
//! waits for no lock: who would have to wait is left, and goes on alone. A call is a task of its
//! own: it comes to its end whether or not somebody asks for the answers.

use super::{
    plain,
    together::{self, Went},
};
use crate::{
    pool::NoLease,
    shared::Shared,
    terms::{LOCKS_MAX, Locks, tag_of},
};
use factum_core::{Append, AppendError, Check, Query};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

/// So many calls are on their way at once: while one waits for the disk, the other is worked on.
/// Fewer calls are larger ones, and what an event costs in one of 16 is a third of what it costs in
/// one of 4.
pub(crate) const CALLS_MAX: usize = 2;
/// What goes with one call.
const APPENDS_MAX: usize = 64;
const EVENTS_MAX: usize = 512;
const BYTES_MAX: usize = 1 << 20;
/// So many of those who wait are looked at for a call.
const LOOKED_AT_MAX: usize = 4 * APPENDS_MAX;

/// Appends; what became of it in a call with others.
pub(super) async fn go(shared: &Arc<Shared>, append: Append) -> Went {
    let job = match Job::of(shared, append) {
        Ok(job) => job,
        Err(append) => return Went::Left(append),
    };
    let Some((number, mut answer)) = shared.group.enter(shared, job) else {
        return Went::Done(Err(AppendError::Overloaded));
    };
    match timeout(shared.group.patience, &mut answer).await {
        Ok(went) => went.unwrap_or_else(|_| lost()),
        Err(_) if shared.group.withdraw(number) => {
            Went::Done(Err(NoLease::Failed(sqlx::Error::PoolTimedOut).into()))
        }
        // It is on its way.
        Err(_) => answer.await.unwrap_or_else(|_| lost()),
    }
}

/// Whoever was to answer is gone, with the runtime.
fn lost() -> Went {
    Went::Done(Err(AppendError::Unknown { why: "the append was given up on its way".into() }))
}

/// An append that can go with others.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) append: Append,
    pub(super) keys: Vec<i64>,
    pub(super) exclusive: Vec<bool>,
}

impl Job {
    /// Gives back one that goes alone: that is large, moves a tracked position, writes no events,
    /// has to do with metadata, or checks what may take long to look for; and each where a pooler
    /// wants a transaction around it.
    fn of(shared: &Shared, append: Append) -> Result<Self, Append> {
        let is_alone = append.events.is_empty()
            || append.events.len() > EVENTS_MAX
            || bytes_of(&append) > BYTES_MAX
            || append.tracking.is_some()
            || shared.options.pooler
            || append.checks.iter().any(is_wide)
            || !plain::is_plain(&append);
        if is_alone {
            return Err(append);
        }
        let mut locks = Locks::new(shared.place.seed);
        locks.append(&append);
        let (keys, exclusive) = locks.arrays();
        Ok(Self { append, keys, exclusive })
    }

    fn locks(&self) -> impl Iterator<Item = (&i64, &bool)> {
        self.keys.iter().zip(&self.exclusive)
    }
}

/// Whether events are looked through that no tag narrows down.
fn is_wide(check: &Check) -> bool {
    match check {
        Check::NoMatch { query: Query::AnyOf(items), .. } => {
            items.iter().any(|item| tag_of(item).is_none())
        }
        Check::NoMatch { .. } => true,
        Check::Stream { .. } => false,
    }
}

fn bytes_of(append: &Append) -> usize {
    append.events.iter().map(|(_, event)| event.data.len() + event.metadata.len()).sum()
}

/// The locks of some appends.
#[derive(Debug, Default)]
struct Held(HashMap<i64, bool>);

impl Held {
    fn meets(&self, job: &Job) -> bool {
        job.locks().any(|(key, exclusive)| {
            self.0.get(key).is_some_and(|exclusive_too| *exclusive || *exclusive_too)
        })
    }

    fn add(&mut self, job: &Job) {
        for (key, exclusive) in job.locks() {
            *self.0.entry(*key).or_default() |= exclusive;
        }
    }
}

/// One who waits.
#[derive(Debug)]
struct Waiting {
    number: u64,
    job: Job,
    answer: oneshot::Sender<Went>,
}

/// Those of one call, while they are chosen.
#[derive(Default)]
struct Chosen {
    held: Held,
    taken: Vec<Waiting>,
    events: usize,
    bytes: usize,
}

impl Chosen {
    fn has_room(&self, job: &Job) -> bool {
        self.taken.is_empty()
            || self.taken.len() < APPENDS_MAX
                && self.events + job.append.events.len() <= EVENTS_MAX
                && self.bytes + bytes_of(&job.append) <= BYTES_MAX
                && self.held.0.len() + job.keys.len() <= LOCKS_MAX
    }

    fn add(&mut self, one: Waiting) {
        self.held.add(&one.job);
        self.events += one.job.append.events.len();
        self.bytes += bytes_of(&one.job.append);
        self.taken.push(one);
    }
}

/// The queue of a store.
#[derive(Debug)]
pub(crate) struct Group {
    state: Mutex<State>,
    waiting_max: usize,
    patience: Duration,
    /// Where calls go on that several wait for.
    runtime: Handle,
    overloaded: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// The calls that are on their way, by their numbers, and their locks.
    calls: HashMap<u64, Held>,
    /// The number of the next one who waits, or goes.
    next: u64,
    /// Somebody sends those who can go. A call that ends as soon as it begins, as where the runtime
    /// is shut down, leaves the rest to them.
    is_starting: bool,
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn meets(&self, job: &Job) -> bool {
        self.calls.values().any(|held| held.meets(job))
    }

    /// Takes those of the next call: its number, and none where nobody can go.
    fn choose(&mut self) -> Option<(u64, Vec<Waiting>)> {
        if self.calls.len() >= CALLS_MAX {
            return None;
        }
        let (mut chosen, mut passed, mut kept) = (Chosen::default(), Held::default(), Vec::new());
        for _ in 0..LOOKED_AT_MAX {
            let Some(one) = self.waiting.pop_front() else { break };
            if one.answer.is_closed() {
                continue;
            }
            let has_room = chosen.has_room(&one.job);
            let waits = passed.meets(&one.job) || chosen.held.meets(&one.job);
            if has_room && !waits && !self.meets(&one.job) {
                chosen.add(one);
                continue;
            }
            passed.add(&one.job);
            kept.push(one);
            if !has_room {
                break;
            }
        }
        kept.into_iter().rev().for_each(|one| self.waiting.push_front(one));
        if chosen.taken.is_empty() {
            return None;
        }
        let number = self.number();
        self.calls.insert(number, chosen.held);
        Some((number, chosen.taken))
    }
}

impl Group {
    /// So many may wait, so long.
    pub(crate) fn new(waiting_max: usize, patience: Duration) -> Self {
        let (state, overloaded) = (Mutex::default(), AtomicU64::new(0));
        Self { state, waiting_max, patience, runtime: Handle::current(), overloaded }
    }

    /// How many wait, and how many were refused because too many did.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        (self.state().waiting.len() as u64, self.overloaded.load(Ordering::Relaxed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of who has come, and where the answer will be. `None`: too many wait.
    fn enter(&self, shared: &Arc<Shared>, job: Job) -> Option<(u64, oneshot::Receiver<Went>)> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        if state.waiting.len() >= self.waiting_max {
            self.overloaded.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let number = state.number();
        state.waiting.push_back(Waiting { number, job, answer: sender });
        drop(state);
        self.start(shared);
        Some((number, receiver))
    }

    /// Lets one go who does not want to wait any longer; false if it is on its way.
    fn withdraw(&self, number: u64) -> bool {
        let mut state = self.state();
        let before = state.waiting.len();
        state.waiting.retain(|one| one.number != number);
        state.waiting.len() < before
    }

    /// The next call. Where there is none, whoever comes starts again.
    fn next(&self) -> Option<(u64, Vec<Waiting>)> {
        let mut state = self.state();
        let chosen = state.choose();
        state.is_starting = chosen.is_some();
        chosen
    }

    /// Sends who can go.
    fn start(&self, shared: &Arc<Shared>) {
        if std::mem::replace(&mut self.state().is_starting, true) {
            return;
        }
        while let Some((number, chosen)) = self.next() {
            let call = Call { shared: shared.clone(), number };
            self.runtime.spawn(call.make(chosen));
        }
    }
}

/// A call that is on its way. When it ends, however it does, those who waited for it go.
struct Call {
    shared: Arc<Shared>,
    number: u64,
}

impl Call {
    async fn make(self, chosen: Vec<Waiting>) {
        let (jobs, answers): (Vec<_>, Vec<_>) =
            chosen.into_iter().map(|one| (one.job, one.answer)).unzip();
        let went = together::go(&self.shared, jobs).await;
        // Also where nobody asks for the answers any more.
        if went.iter().any(|went| matches!(went, Went::Done(Ok(_)))) {
            self.shared.appended();
        }
        // Those who come with the answers find room.
        drop(self);
        for (answer, went) in answers.into_iter().zip(went) {
            // Who has gone away meanwhile does not know what became of it.
            let _ = answer.send(went);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.shared.group.state().calls.remove(&self.number);
        self.shared.group.start(&self.shared);
    }
}
