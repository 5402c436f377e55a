//! A small history that is known by heart, and every way to read it, compared with the plainest
//! answer there is.
//!
//! The plain answer comes from the receipts of the appends, one event each, and from a predicate
//! that the case writes by hand: never from another read.

use super::kit::*;

const SECOND: i64 = 1_000_000_000;
const NOON: i64 = 1_800_000_000 * SECOND;

/// How many events a history has.
const EVENTS: u64 = 36;

/// What is known of an event of the history.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) id: Uuid,
    /// Names without the prefix of the run.
    pub(super) stream: &'static str,
    pub(super) event_type: &'static str,
    pub(super) tags: Vec<&'static str>,
    pub(super) position: Position,
    pub(super) revision: u64,
    /// If the history was written with times.
    pub(super) occurred_at: Option<Timestamp>,
    /// If the clock could be set.
    pub(super) recorded_at: Option<Timestamp>,
}

/// Which optional fields the history's events have.
#[derive(Clone, Copy, Default)]
pub(super) struct With {
    pub(super) tags: bool,
    pub(super) times: bool,
}

/// Writes the history: streams, types and tags in turns of different lengths, so that all
/// combinations occur.
pub(super) async fn write(t: &Trial, with: With) -> Result<Vec<Fact>, Failure> {
    let streams = ["ab-1", "ab-2", "abc-1", "ab", "x-1-2"];
    let types = ["seat.booked", "seat.freed", "seat", "room.closed"];
    let tags = [&["k:1"][..], &["k:2", "k:1"], &[], &["k:2"], &["k:1", "k:2", "k:3"], &["k"], &[]];
    let mut facts = Vec::new();
    for n in 0..EVENTS {
        let turn = |length: usize| (n % length as u64) as usize;
        let recorded_at = Timestamp(NOON + (n / 2).cast_signed() * SECOND);
        t.set_clock(recorded_at);
        let mut fact = Fact {
            id: Uuid::nil(),
            stream: streams[turn(5)],
            event_type: types[turn(4)],
            tags: if with.tags { tags[turn(7)].to_vec() } else { Vec::new() },
            position: Position::START,
            revision: n / 5,
            // Out of order, some of them equal, some left out.
            occurred_at: (with.times && turn(6) != 0)
                .then(|| Timestamp(NOON - ((n * 7) % 11).cast_signed() * SECOND)),
            recorded_at: t.can(Need::Clock).then_some(recorded_at),
        };
        append(t, &mut fact).await?;
        facts.push(fact);
    }
    Ok(facts)
}

async fn append(t: &Trial, fact: &mut Fact) -> Outcome {
    let event = t.tagged(fact.event_type, &fact.tags);
    let event = EventData { occurred_at: fact.occurred_at, ..event };
    fact.id = event.id;
    let stream = t.stream(fact.stream);
    let receipt = t.append(to(&stream, [event])).await?;
    fact.position = receipt.position;
    same("a revision", receipt.streams, vec![written(&stream, fact.revision, fact.revision)]);
    Ok(())
}

/// Reads the selection both ways, from any point, with any limit, and compares.
pub(super) async fn read_every_way(
    t: &Trial,
    select: &Select,
    as_of: AsOf,
    expect: &[Fact],
) -> Outcome {
    for direction in [Direction::Forward, Direction::Backward] {
        for from in points(select, expect) {
            for limit in [None, Some(0), Some(1), Some(3), Some(u64::MAX)] {
                let read = Read { direction, from, limit, as_of, ..Read::select(select.clone()) };
                let seen = t.read(read.clone()).await?;
                let want = answer(&read, expect);
                same(
                    &format!("{direction:?} from {from:?} limit {limit:?}"),
                    ids(&seen.events),
                    want,
                );
                reaches_the_end(&read, &seen);
            }
        }
    }
    Ok(())
}

/// Where to start: at each end, at events and between them, and far past the last.
fn points(select: &Select, facts: &[Fact]) -> Vec<Option<u64>> {
    let middle = facts.get(facts.len() / 2).map_or(1, |fact| place(select, fact));
    let last = facts.last().map_or(1, |fact| place(select, fact));
    let at = [0, 1, middle, middle + 1, last, last + 1, last + 1_000_000, u64::MAX];
    [None].into_iter().chain(at.map(Some)).collect()
}

fn place(select: &Select, fact: &Fact) -> u64 {
    match select {
        Select::Stream(_) => fact.revision,
        Select::Query(_) => fact.position.0,
    }
}

fn answer(read: &Read, facts: &[Fact]) -> Vec<Uuid> {
    let is_from = |fact: &&Fact| match (read.from, read.direction) {
        (None, _) => true,
        (Some(from), Direction::Forward) => place(&read.select, fact) >= from,
        (Some(from), Direction::Backward) => place(&read.select, fact) <= from,
    };
    let mut ids: Vec<Uuid> = facts.iter().filter(is_from).map(|fact| fact.id).collect();
    if read.direction == Direction::Backward {
        ids.reverse();
    }
    ids.truncate(usize::try_from(read.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX));
    ids
}

/// A forward read without a limit has delivered everything up to the head that it told, unless
/// that is cut off by the as-of.
fn reaches_the_end(read: &Read, seen: &Seen) {
    let whole = read.limit.is_none() && read.as_of == AsOf::Now;
    if whole && read.direction == Direction::Forward {
        let through = seen.through.unwrap_or(seen.head);
        assert!(through >= seen.head, "the checkpoint {through} of a whole read of {}", seen.head);
    }
}

/// Follows the selection from any point up to a head, and compares.
pub(super) async fn follow_from_every_point(
    t: &Trial,
    select: &Select,
    expect: &[Fact],
) -> Outcome {
    let head = t.head().await?;
    for after in points(select, expect) {
        if after.is_some_and(|after| after > head.0) {
            continue;
        }
        let mut feed = t.follow(select.clone(), after).await?;
        let events = feed.up_to(head).await?;
        let is_after = |fact: &&Fact| after.is_none_or(|after| place(select, fact) > after);
        let want = expect.iter().filter(is_after).map(|fact| fact.id).collect();
        same(&format!("followed after {after:?}"), ids(&events), want);
    }
    Ok(())
}
