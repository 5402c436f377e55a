//! What a subscription has taken and not settled, over all its partitions: shared by the thread
//! that reads, by who takes messages, and by who settles them.

use crate::{
    binding::Record,
    window::{Handing, Known, Pick, Window},
};
use factum_app::message::ConsumeError;
use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, oneshot};

/// A topic, and a partition of it.
pub(crate) type Place = (String, i32);

/// How many messages of one partition may be taken and not committed. Where one is not settled for
/// so long, its partition waits.
pub(crate) const PARTITION_MAX: usize = 10_000;

/// How often, at most, nothing is found to be done.
const LOOK: Duration = Duration::from_secs(1);

/// Offsets to be committed, and since when the partition was assigned.
pub(crate) type Offsets = BTreeMap<Place, (u64, i64)>;

#[derive(Debug)]
pub(crate) struct Shelf {
    state: Mutex<State>,
    /// Something was settled, or is to end: for the thread.
    settled: Condvar,
    /// Something came, or made room: for who takes messages.
    came: Notify,
    prefetch: usize,
    handing: Handing,
}

#[derive(Debug, Default)]
struct State {
    windows: BTreeMap<Place, Assigned>,
    /// How many partitions were ever assigned: tells one assignment from the next.
    assignments: u64,
    /// Where the last message was picked, so that the next partition is next.
    last: Option<Place>,
    wrong: Option<ConsumeError>,
    commit_after: Option<Instant>,
    closing: bool,
    stopped: bool,
}

#[derive(Debug)]
struct Assigned {
    since: u64,
    /// It goes to another instance: nothing more is handed out.
    leaving: bool,
    window: Window,
}

/// Which message was handed out, by which assignment of its partition.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) place: Place,
    pub(crate) since: u64,
    pub(crate) pick: Pick,
}

/// What there is for who takes messages.
pub(crate) enum Next {
    Message(Box<Ticket>),
    Wrong(ConsumeError),
    /// Nothing, before then.
    Nothing(Option<Instant>),
}

/// What the thread may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    /// More may be taken.
    pub(crate) any: bool,
    /// So much was handed out that what is paused may go on.
    pub(crate) half: bool,
    /// Partitions with too much that is not committed.
    pub(crate) full: Vec<Place>,
}

impl Shelf {
    pub(crate) fn new(prefetch: u16, handing: Handing) -> Self {
        let prefetch = usize::from(prefetch).max(1);
        let (state, settled, came) = (Mutex::default(), Condvar::new(), Notify::new());
        Self { state, settled, came, prefetch, handing }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.settled.notify_all();
        self.came.notify_waiters();
    }

    pub(crate) fn came(&self) -> &Notify {
        &self.came
    }

    pub(crate) fn assign(&self, places: impl IntoIterator<Item = Place>) {
        let mut state = self.state();
        for place in places {
            state.assignments += 1;
            let since = state.assignments;
            let window = Window::new(self.handing);
            state.windows.insert(place, Assigned { since, leaving: false, window });
        }
    }

    /// Hands nothing more out of these, and waits for what is out of them.
    pub(crate) fn leave(&self, places: &[Place], within: Duration) {
        let until = Instant::now() + within;
        let mut state = self.state();
        for place in places {
            if let Some(assigned) = state.windows.get_mut(place) {
                assigned.leaving = true;
            }
        }
        loop {
            let out: usize =
                places.iter().filter_map(|place| state.windows.get(place)).map(out).sum();
            let left = until.saturating_duration_since(Instant::now());
            if out == 0 || state.stopped || left.is_zero() {
                return;
            }
            let woken = self.settled.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// They are another's: what is not committed comes to it.
    pub(crate) fn remove(&self, places: &[Place]) {
        let mut state = self.state();
        for place in places {
            state.windows.remove(place);
        }
        drop(state);
        self.changed();
    }

    pub(crate) fn places(&self) -> Vec<Place> {
        self.state().windows.keys().cloned().collect()
    }

    pub(crate) fn take(&self, place: &Place, offset: i64, record: Record) {
        if let Some(assigned) = self.state().windows.get_mut(place) {
            assigned.window.take(offset, record);
        }
        self.came.notify_waiters();
    }

    /// Every connection is lost: what is not known to be settled comes again, and who has it is
    /// told so when settling it.
    pub(crate) fn lost(&self) {
        let mut state = self.state();
        let mut assignments = state.assignments;
        for assigned in state.windows.values_mut() {
            assigned.window.give_all_back();
            assignments += 1;
            assigned.since = assignments;
        }
        state.assignments = assignments;
        drop(state);
        self.changed();
    }

    pub(crate) fn next(&self) -> Next {
        let mut state = self.state();
        if let Some(wrong) = state.wrong.take() {
            return Next::Wrong(wrong);
        }
        let out: usize = state.windows.values().map(out).sum();
        if out >= self.prefetch || state.closing || state.stopped {
            return Next::Nothing(None);
        }
        let now = Instant::now();
        let Some(ticket) = state.pick(now) else {
            let open = state.windows.values().filter(|assigned| !assigned.leaving);
            let wakes = open.filter_map(|assigned| assigned.window.wakes());
            return Next::Nothing(wakes.filter(|at| *at > now).min());
        };
        drop(state);
        self.settled.notify_all();
        Next::Message(Box::new(ticket))
    }

    /// Settles, unless the partition was assigned anew since.
    pub(crate) fn settle(&self, ticket: &Ticket, known: Known) {
        self.with(ticket, |window| window.settle(ticket.pick.offset, known));
    }

    pub(crate) fn give_back(&self, ticket: &Ticket, after: Duration) -> bool {
        let until = (!after.is_zero()).then(|| Instant::now() + after);
        self.with(ticket, |window| window.give_back(ticket.pick.offset, until))
    }

    fn with(&self, ticket: &Ticket, change: impl FnOnce(&mut Window)) -> bool {
        let mut state = self.state();
        let assigned = state.windows.get_mut(&ticket.place);
        let assigned = assigned.filter(|assigned| assigned.since == ticket.since);
        let is_ours = assigned.is_some();
        if let Some(assigned) = assigned {
            change(&mut assigned.window);
        }
        drop(state);
        self.changed();
        is_ours
    }

    /// Waits until something is to be committed; none, when the thread is to end.
    pub(crate) fn wait_for_due(&self) -> Option<Offsets> {
        let mut state = self.state();
        while !state.stopped {
            let now = Instant::now();
            let wait = state.commit_after.map(|after| after.saturating_duration_since(now));
            let due = state.due(|_| true);
            if wait.is_none_or(|wait| wait.is_zero()) && !due.is_empty() {
                state.commit_after = None;
                return Some(due);
            }
            let wait = wait.filter(|wait| !wait.is_zero()).unwrap_or(LOOK);
            let woken = self.settled.wait_timeout(state, wait);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// Whether all of these are still this instance's.
    pub(crate) fn holds<'a>(&self, tickets: impl IntoIterator<Item = &'a Ticket>) -> bool {
        let state = self.state();
        let ours = |ticket: &Ticket| {
            state.windows.get(&ticket.place).is_some_and(|one| one.since == ticket.since)
        };
        tickets.into_iter().all(ours)
    }

    /// These are settled, and the cluster has their offsets already: from a transaction.
    pub(crate) fn settled_and_committed<'a>(&self, tickets: impl IntoIterator<Item = &'a Ticket>) {
        let mut state = self.state();
        for Ticket { place, since, pick } in tickets {
            let assigned = state.windows.get_mut(place);
            if let Some(assigned) = assigned.filter(|one| one.since == *since) {
                assigned.window.settle(pick.offset, oneshot::channel().0);
            }
            state.committed(place, *since, pick.offset + 1);
        }
        drop(state);
        self.changed();
    }

    /// A commit failed: the next is tried so much later.
    pub(crate) fn commit_later(&self, after: Duration) {
        self.state().commit_after = Some(Instant::now() + after);
    }

    /// What is to be committed of these, whatever is under way.
    pub(crate) fn due(&self, places: &[Place]) -> Offsets {
        self.state().due(|place| places.contains(place))
    }

    pub(crate) fn committed(&self, offsets: Offsets) {
        let mut state = self.state();
        for (place, (since, point)) in offsets {
            state.committed(&place, since, point);
        }
        drop(state);
        self.changed();
    }

    pub(crate) fn room(&self) -> Room {
        let state = self.state();
        let waiting: usize = state.windows.values().map(|one| one.window.waiting()).sum();
        let full = state.windows.iter().filter(|(_, one)| one.window.len() >= PARTITION_MAX);
        let full = full.map(|(place, _)| place.clone()).collect();
        Room { any: waiting < self.prefetch, half: waiting <= self.prefetch / 2, full }
    }

    /// Waits until more may be taken, or so long.
    pub(crate) fn wait_for_room(&self, within: Duration) {
        let state = self.state();
        let full = |state: &mut State| {
            let waiting: usize = state.windows.values().map(|one| one.window.waiting()).sum();
            waiting >= self.prefetch && !state.stopped
        };
        drop(self.settled.wait_timeout_while(state, within, full));
    }

    /// Something that who takes messages must hear.
    pub(crate) fn say(&self, wrong: ConsumeError) {
        self.state().wrong = Some(wrong);
        self.came.notify_waiters();
    }

    /// Nothing more is handed out.
    pub(crate) fn close(&self) {
        self.state().closing = true;
    }

    /// The thread is to end.
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.changed();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// How many are out.
    pub(crate) fn out(&self) -> usize {
        self.state().windows.values().map(out).sum()
    }
}

fn out(assigned: &Assigned) -> usize {
    assigned.window.out()
}

impl State {
    /// From one partition after the other, so that none waits for another.
    fn pick(&mut self, now: Instant) -> Option<Ticket> {
        let after = |place: &&Place| self.last.as_ref().is_none_or(|last| *place > last);
        let mut places: Vec<Place> = self.windows.keys().filter(after).cloned().collect();
        let before = self.windows.keys().filter(|place| !after(place)).cloned();
        places.extend(before);
        for place in places {
            let Some(assigned) = self.windows.get_mut(&place) else { continue };
            if assigned.leaving {
                continue;
            }
            if let Some(pick) = assigned.window.pick(now) {
                self.last = Some(place.clone());
                return Some(Ticket { place, since: assigned.since, pick });
            }
        }
        None
    }

    fn due(&self, which: impl Fn(&Place) -> bool) -> Offsets {
        let some = self.windows.iter().filter(|(place, _)| which(place));
        let due = some.filter_map(|(place, assigned)| {
            Some((place.clone(), (assigned.since, assigned.window.due()?)))
        });
        due.collect()
    }

    /// Also where the connection was lost meanwhile: what is committed is committed.
    fn committed(&mut self, place: &Place, since: u64, point: i64) {
        if let Some(assigned) = self.windows.get_mut(place)
            && assigned.since >= since
        {
            assigned.window.committed(point);
        }
    }
}
