//! The order of one consumer's messages. Pure: what arrived and what the server says of the
//! consumer goes in, what may be handed out comes out.
//!
//! The server gives what was lost on its way only after a pause, and newer messages in between. But
//! it numbers deliveries without gaps, so that a loss is seen at the next one; and it says how many
//! messages it believes to be out. While those are more than what is here, everything that arrived
//! waits; then it goes on in the order of the stream.

use std::collections::{BTreeMap, BTreeSet};

/// What the server says of a consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    /// How many messages are out and not acknowledged.
    pub(crate) pending: u64,
    /// The place in the stream of the newest that it has given.
    pub(crate) newest: u64,
}

/// Whether what arrives may be handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It is all there.
    Even,
    /// It is not known: the server is to be asked.
    Unknown,
    /// So many are on their way again.
    Behind(u64),
}

/// The messages of one consumer that are here, by their place in the stream; `R` is what it takes
/// to settle one, `M` the message besides.
#[derive(Debug)]
pub(crate) struct Order<M, R> {
    phase: Phase,
    /// The number of the next delivery, when one has come.
    next: Option<u64>,
    waiting: BTreeMap<u64, (M, R)>,
    out: BTreeMap<u64, R>,
    /// Sent back: with the server, which counts them as out.
    away: BTreeSet<u64>,
    newest: u64,
}

impl<M, R: Clone> Order<M, R> {
    /// Nothing is here, and nothing is known of what another had.
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Unknown,
            next: None,
            waiting: BTreeMap::new(),
            out: BTreeMap::new(),
            away: BTreeSet::new(),
            newest: 0,
        }
    }

    /// A delivery of this number came, of a message that is not for here.
    pub(crate) fn skipped(&mut self, delivery: u64) {
        if self.next.is_some_and(|next| next != delivery) {
            self.phase = Phase::Unknown;
        }
        self.next = Some(delivery + 1);
    }

    /// A delivery came, with a message of this place.
    pub(crate) fn arrived(&mut self, (delivery, place): (u64, u64), message: M, reply: R) {
        self.skipped(delivery);
        self.away.remove(&place);
        self.newest = self.newest.max(place);
        // The server may give again what a handler has already: there it stays.
        if let Some(known) = self.out.get_mut(&place) {
            *known = reply;
        } else {
            self.waiting.insert(place, (message, reply));
        }
    }

    /// Whether the server is to be asked, now or a little later.
    pub(crate) fn is_even(&self) -> bool {
        self.phase == Phase::Even
    }

    /// How many are on their way again, as far as is known.
    pub(crate) fn missing(&self) -> Option<u64> {
        match self.phase {
            Phase::Behind(missing) => Some(missing),
            _ => None,
        }
    }

    /// What the server says, asked after everything that has arrived here was handled.
    pub(crate) fn learn(&mut self, known: Known) {
        let upto = ..=known.newest;
        let here = self.waiting.range(upto).count() + self.out.range(upto).count();
        let here = u64::try_from(here + self.away.len()).unwrap_or(u64::MAX);
        self.phase = match known.pending.saturating_sub(here) {
            0 => Phase::Even,
            missing => Phase::Behind(missing),
        };
    }

    /// Waits no longer for what is on its way: it is with somebody who is at work on it, or was
    /// sent back to come much later.
    pub(crate) fn give_up(&mut self) {
        self.phase = Phase::Even;
    }

    /// The next that may be handed out.
    pub(crate) fn hand_out(&mut self) -> Option<(u64, M, R)> {
        if self.phase != Phase::Even {
            return None;
        }
        let (place, (message, reply)) = self.waiting.pop_first()?;
        self.out.insert(place, reply.clone());
        Some((place, message, reply))
    }

    /// Whether a handler still has it.
    pub(crate) fn is_out(&self, place: u64) -> bool {
        self.out.contains_key(&place)
    }

    /// A handler has it no longer; where it was sent back, it comes again.
    pub(crate) fn settled(&mut self, place: u64, sent_back: bool) -> bool {
        let was = self.out.remove(&place).is_some();
        if was && sent_back {
            self.away.insert(place);
        }
        was
    }

    /// How many are here.
    pub(crate) fn here(&self) -> usize {
        self.waiting.len() + self.out.len()
    }

    /// How many a handler has.
    pub(crate) fn handed(&self) -> usize {
        self.out.len()
    }

    /// How to settle each that is here, in the order of the stream.
    pub(crate) fn replies(&self) -> Vec<R> {
        let waiting = self.waiting.iter().map(|(place, (_, reply))| (place, reply));
        let mut all = self.out.iter().chain(waiting).collect::<Vec<_>>();
        all.sort_unstable_by_key(|(place, _)| **place);
        all.into_iter().map(|(_, reply)| reply.clone()).collect()
    }

    /// Forgets what was not handed out: it is with the server again.
    pub(crate) fn send_back_waiting(&mut self) -> Vec<R> {
        let waiting = std::mem::take(&mut self.waiting);
        self.away.extend(waiting.keys());
        waiting.into_values().map(|(_, reply)| reply).collect()
    }

    /// The connection is another: forgets all that is here, and what it takes to send each back.
    pub(crate) fn forget(&mut self) -> Vec<R> {
        let replies = self.replies();
        self.waiting.clear();
        self.out.clear();
        self.phase = Phase::Unknown;
        self.next = None;
        replies
    }

    /// From where a new consumer has to begin, so that nothing is left out.
    pub(crate) fn from(&self) -> Option<u64> {
        let places = self.waiting.keys().chain(self.out.keys()).chain(&self.away);
        places.min().copied().or_else(|| (self.newest > 0).then_some(self.newest + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u64; 0] = [];

    fn even() -> Order<(), u64> {
        let mut order = Order::new();
        order.learn(Known { pending: 0, newest: 0 });
        order
    }

    fn all(order: &mut Order<(), u64>) -> Vec<u64> {
        std::iter::from_fn(|| order.hand_out()).map(|(place, ..)| place).collect()
    }

    #[test]
    fn what_comes_without_a_gap_goes_at_once() {
        let mut order = even();
        order.arrived((1, 10), (), 10);
        order.arrived((2, 12), (), 12);
        assert_eq!(all(&mut order), [10, 12]);
        assert!(order.is_out(12) && order.settled(12, false) && !order.settled(12, false));
    }

    #[test]
    fn what_was_lost_on_its_way_goes_before_what_is_newer() {
        let mut order = even();
        order.arrived((1, 10), (), 10);
        assert_eq!(all(&mut order), [10]);
        // 11 was delivered as number 2, and lost.
        order.arrived((3, 12), (), 12);
        assert_eq!((all(&mut order), order.is_even()), (vec![], false));
        order.learn(Known { pending: 3, newest: 12 });
        assert_eq!(all(&mut order), NONE);
        order.arrived((4, 13), (), 13);
        order.arrived((5, 11), (), 11);
        assert_eq!(all(&mut order), NONE, "the server was not asked yet");
        order.learn(Known { pending: 4, newest: 13 });
        assert_eq!(all(&mut order), [11, 12, 13]);
    }

    #[test]
    fn who_takes_over_waits_for_what_the_other_had() {
        let mut order = Order::<(), u64>::new();
        order.arrived((7, 12), (), 12);
        order.learn(Known { pending: 3, newest: 12 });
        assert_eq!(all(&mut order), NONE);
        // One is acknowledged there after all, one comes.
        order.arrived((8, 10), (), 10);
        order.learn(Known { pending: 2, newest: 12 });
        assert_eq!(all(&mut order), [10, 12]);
    }

    #[test]
    fn what_was_sent_back_holds_nothing_up() {
        let mut order = even();
        order.arrived((1, 10), (), 10);
        assert_eq!(all(&mut order), [10]);
        order.settled(10, true);
        order.arrived((3, 12), (), 12);
        // 11 was lost, was given to nobody else, and was acknowledged by somebody.
        order.learn(Known { pending: 2, newest: 12 });
        assert_eq!(all(&mut order), [12]);
        order.arrived((4, 10), (), 10);
        assert_eq!(all(&mut order), [10]);
    }

    #[test]
    fn what_comes_twice_is_handed_out_once() {
        let mut order = even();
        order.arrived((1, 10), (), 1);
        assert_eq!(all(&mut order), [10]);
        order.arrived((2, 10), (), 2);
        assert_eq!(all(&mut order), NONE);
        assert_eq!(order.replies(), [2]);
    }

    #[test]
    fn after_another_connection_all_comes_again_in_order() {
        let mut order = even();
        for n in 1..=4 {
            order.arrived((n, n), (), n);
        }
        assert_eq!((order.hand_out().map(|(place, ..)| place), order.here()), (Some(1), 4));
        assert_eq!((order.forget(), order.here()), (vec![1, 2, 3, 4], 0));
        assert!(!order.settled(1, false), "a handler of before has it no longer");
        order.arrived((5, 2), (), 2);
        order.arrived((6, 1), (), 1);
        order.learn(Known { pending: 4, newest: 4 });
        assert_eq!(all(&mut order), NONE);
        order.give_up();
        assert_eq!(all(&mut order), [1, 2]);
    }

    #[test]
    fn a_new_consumer_begins_with_the_oldest_that_is_not_settled() {
        let mut order = even();
        assert_eq!(order.from(), None);
        order.arrived((1, 10), (), 1);
        order.arrived((2, 11), (), 2);
        assert_eq!((all(&mut order), order.from()), (vec![10, 11], Some(10)));
        order.settled(10, false);
        order.settled(11, false);
        assert_eq!(order.from(), Some(12));
    }
}
