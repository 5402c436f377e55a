//! Whether a store agrees with itself: the same events in every way of reading them.

use crate::{dice::Dice, model::Truth};
use factum_core::{
    AsOf, Direction, EventType, Item, Query, Read, ReadError, RecordedEvent, Select, StreamName,
    StreamState, Subscribe, Tag,
};
use factum_log::Reader;
use std::collections::BTreeSet;

/// What a read answered, up to its end or its error.
#[derive(Debug)]
pub struct Answer {
    /// What came.
    pub events: Vec<RecordedEvent>,
    /// What the stream is said to be.
    pub state: Option<StreamState>,
    /// What it ended with, if not well.
    pub error: Option<ReadError>,
}

/// Batches after which a read is taken to have no end.
const BATCHES_MAX: usize = 10_000;

/// Reads all that is asked for.
pub fn read(reader: &Reader, read: Read) -> Answer {
    let mut answer = Answer { events: Vec::new(), state: None, error: None };
    let mut cursor = match reader.read(read) {
        Ok(begun) => {
            answer.state = begun.state;
            begun.cursor
        }
        Err(error) => return Answer { error: Some(error), ..answer },
    };
    for _ in 0..BATCHES_MAX {
        match cursor.next_batch() {
            Err(error) => return Answer { error: Some(error), ..answer },
            Ok(batch) => {
                answer.events.extend(batch.events);
                if batch.caught_up {
                    return answer;
                }
            }
        }
    }
    panic!("a read did not end after {BATCHES_MAX} batches");
}

/// Everything, from the first event to the last.
pub fn everything(reader: &Reader) -> Result<Vec<RecordedEvent>, String> {
    let answer = read(reader, Read::query(Query::All));
    match answer.error {
        Some(error) => Err(format!("reading everything: {error}")),
        None => Ok(answer.events),
    }
}

/// A read, and the one right answer to it.
#[derive(Debug)]
pub struct Question {
    /// What to read.
    pub read: Read,
    /// What must come.
    pub events: Vec<RecordedEvent>,
    /// What would come without a limit.
    pub unlimited: Vec<RecordedEvent>,
    /// What the stream must be said to be.
    pub state: Option<StreamState>,
}

/// Everything, backwards.
#[must_use]
pub fn all_backward(truth: &Truth<'_>) -> Question {
    let read = Read { direction: Direction::Backward, ..Read::query(Query::All) };
    let events: Vec<_> = truth.0.iter().rev().cloned().collect();
    Question { read, unlimited: events.clone(), events, state: None }
}

/// A read of a kind that the dice choose, about something that is there, or is not.
pub fn question(truth: &Truth<'_>, dice: &mut Dice) -> Question {
    let about = (!truth.0.is_empty()).then(|| dice.pick(truth.0).clone());
    match (dice.below(3), about) {
        (0, about) => of_stream(truth, about.as_ref().map(RecordedEvent::stream), dice),
        (1, Some(about)) => as_of(truth, &about, dice),
        (_, about) => of_query(truth, query_about(about.as_ref(), dice), dice),
    }
}

fn query_about(about: Option<&RecordedEvent>, dice: &mut Dice) -> Query {
    let Some(about) = about else { return Query::All };
    let item = |dice: &mut Dice| match (dice.below(6), about.tags().first()) {
        (0, Some(tag)) => Item { tags: vec![tag.clone()], ..Item::default() },
        (1, Some(tag)) => Item {
            tags: vec![tag.clone()],
            types: vec![about.event_type().clone()],
            ..Item::default()
        },
        (2, _) => Item { categories: vec![about.stream().category().into()], ..Item::default() },
        (3, _) => Item {
            stream_prefixes: vec![about.stream().as_str()[..1].into()],
            types: vec![about.event_type().clone()],
            ..Item::default()
        },
        (4, _) => Item { tags: vec![Tag::new("nobody:has").unwrap()], ..Item::default() },
        _ => Item { types: vec![about.event_type().clone()], ..Item::default() },
    };
    let mut items = vec![item(dice)];
    if dice.one_in(3) {
        items.push(item(dice));
        let other = EventType::new("t0").unwrap();
        items.push(Item { types: vec![other], ..Item::default() });
    }
    Query::AnyOf(items)
}

fn of_query(truth: &Truth<'_>, query: Query, dice: &mut Dice) -> Question {
    let mut events = truth.of_query(&query);
    let mut read = Read::query(query);
    if dice.one_in(3) {
        let from = dice.below(truth.0.len() as u64 + 2);
        read.from = Some(from);
        if dice.one_in(2) {
            events.retain(|event| event.position().0 >= from);
        } else {
            read.direction = Direction::Backward;
            events.retain(|event| event.position().0 <= from);
        }
    } else if dice.one_in(2) {
        read.direction = Direction::Backward;
    }
    finish(read, events, None, dice)
}

fn finish(
    mut read: Read,
    mut events: Vec<RecordedEvent>,
    state: Option<StreamState>,
    dice: &mut Dice,
) -> Question {
    if read.direction == Direction::Backward {
        events.reverse();
    }
    let unlimited = events.clone();
    if dice.one_in(4) {
        let limit = dice.below(6);
        read.limit = Some(limit);
        events.truncate(usize::try_from(limit).expect("below 6"));
    }
    Question { read, events, unlimited, state }
}

fn of_stream(truth: &Truth<'_>, stream: Option<&StreamName>, dice: &mut Dice) -> Question {
    let mut stream = stream.cloned().unwrap_or_else(|| StreamName::new("none-1").unwrap());
    if dice.one_in(10) {
        stream = StreamName::new("none-1").unwrap();
    }
    let mut visible = truth.of_stream(&stream);
    if visible.ages {
        // What is visible of it is a matter of the clock.
        stream = StreamName::new("none-1").unwrap();
        visible = truth.of_stream(&stream);
    }
    let mut read = Read::select(Select::Stream(stream));
    if dice.one_in(4) && !truth.0.is_empty() {
        // What metadata hides is hidden, as of then too.
        let until = dice.pick(truth.0).position();
        read.as_of = AsOf::Position(until);
        visible.events.retain(|event| event.position() <= until);
    }
    if dice.one_in(2) {
        read.direction = Direction::Backward;
    }
    finish(read, visible.events, Some(visible.state), dice)
}

fn as_of(truth: &Truth<'_>, about: &RecordedEvent, dice: &mut Dice) -> Question {
    let mut read = Read::query(query_about(Some(about), dice));
    let Select::Query(query) = &read.select else { unreachable!("made above") };
    let mut events = truth.of_query(query);
    if dice.one_in(2) {
        read.as_of = AsOf::Position(about.position());
        events.retain(|event| event.position() <= about.position());
    } else {
        // Recorded times ascend: it is a prefix.
        read.as_of = AsOf::Recorded(about.recorded_at());
        events.retain(|event| event.recorded_at() <= about.recorded_at());
    }
    finish(read, events, None, dice)
}

/// Everything, as it was recorded at some moment.
pub fn moment(truth: &Truth<'_>, dice: &mut Dice) -> Question {
    let moment = dice.pick(truth.0).recorded_at();
    let read = Read { as_of: AsOf::Recorded(moment), ..Read::query(Query::All) };
    let events = truth.0.iter().filter(|event| event.recorded_at() <= moment);
    let events: Vec<_> = events.cloned().collect();
    Question { read, unlimited: events.clone(), events, state: None }
}

/// Asks, and accepts the one right answer only.
pub fn ask(reader: &Reader, question: &Question) -> Result<(), String> {
    let answer = read(reader, question.read.clone());
    if let Some(error) = answer.error {
        return Err(format!("{:?}: {error}", question.read));
    }
    if answer.state != question.state {
        let (found, right) = (answer.state, question.state);
        return Err(format!("{:?}: {found:?} instead of {right:?}", question.read));
    }
    if answer.events != question.events {
        return Err(differs(question, &answer.events));
    }
    Ok(())
}

/// Asks a damaged store: no event that comes may be wrong. Fewer are right only if an error says
/// so that names file and offset, or if the store says that it is damaged (`read_only`).
pub fn ask_damaged(reader: &Reader, question: &Question) -> Result<(), String> {
    let answer = read(reader, question.read.clone());
    let read_only = reader.read_only().is_some();
    let right = if read_only { &question.unlimited } else { &question.events };
    let mut left = right.iter();
    for event in &answer.events {
        // In the right order; in a store that says it is damaged, some may be passed over.
        let found = match read_only {
            true => left.any(|right| right == event),
            false => left.next() == Some(event),
        };
        if !found {
            return Err(differs(question, &answer.events));
        }
    }
    match &answer.error {
        None if left.len() > 0 && !read_only => Err(differs(question, &answer.events)),
        Some(ReadError::Damaged { what }) if names_a_place(what) => Ok(()),
        Some(error) => Err(format!("{:?}: no file and offset in {error:?}", question.read)),
        None if answer.state != question.state && !read_only => {
            Err(format!("{:?}: {:?}", question.read, answer.state))
        }
        None => Ok(()),
    }
}

/// Whether a message names a file of the store and an offset.
#[must_use]
pub fn names_a_place(what: &str) -> bool {
    what.contains("offset ") && (what.contains(".log") || what.contains(".idx"))
}

fn differs(question: &Question, found: &[RecordedEvent]) -> String {
    let at = |events: &[RecordedEvent]| {
        events.iter().map(|event| event.position().0).collect::<Vec<_>>()
    };
    let same = at(found) == at(&question.events);
    let note = if same { " (same positions, other content)" } else { "" };
    let right = at(&question.events);
    format!("{:?}: positions {:?} instead of {right:?}{note}", question.read, at(found))
}

/// Follows from a checkpoint, up to the head: nothing may be missing.
fn follow(reader: &Reader, truth: &Truth<'_>, dice: &mut Dice) -> Result<(), String> {
    let about = (!truth.0.is_empty()).then(|| dice.pick(truth.0));
    let query = query_about(about, dice);
    let after = (!dice.one_in(3)).then(|| dice.below(truth.0.len() as u64 + 1));
    let mut right = truth.of_query(&query);
    right.retain(|event| event.position().0 > after.unwrap_or(0));
    let subscribe = Subscribe { select: Select::Query(query), after };
    let mut cursor = reader.subscribe(subscribe.clone()).map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    for _ in 0..BATCHES_MAX {
        let batch = cursor.next_batch().map_err(|error| format!("{subscribe:?}: {error}"))?;
        events.extend(batch.events);
        if batch.caught_up {
            return match events == right {
                true => Ok(()),
                false => Err(format!("{subscribe:?}: {} of {} events", events.len(), right.len())),
            };
        }
    }
    Err(format!("{subscribe:?}: not caught up after {BATCHES_MAX} batches"))
}

/// The streams of a store, and one that it does not have.
#[must_use]
pub fn streams(events: &[RecordedEvent]) -> Vec<StreamName> {
    let names: BTreeSet<StreamName> = events.iter().map(|event| event.stream().clone()).collect();
    names.into_iter().collect()
}

/// That positions, revisions and recorded times ascend up to the head, without a gap but where
/// events may be gone.
fn gapless(
    events: &[RecordedEvent],
    head: u64,
    may_be_gone: &dyn Fn(u64) -> bool,
) -> Result<(), String> {
    let mut next = std::collections::HashMap::new();
    let mut before = i64::MIN;
    let mut position = 1;
    for event in events {
        while position < event.position().0 && may_be_gone(position) {
            position += 1;
        }
        let revision = next.entry(event.stream().clone()).or_insert(0u64);
        let is_next = match may_be_gone(0) {
            true => event.revision().0 >= *revision,
            false => event.revision().0 == *revision,
        };
        if event.position().0 != position || !is_next {
            return Err(format!("a gap: {event:?} where position {position} should be"));
        }
        if event.recorded_at().0 < before {
            return Err(format!("recorded before the event before it: {event:?}"));
        }
        *revision = event.revision().0 + 1;
        before = event.recorded_at().0;
        position += 1;
    }
    match (position..=head).all(may_be_gone) && position <= head + 1 {
        true => Ok(()),
        false => Err(format!("the head is {head}, and {position} is not there")),
    }
}

/// Everything, in its order; then `count` other reads of it.
pub fn coherent(
    reader: &Reader,
    dice: &mut Dice,
    count: u64,
) -> Result<Vec<RecordedEvent>, String> {
    scavenged(reader, dice, (count, &|_| false))
}

/// The same of a store where events may be gone: at these positions. Whether there are any is
/// asked as position 0.
pub fn scavenged(
    reader: &Reader,
    dice: &mut Dice,
    (count, may_be_gone): (u64, &dyn Fn(u64) -> bool),
) -> Result<Vec<RecordedEvent>, String> {
    let events = everything(reader)?;
    gapless(&events, reader.head().0, may_be_gone)?;
    let truth = Truth(&events);
    ask(reader, &all_backward(&truth))?;
    for _ in 0..count {
        ask(reader, &question(&truth, dice))?;
        follow(reader, &truth, dice)?;
    }
    Ok(events)
}
