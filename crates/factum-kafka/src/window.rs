//! What was taken of one partition and is not committed: what waits, what is out, what is settled
//! behind something that is not. Pure: no client, no clock.
//!
//! What must hold: the offset that may be committed never passes a message that is not settled; of
//! messages with one key the earliest that waits goes first.

use crate::binding::Record;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Instant,
};
use tokio::sync::oneshot;

/// Tells who acknowledged that the broker knows; dropped, that it does not.
pub(crate) type Known = oneshot::Sender<()>;

/// What goes on behind a message that waits for its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Handing {
    /// Messages with other keys: each is settled for itself.
    #[default]
    ByKey,
    /// Nothing: what was handed out is always all up to some offset.
    InLine,
}

#[derive(Debug, Default)]
pub(crate) struct Window {
    handing: Handing,
    slots: BTreeMap<i64, Slot>,
    waiting: BTreeSet<i64>,
    /// After all that was taken.
    next: Option<i64>,
    /// What the broker is known to have committed, or where it began.
    committed: i64,
    /// How many are out.
    out: usize,
}

#[derive(Debug)]
struct Slot {
    record: Arc<Record>,
    state: State,
    /// How often it was handed out.
    attempts: u32,
}

#[derive(Debug)]
enum State {
    Waiting { until: Option<Instant> },
    Out,
    Settled { known: Option<Known> },
}

/// What is handed out.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) offset: i64,
    pub(crate) record: Arc<Record>,
    pub(crate) attempt: u32,
}

impl Window {
    pub(crate) fn new(handing: Handing) -> Self {
        Self { handing, ..Self::default() }
    }

    /// A message came from the broker. What is there already came twice.
    pub(crate) fn take(&mut self, offset: i64, record: Record) {
        if self.next.is_some_and(|next| offset < next) {
            return;
        }
        if self.next.is_none() {
            self.committed = offset;
        }
        self.next = Some(offset + 1);
        let state = State::Waiting { until: None };
        self.slots.insert(offset, Slot { record: Arc::new(record), state, attempts: 0 });
        self.waiting.insert(offset);
    }

    /// The next to be handed out: not before its time, and not before one with its key.
    pub(crate) fn pick(&mut self, now: Instant) -> Option<Pick> {
        let mut held: HashSet<&[u8]> = HashSet::new();
        let mut found = None;
        for offset in &self.waiting {
            let Some(slot) = self.slots.get(offset) else { continue };
            let key = slot.record.key.as_deref();
            if key.is_some_and(|key| held.contains(key)) {
                continue;
            }
            if slot.waits(now) {
                if self.handing == Handing::InLine {
                    return None;
                }
                held.extend(key);
                continue;
            }
            found = Some(*offset);
            break;
        }
        let offset = found?;
        self.waiting.remove(&offset);
        let slot = self.slots.get_mut(&offset)?;
        slot.state = State::Out;
        self.out += 1;
        slot.attempts += 1;
        Some(Pick { offset, record: Arc::clone(&slot.record), attempt: slot.attempts })
    }

    /// When something that waits for its time may go, at the earliest.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        let slots = self.waiting.iter().filter_map(|offset| self.slots.get(offset));
        let times = slots.filter_map(|slot| match slot.state {
            State::Waiting { until } => until,
            _ => None,
        });
        times.min()
    }

    /// What is out is settled. Whether the broker is to know of it now; otherwise it will, when
    /// those before it are settled, and `known` is told at once.
    pub(crate) fn settle(&mut self, offset: i64, known: Known) {
        let Some(slot) = self.slots.get_mut(&offset) else { return };
        self.out -= usize::from(slot.is_out());
        slot.state = State::Settled { known: None };
        if self.point().is_some_and(|point| point > offset) {
            if let Some(slot) = self.slots.get_mut(&offset) {
                slot.state = State::Settled { known: Some(known) };
            }
        } else {
            // Nobody waits for it who may be gone.
            let _ = known.send(());
        }
    }

    /// What was out, or of whose settlement the broker does not know, waits again.
    pub(crate) fn give_back(&mut self, offset: i64, until: Option<Instant>) {
        if let Some(slot) = self.slots.get_mut(&offset) {
            self.out -= usize::from(slot.is_out());
            slot.state = State::Waiting { until };
            self.waiting.insert(offset);
        }
    }

    /// Everything that is not known to be settled waits again.
    pub(crate) fn give_all_back(&mut self) {
        self.out = 0;
        for (offset, slot) in &mut self.slots {
            if matches!(slot.state, State::Out | State::Settled { known: Some(_) }) {
                slot.state = State::Waiting { until: None };
                self.waiting.insert(*offset);
            }
        }
    }

    /// The offset to be committed, if there is one that the broker does not have yet: that of the
    /// first message that is not settled.
    pub(crate) fn due(&self) -> Option<i64> {
        self.point().filter(|point| *point > self.committed)
    }

    fn point(&self) -> Option<i64> {
        let open = |slot: &Slot| !matches!(slot.state, State::Settled { .. });
        let first = self.slots.iter().find(|(_, slot)| open(slot)).map(|(offset, _)| *offset);
        if self.slots.is_empty() { None } else { first.or(self.next) }
    }

    /// The broker has committed this offset.
    pub(crate) fn committed(&mut self, point: i64) {
        self.committed = self.committed.max(point);
        let rest = self.slots.split_off(&point);
        for (offset, slot) in std::mem::replace(&mut self.slots, rest) {
            self.waiting.remove(&offset);
            // It was handed out again, as the connection was lost while its commit was under way:
            // whoever has it can settle nothing here any more.
            self.out -= usize::from(slot.is_out());
            if let State::Settled { known: Some(known) } = slot.state {
                let _ = known.send(());
            }
        }
    }

    pub(crate) fn out(&self) -> usize {
        self.out
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

impl Slot {
    fn is_out(&self) -> bool {
        matches!(self.state, State::Out)
    }

    fn waits(&self, now: Instant) -> bool {
        matches!(self.state, State::Waiting { until: Some(until) } if until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn record(key: &str) -> Record {
        Record { key: Some(key.as_bytes().to_vec()), ..Record::default() }
    }

    fn window(keys: &[&str]) -> Window {
        let mut window = Window::default();
        for (offset, key) in (10..).zip(keys) {
            // With gaps, as markers of transactions and compaction leave them.
            window.take(offset * 2, record(key));
        }
        window
    }

    fn pick(window: &mut Window) -> i64 {
        window.pick(Instant::now()).map_or(-1, |pick| pick.offset)
    }

    fn settle(window: &mut Window, offset: i64) -> oneshot::Receiver<()> {
        let (known, told) = oneshot::channel();
        window.settle(offset, known);
        told
    }

    #[test]
    fn no_offset_passes_what_is_not_settled() {
        let mut window = window(&["a", "b", "c"]);
        assert_eq!((pick(&mut window), pick(&mut window), pick(&mut window)), (20, 22, 24));
        let mut third = settle(&mut window, 24);
        assert_eq!(window.due(), None);
        assert!(third.try_recv().is_ok(), "who is behind is not kept waiting");
        let mut first = settle(&mut window, 20);
        assert!((window.due(), first.try_recv().is_err()) == (Some(22), true));
        window.committed(22);
        assert!((window.due(), first.try_recv().is_ok()) == (None, true));
        settle(&mut window, 22);
        assert_eq!(window.due(), Some(25));
        window.committed(25);
        assert_eq!((window.due(), window.len()), (None, 0));
    }

    #[test]
    fn what_is_sent_back_holds_its_key_and_no_other() {
        let mut window = window(&["a", "a", "b"]);
        assert_eq!(pick(&mut window), 20);
        let later = Instant::now() + Duration::from_secs(60);
        window.give_back(20, Some(later));
        assert_eq!((pick(&mut window), pick(&mut window)), (24, -1));
        assert_eq!(window.wakes(), Some(later));
        let again = window.pick(later).unwrap();
        assert_eq!((again.offset, again.attempt), (20, 2));
        assert_eq!(pick(&mut window), 22);
    }

    #[test]
    fn in_line_nothing_passes_what_waits() {
        let mut window = Window::new(Handing::InLine);
        (1..).zip(["a", "b"]).for_each(|(offset, key)| window.take(offset, record(key)));
        assert_eq!(pick(&mut window), 1);
        let later = Instant::now() + Duration::from_secs(60);
        window.give_back(1, Some(later));
        assert_eq!((pick(&mut window), window.pick(later).unwrap().offset), (-1, 1));
        assert_eq!(pick(&mut window), 2);
    }

    #[test]
    fn what_comes_twice_is_taken_once() {
        let mut window = window(&["a", "b"]);
        window.take(20, record("a"));
        assert_eq!((window.len(), pick(&mut window), pick(&mut window)), (2, 20, 22));
    }

    #[test]
    fn what_the_broker_does_not_know_of_comes_again() {
        let mut window = window(&["a", "b", "c"]);
        (0..3).for_each(|_| _ = pick(&mut window));
        let mut told = settle(&mut window, 20);
        window.give_all_back();
        assert!(told.try_recv().is_err());
        assert_eq!((pick(&mut window), pick(&mut window), pick(&mut window)), (20, 22, 24));
        assert_eq!((window.out(), window.waiting()), (3, 0));
    }

    /// A commit outlived the loss of its connection: what it said is settled was out again, and
    /// was counted as out for ever, so that a subscription with a prefetch of 1 stood still.
    #[test]
    fn what_is_committed_while_it_is_out_again_is_not_out() {
        let mut window = window(&["a", "b"]);
        let first = pick(&mut window);
        settle(&mut window, first);
        let due = window.due().unwrap();
        window.give_all_back();
        assert_eq!((pick(&mut window), window.out()), (first, 1));
        window.committed(due);
        assert_eq!((window.out(), window.len()), (0, 1));
        assert_eq!((pick(&mut window), window.out()), (22, 1));
    }
}
