//! Which faults happen when, and which did.

use crate::world::Random;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What happens to one append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is refused as `Unavailable`; nothing was done.
    Unavailable,
    /// It is refused as `Overloaded`; nothing was done.
    Overloaded,
    /// It never arrives, and its caller does not know: `Unknown`.
    LoseRequest,
    /// It is done, and its caller does not know: `Unknown`.
    LoseReply,
    /// The process dies before it.
    CrashBefore,
    /// The process dies after it, before anybody hears of it.
    CrashAfter,
}

/// How often what goes wrong: one time in so many, 0 is never.
///
/// ```
/// use factum_testkit::Chances;
/// let chances = Chances { lost_reply: 5, ..Chances::NONE };
/// assert_eq!(chances.refused, 0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chances {
    /// A call is refused, as `Unavailable` or as `Overloaded`.
    pub refused: u64,
    /// An append never arrives.
    pub lost_request: u64,
    /// The reply to an append is lost.
    pub lost_reply: u64,
    /// The process dies at an append: before it or after.
    pub crash: u64,
    /// The batches of a read or a subscription break off.
    pub broken: u64,
    /// A batch is delivered in two parts.
    pub split: u64,
    /// A batch of a subscription is delivered a second time.
    pub repeated: u64,
    /// How long a call, a reply or a batch is on its way, at most.
    pub delay_max: Duration,
}

impl Chances {
    /// Nothing goes wrong, and nothing takes time.
    pub const NONE: Self = Self {
        refused: 0,
        lost_request: 0,
        lost_reply: 0,
        crash: 0,
        broken: 0,
        split: 0,
        repeated: 0,
        delay_max: Duration::ZERO,
    };

    /// Everything goes wrong now and then.
    pub const USUAL: Self = Self {
        refused: 20,
        lost_request: 20,
        lost_reply: 12,
        crash: 25,
        broken: 20,
        split: 4,
        repeated: 8,
        delay_max: Duration::from_millis(20),
    };
}

/// What was done to a store, and what went wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Appends and changes that were asked for.
    pub appends: u64,
    /// Those of them that were done.
    pub commits: u64,
    /// Reads and subscriptions.
    pub reads: u64,
    /// Batches that were delivered.
    pub batches: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Appends that never arrived.
    pub lost_requests: u64,
    /// Replies that were lost.
    pub lost_replies: u64,
    /// Processes that died at an append.
    pub crashes: u64,
    /// Reads and subscriptions that broke off.
    pub broken: u64,
    /// Batches that were split.
    pub split: u64,
    /// Batches that were delivered again.
    pub repeated: u64,
}

/// The faults of one or more stores. Clones share them, and count together.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    chances: Chances,
    plan: BTreeMap<u64, Fault>,
    random: Random,
    counts: Counts,
}

impl Faults {
    /// None, until they are planned or given chances.
    #[must_use]
    pub fn none() -> Self {
        Self::seeded(0, Chances::NONE)
    }

    /// Such as this seed draws.
    #[must_use]
    pub fn seeded(seed: u64, chances: Chances) -> Self {
        let random = Random::seeded(seed);
        let state = State { chances, plan: BTreeMap::new(), random, counts: Counts::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The same, and this happens to the append with this number, from 1, in the order in which
    /// appends and changes arrive.
    #[must_use]
    pub fn at(self, append: u64, fault: Fault) -> Self {
        self.lock().plan.insert(append, fault);
        self
    }

    /// From now on nothing goes wrong any more; what is counted stays.
    pub fn calm(&self) {
        let mut state = self.lock();
        state.chances = Chances::NONE;
        state.plan.clear();
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.lock().counts);
    }

    /// How long something is on its way.
    pub(super) fn delay(&self) -> Duration {
        let mut state = self.lock();
        let longest = u64::try_from(state.chances.delay_max.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(state.random.below(longest))
    }

    /// What happens to the append that arrives now.
    pub(super) fn of_append(&self) -> Option<Fault> {
        let mut state = self.lock();
        state.counts.appends += 1;
        let number = state.counts.appends;
        if let Some(planned) = state.plan.remove(&number) {
            return Some(planned);
        }
        let Chances { refused, lost_request, lost_reply, crash, .. } = state.chances;
        let draws = [
            (refused, [Fault::Unavailable, Fault::Overloaded]),
            (lost_request, [Fault::LoseRequest, Fault::LoseRequest]),
            (lost_reply, [Fault::LoseReply, Fault::LoseReply]),
            (crash, [Fault::CrashBefore, Fault::CrashAfter]),
        ];
        let (_, [one, other]) = draws.into_iter().find(|(times, _)| state.random.one_in(*times))?;
        Some(if state.random.one_in(2) { one } else { other })
    }

    /// Whether a read is refused; `true` within is `Overloaded`.
    pub(super) fn of_read(&self) -> Option<bool> {
        let mut state = self.lock();
        state.counts.reads += 1;
        let refused = state.chances.refused;
        let is_refused = state.random.one_in(refused);
        is_refused.then(|| {
            state.counts.refused += 1;
            state.random.one_in(2)
        })
    }

    pub(super) fn breaks(&self) -> bool {
        let mut state = self.lock();
        let broken = state.chances.broken;
        let breaks = state.random.one_in(broken);
        state.counts.broken += u64::from(breaks);
        breaks
    }

    /// Whether a batch is delivered twice.
    pub(super) fn repeats(&self) -> bool {
        let mut state = self.lock();
        let repeated = state.chances.repeated;
        let repeats = state.random.one_in(repeated);
        state.counts.repeated += u64::from(repeats);
        repeats
    }

    /// Behind which of so many events a batch is split.
    pub(super) fn splits(&self, events: usize) -> Option<usize> {
        let mut state = self.lock();
        let split = state.chances.split;
        if events < 2 || !state.random.one_in(split) {
            return None;
        }
        state.counts.split += 1;
        let first = state.random.below(events as u64 - 1) + 1;
        usize::try_from(first).ok()
    }
}
