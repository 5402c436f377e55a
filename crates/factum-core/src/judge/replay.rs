//! Whether an append was done before: the key is (stream, id).
//!
//! All events stored, each stream's at consecutive revisions in the order given: the first receipt,
//! and no check is judged. Some only, or in another order: the ids are reused. None: a new append.
//!
//! One exception is KurrentDB's: where every written stream is expected *at* the number it has, the
//! events are written (again), as a number that is right cannot be a retry's.

use super::{FoundAt, Heads, Refusal, View};
use crate::{
    Append, AppendError, Check, Expected, Position, Receipt, Revision, StreamName, StreamState,
    Written,
};
use std::collections::HashMap;

pub(super) fn replayed<V: View>(
    append: &Append,
    view: &mut V,
    heads: &mut Heads,
) -> Result<Option<Receipt>, Refusal<V::Error>> {
    if append.events.is_empty() || numbers_are_right(append, view, heads)? {
        return Ok(None);
    }
    let mut hints = hints(append);
    let mut done = Done::default();
    let mut missing = false;
    for (stream, event) in &append.events {
        // A stream without events has none of these.
        let known = match heads.get(view, stream)?.last {
            None => None,
            Some(_) => {
                let hint = hints.get_mut(stream);
                let at = hint.as_ref().map(|hint| **hint);
                if let Some(hint) = hint {
                    hint.0 = hint.0.saturating_add(1);
                }
                view.find(stream, event.id, at).map_err(Refusal::View)?
            }
        };
        let in_order = known.is_none_or(|known| done.add(stream, known));
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
fn numbers_are_right<V: View>(
    append: &Append,
    view: &mut V,
    heads: &mut Heads,
) -> Result<bool, Refusal<V::Error>> {
    let expected = expectations(append);
    for (stream, _) in &append.events {
        let Some(expected) = expected.get(stream) else {
            return Ok(false);
        };
        let right = match (expected, heads.get(view, stream)?.state()) {
            (Expected::At(at), StreamState::Live { last } | StreamState::Deleted { last }) => {
                *at == last
            }
            (Expected::NoStream, StreamState::Absent) => true,
            _ => false,
        };
        if !right {
            return Ok(false);
        }
    }
    Ok(true)
}

fn expectations(append: &Append) -> HashMap<&StreamName, Expected> {
    let of = |check| match check {
        &Check::Stream { ref stream, expected } => Some((stream, expected)),
        Check::NoMatch { .. } => None,
    };
    append.checks.iter().filter_map(of).collect()
}

/// Where a retry's events would stand, by the number that the first attempt expected.
fn hints(append: &Append) -> HashMap<&StreamName, Revision> {
    let of = |(stream, expected)| match expected {
        Expected::At(at) => Some((stream, Revision(at.0.saturating_add(1)))),
        Expected::NoStream => Some((stream, Revision(0))),
        Expected::Exists => None,
    };
    expectations(append).into_iter().filter_map(of).collect()
}

#[derive(Default)]
struct Done {
    first: Option<(uuid::Uuid, FoundAt)>,
    position: Position,
    streams: Vec<Written>,
    listed: HashMap<StreamName, usize>,
}

impl Done {
    /// Takes in an event that is stored; whether it stands where the append would have put it.
    fn add(&mut self, stream: &StreamName, known: FoundAt) -> bool {
        let in_order = known.position > self.position;
        self.position = self.position.max(known.position);
        let index = *self.listed.entry(stream.clone()).or_insert(self.streams.len());
        match self.streams.get_mut(index) {
            Some(written) => {
                let next = written.last.0 + 1 == known.revision.0;
                written.last = known.revision;
                in_order && next
            }
            None => {
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
