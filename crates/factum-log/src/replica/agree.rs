//! What is to be done next, and whether the source is the one that this is a replica of: decided
//! from two lists of segments alone.

use crate::{
    copy::{Held, Inventory},
    planted::{Bug, is_on},
};
use factum_core::Uuid;

/// A segment of the replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Own {
    pub(super) base: u64,
    pub(super) seed: u64,
    pub(super) origin: u64,
}

/// What a replica has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mine {
    pub(super) store: Uuid,
    /// The position of its last event.
    pub(super) head: u64,
    /// The end of its newest segment.
    pub(super) tail: u64,
    /// The newest segment has its seal.
    pub(super) is_sealed: bool,
    /// From the first on that the inventory names; the last one is the newest.
    pub(super) segments: Vec<Own>,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Todo {
    /// There is nothing to do.
    Nothing,
    /// The source has more of the newest segment.
    Grow(Held),
    /// The source has another newest segment in this place: it was rewritten, or had no event.
    Anew(Held),
    /// The newest segment is whole, and this one follows it.
    Next(Held),
    /// A sealed segment was rewritten.
    Replace(Held),
}

/// How the source is not the one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unlike {
    /// It is another store.
    Store,
    /// It does not have all that is here.
    Shorter,
    /// It has another history, which differs in the segment of this base.
    From(u64),
}

/// What to do next, by what there is and what the source has.
///
/// What was rewritten comes last: the metadata that says why its events went is there then.
pub(super) fn decide(mine: &Mine, theirs: &Inventory) -> Result<Todo, Unlike> {
    if mine.store != theirs.store {
        return Err(Unlike::Store);
    }
    let Some((newest, sealed)) = mine.segments.split_last() else {
        return Err(Unlike::Shorter);
    };
    for own in sealed {
        same_history(own, mine, theirs)?;
    }
    // One without an event was replaced by another of the same base, when it had to be sealed.
    let is_empty = mine.head < newest.base;
    let held = match theirs.segment(newest.base) {
        Some(held) if is_empty && held.origin != newest.origin => return Ok(Todo::Anew(*held)),
        _ => same_history(newest, mine, theirs)?,
    };
    let before = theirs.segments.iter().take_while(|held| held.base < newest.base);
    let unknown = |held: &&Held| sealed.binary_search_by_key(&held.base, |own| own.base).is_err();
    if let Some(held) = before.clone().find(unknown) {
        return Err(Unlike::From(held.base));
    }
    if held.seed != newest.seed {
        return Ok(Todo::Anew(*held));
    }
    if held.end < mine.tail {
        return Err(Unlike::Shorter);
    }
    let next = theirs.segments.iter().find(|held| held.base > newest.base);
    let rewritten = before.zip(sealed).find(|(held, own)| held.seed != own.seed);
    Ok(match (mine.is_sealed, next, rewritten) {
        (true, Some(next), _) => Todo::Next(*next),
        (false, _, _) if held.end > mine.tail => Todo::Grow(*held),
        (_, _, Some((held, _))) if !is_on(Bug::ReplicaKeepsOld) => Todo::Replace(*held),
        _ => Todo::Nothing,
    })
}

/// The source's segment in the place of this one, if it is of the same history.
fn same_history<'a>(own: &Own, mine: &Mine, theirs: &'a Inventory) -> Result<&'a Held, Unlike> {
    let is_longer = theirs.head.0 >= mine.head;
    match theirs.segment(own.base) {
        Some(held) if held.origin == own.origin => Ok(held),
        None if !is_longer => Err(Unlike::Shorter),
        _ => Err(Unlike::From(own.base)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::Position;

    const STORE: Uuid = Uuid::from_u128(7);

    fn own(base: u64, seed: u64) -> Own {
        Own { base, seed, origin: base * 10 }
    }

    fn held(base: u64, seed: u64, end: u64) -> Held {
        Held { base, seed, origin: base * 10, end, is_sealed: false }
    }

    /// Two segments, the second of which has two events, at 100 to 101, and ends at byte 5000.
    fn mine() -> Mine {
        let segments = vec![own(1, 1), own(100, 2)];
        Mine { store: STORE, head: 101, tail: 5000, is_sealed: false, segments }
    }

    fn theirs(head: u64, segments: &[Held]) -> Inventory {
        Inventory { store: STORE, head: Position(head), segments: segments.to_vec() }
    }

    #[track_caller]
    fn check(mine: &Mine, theirs: &Inventory, expected: Result<Todo, Unlike>) {
        assert_eq!(decide(mine, theirs), expected);
    }

    #[test]
    fn the_same_is_left_alone_and_more_is_taken() {
        let first = held(1, 1, 9000);
        check(&mine(), &theirs(101, &[first, held(100, 2, 5000)]), Ok(Todo::Nothing));
        let longer = held(100, 2, 6000);
        check(&mine(), &theirs(105, &[first, longer]), Ok(Todo::Grow(longer)));
        // The rest of the newest segment comes before the one after it.
        let after = held(200, 3, 5000);
        check(&mine(), &theirs(250, &[first, longer, after]), Ok(Todo::Grow(longer)));
        let sealed = Mine { is_sealed: true, ..mine() };
        check(&sealed, &theirs(250, &[first, longer, after]), Ok(Todo::Next(after)));
        check(&sealed, &theirs(101, &[first, longer]), Ok(Todo::Nothing));
        // A list of the newest segments only.
        check(
            &Mine { segments: vec![own(100, 2)], ..mine() },
            &theirs(105, &[longer]),
            Ok(Todo::Grow(longer)),
        );
    }

    #[test]
    fn what_was_rewritten_is_taken_anew_once_the_rest_is_there() {
        let rewritten = held(1, 9, 9000);
        let same = held(100, 2, 5000);
        check(&mine(), &theirs(101, &[rewritten, same]), Ok(Todo::Replace(rewritten)));
        let longer = held(100, 2, 6000);
        check(&mine(), &theirs(105, &[rewritten, longer]), Ok(Todo::Grow(longer)));
        let newest = held(100, 8, 4500);
        let first = held(1, 1, 9000);
        check(&mine(), &theirs(300, &[first, newest, held(200, 3, 1)]), Ok(Todo::Anew(newest)));
    }

    #[test]
    fn a_segment_without_events_may_be_another_one() {
        let empty = Mine { head: 99, ..mine() };
        let other = Held { origin: 5, ..held(100, 6, 4200) };
        check(&empty, &theirs(99, &[held(1, 1, 9000), other]), Ok(Todo::Anew(other)));
        check(&mine(), &theirs(101, &[held(1, 1, 9000), other]), Err(Unlike::From(100)));
    }

    #[test]
    fn another_store_or_history_is_refused() {
        let (first, second) = (held(1, 1, 9000), held(100, 2, 5000));
        let other = Inventory { store: Uuid::from_u128(8), ..theirs(101, &[first, second]) };
        check(&mine(), &other, Err(Unlike::Store));
        check(&mine(), &theirs(101, &[first, held(100, 2, 4999)]), Err(Unlike::Shorter));
        check(&mine(), &theirs(99, &[first]), Err(Unlike::Shorter));
        check(&mine(), &theirs(0, &[]), Err(Unlike::Shorter));
        let restored = Held { origin: 11, ..first };
        check(&mine(), &theirs(500, &[restored, second]), Err(Unlike::From(1)));
        // It was sealed elsewhere.
        check(&mine(), &theirs(500, &[first, held(90, 4, 1)]), Err(Unlike::From(100)));
        check(&mine(), &theirs(500, &[first, held(90, 4, 1), second]), Err(Unlike::From(90)));
    }
}
