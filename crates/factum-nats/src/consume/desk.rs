//! The desk of a subscription: what is here of each lane, who has it, and how many. All tasks of a
//! subscription meet here, and nowhere else.
//!
//! A lane is one consumer at the server. Its number is never used again: a handler whose lane is
//! gone, or whose connection was another, has nothing left to settle.

use super::order::Order;
use async_nats::{HeaderMap, Message as Arrived, Subject};
use bytes::Bytes;
use factum_app::message::ConsumeError;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) subject: Subject,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) payload: Bytes,
    pub(crate) place: Place,
}

/// What the server says of a delivery, in the subject where it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) stream: String,
    /// How often the message was delivered, this time included.
    pub(crate) attempt: u32,
    /// Its place in the stream.
    pub(crate) place: u64,
    /// The number of the delivery, of this consumer.
    pub(crate) delivery: u64,
}

impl Place {
    /// What is in
    /// `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<attempt>.<place>.<delivery>.…`.
    pub(crate) fn of(reply: &str) -> Option<Self> {
        let words = reply.strip_prefix("$JS.ACK.")?.split('.').collect::<Vec<_>>();
        let words = if words.len() >= 9 { words.get(2..)? } else { &words };
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        let attempt = u32::try_from(number(2)?).unwrap_or(u32::MAX);
        let stream = (*words.first()?).to_owned();
        Some(Self { stream, attempt, place: number(3)?, delivery: number(4)? })
    }
}

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) order: Order<Parcel, Subject>,
    /// Which connection its handlers have theirs of.
    pub(crate) connection: u64,
}

/// What a handler has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slip {
    pub(crate) lane: u64,
    pub(crate) connection: u64,
    pub(crate) place: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) lanes: BTreeMap<u64, Lane>,
    next_lane: u64,
    /// The lane that is looked at first: each gets its turn.
    turn: u64,
    /// Why the subscription cannot go on.
    pub(crate) failed: Option<ConsumeError>,
    /// The subscription was dropped: nothing is anybody's any more.
    ended: bool,
    /// Dropped unsettled, and to be sent back.
    pub(crate) dropped: Vec<Subject>,
}

/// What a lane may ask for.
pub(crate) enum Room {
    /// So many messages.
    For(usize),
    /// What is on its way again, and as few that are newer as can be: those wait for it.
    ForMissing(u64),
    /// Nothing, until the server was asked what is out.
    None,
}

#[derive(Debug)]
pub(crate) struct Desk {
    inner: Mutex<Inner>,
    limit: usize,
    /// There may be a message to hand out.
    pub(crate) ready: Notify,
    /// Something was settled or dropped: there is room.
    pub(crate) room: Notify,
}

impl Desk {
    pub(crate) fn new(limit: u16) -> Self {
        let (ready, room) = (Notify::new(), Notify::new());
        Self { inner: Mutex::default(), limit: usize::from(limit), ready, room }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lane more.
    pub(crate) fn open(&self, connection: u64) -> u64 {
        let mut inner = self.lock();
        let number = inner.next_lane;
        inner.next_lane += 1;
        inner.lanes.insert(number, Lane { order: Order::new(), connection });
        number
    }

    /// A lane less; what is to be sent back of it.
    pub(crate) fn close(&self, lane: u64) -> Vec<Subject> {
        let lane = self.lock().lanes.remove(&lane);
        self.ready.notify_one();
        lane.map_or_else(Vec::new, |mut lane| lane.order.forget())
    }

    /// Does something with a lane, if it is still there.
    pub(crate) fn with<T>(&self, lane: u64, then: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        let done = self.lock().lanes.get_mut(&lane).map(then);
        self.ready.notify_one();
        done
    }

    /// What this lane may ask for.
    pub(crate) fn room_of(&self, lane: u64) -> Room {
        let inner = self.lock();
        let Some(lane) = inner.lanes.get(&lane) else { return Room::None };
        match (lane.order.is_even(), lane.order.missing()) {
            (true, _) => Room::For(self.limit.saturating_sub(lane.order.here())),
            (false, Some(missing)) => Room::ForMissing(missing),
            (false, None) => Room::None,
        }
    }

    /// The next message, if one may be handed out.
    pub(crate) fn hand_out(&self) -> Result<Option<(Slip, Parcel, Subject)>, ConsumeError> {
        let mut inner = self.lock();
        if let Some(failed) = &inner.failed {
            return Err(failed.clone());
        }
        let handed: usize = inner.lanes.values().map(|lane| lane.order.handed()).sum();
        if handed >= self.limit {
            return Ok(None);
        }
        let turn = inner.turn;
        let (before, after): (Vec<u64>, Vec<u64>) =
            inner.lanes.keys().partition(|number| **number < turn);
        for number in after.into_iter().chain(before) {
            let Some(lane) = inner.lanes.get_mut(&number) else { continue };
            if let Some((place, parcel, reply)) = lane.order.hand_out() {
                let slip = Slip { lane: number, connection: lane.connection, place };
                inner.turn = number + 1;
                return Ok(Some((slip, parcel, reply)));
            }
        }
        Ok(None)
    }

    /// Whether this is still a handler's to settle.
    pub(crate) fn holds(&self, slip: Slip) -> bool {
        let inner = self.lock();
        let lane = inner.lanes.get(&slip.lane);
        let has = |l: &Lane| l.connection == slip.connection && l.order.is_out(slip.place);
        !inner.ended && lane.is_some_and(has)
    }

    /// A handler has it no longer; false if it had it no longer before.
    pub(crate) fn settle(&self, slip: Slip, sent_back: bool) -> bool {
        let mut inner = self.lock();
        let lane = inner.lanes.get_mut(&slip.lane);
        let had = lane.is_some_and(|lane| {
            lane.connection == slip.connection && lane.order.settled(slip.place, sent_back)
        });
        drop(inner);
        self.ready.notify_one();
        self.room.notify_waiters();
        had
    }

    /// A handler dropped it.
    pub(crate) fn dropped(&self, slip: Slip, reply: Subject) {
        if self.settle(slip, true) {
            self.lock().dropped.push(reply);
            self.room.notify_waiters();
        }
    }

    /// How many handlers have, of one lane or of all.
    pub(crate) fn handed(&self, lane: Option<u64>) -> usize {
        let inner = self.lock();
        let of = |(number, _): &(&u64, &Lane)| lane.is_none_or(|lane| lane == **number);
        inner.lanes.iter().filter(of).map(|(_, lane)| lane.order.handed()).sum()
    }

    /// The subscription was dropped: what handlers have comes again, and is theirs no longer.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
    }

    /// The subscription cannot go on.
    pub(crate) fn fail(&self, error: ConsumeError) {
        self.lock().failed.get_or_insert(error);
        self.ready.notify_one();
    }
}

/// What came, where it is a message.
pub(crate) fn parcel(arrived: Arrived) -> Option<(Parcel, Subject)> {
    let reply = arrived.reply?;
    let place = Place::of(&reply)?;
    let Arrived { subject, headers, payload, .. } = arrived;
    Some((Parcel { subject, headers, payload, place }, reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_subject_are_read() {
        let expect = Place { stream: "S".into(), attempt: 2, place: 30, delivery: 4 };
        let old = "$JS.ACK.S.C.2.30.4.1700000000000000000.5";
        assert_eq!(Place::of(old).as_ref(), Some(&expect));
        let new = "$JS.ACK._.hash.S.C.2.30.4.1700000000000000000.5.token";
        assert_eq!(Place::of(new), Some(expect));
        assert_eq!(Place::of("$JS.ACK.S.C"), None);
        assert_eq!(Place::of("elsewhere"), None);
    }
}
