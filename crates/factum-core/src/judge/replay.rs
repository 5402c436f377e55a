//! Whether an append was done before: the key is (stream, id).
//!
//! All events stored, each stream's at consecutive revisions in the order given: the first receipt,
//! and no check is judged. Some only, or in another order: the ids are reused. None: a new append.
//!
//! One exception is KurrentDB's: where every written stream is expected *at* the number it has, the
//! events are written (again), as a number that is right cannot be a retry's.

use super::{FoundAt, Heads, Listed, Refusal, View};
use crate::{
    Append, AppendError, Check, Expected, Position, Receipt, Revision, StreamName, StreamState,
    Written,
};

/// `places` says which of the heads is that of each event's stream; there are no other heads yet.
pub(super) fn replayed<V: View>(
    append: &Append,
    places: &[usize],
    view: &mut V,
    heads: &mut Heads,
) -> Result<Option<Receipt>, Refusal<V::Error>> {
    let expected = expectations(append, heads);
    if append.events.is_empty() || numbers_are_right(&expected, heads) {
        return Ok(None);
    }
    let mut hints: Vec<_> = expected.into_iter().map(hint).collect();
    let mut done = Done::default();
    let mut missing = false;
    for ((stream, event), place) in append.events.iter().zip(places) {
        // A stream without events has none of these.
        let known = match heads.at(*place).last {
            None => None,
            Some(_) => {
                let hint = hints.get_mut(*place).and_then(Option::as_mut);
                let at = hint.as_deref().copied();
                if let Some(hint) = hint {
                    hint.0 = hint.0.saturating_add(1);
                }
                view.find(stream, event.id, at).map_err(Refusal::View)?
            }
        };
        let in_order = known.is_none_or(|known| done.add(stream, *place, known));
        missing |= known.is_none();
        let first = done.first.or(known.map(|known| (event.id, known)));
        done.first = first;
        if let (Some((id, at)), true) = (first, missing || !in_order) {
            return Err(AppendError::IdReused { id, at: at.position }.into());
        }
    }
    Ok(done.receipt())
}

/// Whether every written stream has a numbered check that holds (or does not exist, as expected).
fn numbers_are_right(expected: &[Option<Expected>], heads: &mut Heads) -> bool {
    expected.iter().enumerate().all(|(place, expected)| match (expected, heads.at(place).state()) {
        (Some(Expected::At(at)), StreamState::Live { last } | StreamState::Deleted { last }) => {
            *at == last
        }
        (Some(Expected::NoStream), StreamState::Absent) => true,
        _ => false,
    })
}

/// What each written stream must be like, by its place among the heads.
fn expectations(append: &Append, heads: &Heads) -> Vec<Option<Expected>> {
    let mut of_places = vec![None; heads.len()];
    for check in &append.checks {
        let Check::Stream { stream, expected } = check else { continue };
        let place = heads.find(stream).and_then(|place| of_places.get_mut(place));
        if let Some(place) = place {
            *place = Some(*expected);
        }
    }
    of_places
}

/// Where a retry's events would stand, by the number that the first attempt expected.
fn hint(expected: Option<Expected>) -> Option<Revision> {
    match expected? {
        Expected::At(at) => Some(Revision(at.0.saturating_add(1))),
        Expected::NoStream => Some(Revision(0)),
        Expected::Exists => None,
    }
}

#[derive(Default)]
struct Done {
    first: Option<(uuid::Uuid, FoundAt)>,
    position: Position,
    streams: Vec<Written>,
    listed: Listed,
}

impl Done {
    /// Takes in an event that is stored; whether it stands where the append would have put it.
    fn add(&mut self, stream: &StreamName, place: usize, known: FoundAt) -> bool {
        let in_order = known.position > self.position;
        self.position = self.position.max(known.position);
        match self.listed.of(place).and_then(|index| self.streams.get_mut(index)) {
            Some(written) => {
                let next = written.last.0 + 1 == known.revision.0;
                written.last = known.revision;
                in_order && next
            }
            None => {
                self.listed.add(place, self.streams.len());
                let (stream, revision) = (stream.clone(), known.revision);
                self.streams.push(Written { stream, first: revision, last: revision });
                in_order
            }
        }
    }

    fn receipt(self) -> Option<Receipt> {
        self.first.map(|_| Receipt {
            position: self.position,
            streams: self.streams,
            replayed: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Append, AppendError, EventData, EventStore, EventType, Expected, MemoryStore, Position,
        Revision, StreamName,
    };
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };
    use uuid::Uuid;

    fn ask(store: &MemoryStore, append: &Append) -> Result<(Position, bool), AppendError> {
        let asked = pin!(store.append(append.clone()));
        let Poll::Ready(answer) = asked.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a store in memory answers at once")
        };
        answer.map(|receipt| (receipt.position, receipt.replayed))
    }

    /// Cause: the simulation of lost replies found an id twice in a stream.
    /// It is the rule: a number that is right cannot be a retry's, so the append is done, though
    /// another one wrote one of its events after it had been refused. Ids are no keys.
    #[test]
    fn what_was_refused_is_done_later_though_another_append_wrote_its_event_meanwhile() {
        let store = MemoryStore::new();
        let stream = StreamName::new("a-1").unwrap();
        let event = |id| EventData::new(Uuid::from_u128(id), EventType::new("t").unwrap(), "{}");
        let numbered = Append::to(stream.clone(), [event(1)])
            .expecting(stream.clone(), Expected::At(Revision(1)));
        assert!(matches!(ask(&store, &numbered), Err(AppendError::Conflict { .. })));
        let other = Append::to(stream, [event(1), event(2)]);
        assert_eq!(ask(&store, &other), Ok((Position(2), false)));
        assert_eq!(ask(&store, &numbered), Ok((Position(3), false)));
        // One with a number is answered as when it was done. One without, whose event is there
        // twice by now, is told so, and is not written again.
        assert_eq!(ask(&store, &numbered), Ok((Position(3), true)));
        assert!(matches!(ask(&store, &other), Err(AppendError::IdReused { .. })));
    }
}
