//! What a store with lost events must answer: every read is right, or says what is lost; none
//! passes over it.

use super::Find;
use crate::{
    check::{self, Answer, Question},
    dice::Dice,
    model::{Task, Truth},
    work::Session,
};
use factum_core::{
    Append, AppendError, AsOf, Check, Direction, EventData, EventType, Position, Query, Read,
    ReadError, RecordedEvent, Select, StreamName, Subscribe, Uuid,
};
use factum_log::{
    Reader,
    quarantine::{Loss, LostEvent, LostRange},
};
use std::collections::BTreeSet;

/// Questions about one store.
const QUESTIONS: u64 = 12;

/// What a store was, and what of it is lost.
pub(super) struct Asked<'a> {
    events: &'a [RecordedEvent],
    lost: Vec<LostRange>,
    known: Vec<LostEvent>,
}

impl<'a> Asked<'a> {
    /// What is said of lost events must be true.
    pub(super) fn new(events: &'a [RecordedEvent], told: &[Loss]) -> Result<Self, Find> {
        let lost: Vec<LostRange> = told.iter().flat_map(|loss| loss.lost.clone()).collect();
        let known: Vec<LostEvent> = told.iter().flat_map(|loss| loss.events.clone()).collect();
        let ends = lost.iter().flat_map(|lost| [*lost.positions.start(), *lost.positions.end()]);
        if !ends.collect::<Vec<_>>().is_sorted() {
            return Err(format!("{lost:?} are in no order"));
        }
        let asked = Self { events, lost, known };
        let of = |event: &RecordedEvent| LostEvent {
            position: event.position(),
            stream: event.stream().clone(),
            revision: event.revision().0,
            event_type: event.event_type().clone(),
        };
        let is_known = |event: &&RecordedEvent| {
            asked.range(event.position().0).is_some_and(|lost| lost.is_known)
        };
        match asked.events.iter().filter(is_known).map(of).eq(asked.known.iter().cloned()) {
            true => Ok(asked),
            false => Err(format!("{:?} is not what was lost", asked.known)),
        }
    }

    fn range(&self, position: u64) -> Option<&LostRange> {
        self.lost.iter().find(|lost| lost.positions.contains(&position))
    }

    pub(super) fn is_lost(&self, position: u64) -> bool {
        self.range(position).is_some()
    }

    pub(super) fn all_lost(&self) -> BTreeSet<u64> {
        self.lost.iter().flat_map(|lost| lost.positions.clone()).collect()
    }

    fn all_known(&self) -> bool {
        self.lost.iter().all(|lost| lost.is_known)
    }

    /// Whether what was last said of a stream is lost.
    fn is_mute(&self, stream: &StreamName) -> bool {
        let of = stream.metadata_stream();
        let last = self.events.iter().rev().find(|event| *event.stream() == of);
        last.is_some_and(|event| self.is_lost(event.position().0))
    }

    /// Reads in every way.
    pub(super) fn answers(&self, reader: &Reader, dice: &mut Dice) -> Result<(), Find> {
        self.forward(|from| check::read(reader, Read { from, ..Read::query(Query::All) }))?;
        self.forward(|from| follow(reader, from))?;
        self.backward(reader)?;
        let truth = Truth(self.events);
        for _ in 0..QUESTIONS {
            self.ask(reader, &check::question(&truth, dice))?;
        }
        Ok(())
    }

    /// From the first event to the last, going on behind what is lost.
    fn forward(&self, read: impl Fn(Option<u64>) -> Answer) -> Result<(), Find> {
        let mut at = 1;
        loop {
            let answer = read(Some(at));
            let hole = self.lost.iter().find(|lost| *lost.positions.start() >= at);
            let end = hole.map_or(u64::MAX, |hole| *hole.positions.start());
            let right = self.events.iter().filter(|event| (at..end).contains(&event.position().0));
            if !answer.events.iter().eq(right) {
                return Err(format!("from {at}: {:?} before {hole:?}", positions(&answer)));
            }
            match (hole, &answer.error) {
                (None, None) => return Ok(()),
                (Some(hole), Some(error)) if says_lost(error) => at = hole.positions.end() + 1,
                (hole, error) => return Err(format!("from {at}: {error:?} at {hole:?}")),
            }
        }
    }

    fn backward(&self, reader: &Reader) -> Result<(), Find> {
        let mut at = u64::MAX;
        loop {
            let read =
                Read { direction: Direction::Backward, from: Some(at), ..Read::query(Query::All) };
            let answer = check::read(reader, read);
            let hole = self.lost.iter().rev().find(|lost| *lost.positions.end() <= at);
            let end = hole.map_or(0, |hole| *hole.positions.end());
            let is_right = |event: &&RecordedEvent| (end + 1..=at).contains(&event.position().0);
            if !answer.events.iter().eq(self.events.iter().rev().filter(is_right)) {
                return Err(format!("back from {at}: {:?} before {hole:?}", positions(&answer)));
            }
            match (hole, &answer.error) {
                (None, None) => return Ok(()),
                (Some(hole), Some(error)) if says_lost(error) => {
                    at = hole.positions.start() - 1;
                    if at == 0 {
                        return Ok(());
                    }
                }
                (hole, error) => return Err(format!("back from {at}: {error:?} at {hole:?}")),
            }
        }
    }

    fn ask(&self, reader: &Reader, question: &Question) -> Result<(), Find> {
        let answer = check::read(reader, question.read.clone());
        let wrong = |why: &str| {
            let right: Vec<u64> = question.events.iter().map(|event| event.position().0).collect();
            let (found, error) = (positions(&answer), &answer.error);
            let (read, lost) = (&question.read, &self.lost);
            Err(format!("{read:?}: {why}: {found:?}, {error:?}; right: {right:?}; lost: {lost:?}"))
        };
        if let Some(error) = &answer.error
            && !says_lost(error)
        {
            return wrong("another error");
        }
        let is_whole = answer.error.is_none() && answer.events == question.events;
        let misses = question.unlimited.iter().any(|event| self.is_lost(event.position().0));
        match &question.read.select {
            Select::Stream(stream) if self.all_known() => {
                let may_fail = misses || self.is_mute(stream);
                let is_prefix = question.events.starts_with(&answer.events);
                let is_right = is_whole && answer.state == question.state;
                if is_right || (may_fail && answer.error.is_some() && is_prefix) {
                    return Ok(());
                }
                wrong("a stream of which all is known")
            }
            Select::Stream(stream) => self.of_stream(stream, &question.read, &answer, wrong),
            Select::Query(query) => {
                // When it was recorded is not known of what is lost.
                let is_by_time = matches!(question.read.as_of, AsOf::Recorded(_));
                let may_fail = misses || is_by_time || !self.all_known() || !is_exact(query);
                let is_prefix = question.events.starts_with(&answer.events);
                if is_whole || (may_fail && answer.error.is_some() && is_prefix) {
                    return Ok(());
                }
                wrong("a query")
            }
        }
    }

    /// A stream of which events may be lost that nobody knows of: it goes on from what is left, and
    /// never over a jump.
    fn of_stream(
        &self,
        stream: &StreamName,
        read: &Read,
        answer: &Answer,
        wrong: impl Fn(&str) -> Result<(), Find>,
    ) -> Result<(), Find> {
        let mut before: Option<u64> = None;
        for event in &answer.events {
            let revision = event.revision().0;
            let next = before.map(|before| match read.direction {
                Direction::Forward => before + 1,
                Direction::Backward => before.saturating_sub(1),
            });
            let was = self.events.iter().find(|one| one.position() == event.position());
            if was != Some(event) || event.stream() != stream || next.is_some_and(|n| n != revision)
            {
                return wrong("a stream that jumps");
            }
            before = Some(revision);
        }
        Ok(())
    }

    /// Appends to every stream, and again what is lost.
    pub(super) fn go_on(&self, session: &mut Session) -> Result<(), Find> {
        let mut id = 1u128 << 120;
        for stream in check::streams(self.events) {
            if stream.as_str().starts_with('$') {
                continue;
            }
            id += 1;
            let head = session.reader.head();
            let is_lost = |event: &&RecordedEvent| self.is_lost(event.position().0);
            let of = || self.events.iter().filter(|event| *event.stream() == stream);
            let right = of().next_back().map_or(0, |event| event.revision().0 + 1);
            let left = of().rfind(|event| !is_lost(event));
            let left = left.map_or(0, |event| event.revision().0 + 1);
            let is_tombstoned = of().next_back().is_some_and(is_tombstone);
            match submit(session, append(&stream, id)) {
                Ok(_) if is_tombstoned && self.all_known() => {
                    return Err(format!("{stream} was tombstoned, and goes on"));
                }
                Ok(revision) if revision == right => {}
                Ok(revision) if !self.all_known() && (left..right).contains(&revision) => {}
                Err(AppendError::Tombstoned { .. }) if is_tombstoned => {}
                other => return Err(format!("{stream}: {other:?}, right: {right}")),
            }
            let lost = self.known.iter().find(|known| known.stream == stream);
            if let Some(lost) = lost {
                self.is_remembered(session, lost)?;
            }
            if session.reader.head() < head {
                return Err("the head went back".into());
            }
        }
        Ok(())
    }

    /// A lost event is not written again, and still matches conditions.
    fn is_remembered(&self, session: &mut Session, lost: &LostEvent) -> Result<(), Find> {
        let was = self.events.iter().find(|event| event.position() == lost.position);
        let id = was.map(RecordedEvent::id).expect("what is known was there");
        let again = submit(session, append(&lost.stream, id.as_u128()));
        if again.is_ok() {
            return Err(format!("{lost:?} was written again"));
        }
        let query = Query::types([lost.event_type.clone()]);
        let after = Position(lost.position.0 - 1);
        let mut append = append(&lost.stream, 1 << 119);
        append.checks.push(Check::NoMatch { query, after });
        match submit(session, append) {
            Err(AppendError::Conflict { .. } | AppendError::Tombstoned { .. }) => Ok(()),
            other => Err(format!("{lost:?} matches, and the answer is {other:?}")),
        }
    }
}

fn append(stream: &StreamName, id: u128) -> Append {
    let event_type = EventType::new("went.on").expect("a name");
    Append::to(stream.clone(), [EventData::new(Uuid::from_u128(id), event_type, "x")])
}

/// The revision that it was given.
fn submit(session: &mut Session, append: Append) -> Result<u64, AppendError> {
    let answer = session.submit(&[Task::Append(append)]).pop().expect("one answer");
    answer.map(|receipt| receipt.streams.first().map_or(u64::MAX, |written| written.last.0))
}

fn is_tombstone(event: &RecordedEvent) -> bool {
    event.event_type().as_str() == "$streamDeleted"
}

fn is_exact(query: &Query) -> bool {
    let Query::AnyOf(items) = query else { return false };
    items.iter().all(|item| item.stream_prefixes.is_empty() && item.type_prefixes.is_empty())
}

fn says_lost(error: &ReadError) -> bool {
    matches!(error, ReadError::Damaged { what } if what.contains("lost"))
}

fn positions(answer: &Answer) -> Vec<u64> {
    answer.events.iter().map(|event| event.position().0).collect()
}

/// Follows everything from a position on, up to the head.
fn follow(reader: &Reader, from: Option<u64>) -> Answer {
    let mut answer = Answer { events: Vec::new(), state: None, error: None };
    let after = from.and_then(|from| from.checked_sub(1)).filter(|after| *after > 0);
    let mut cursor = reader.subscribe(Subscribe { select: Select::Query(Query::All), after });
    loop {
        let batch = match &mut cursor {
            Ok(cursor) => cursor.next_batch(),
            Err(error) => Err(error.clone()),
        };
        match batch {
            Err(error) => return Answer { error: Some(error), ..answer },
            Ok(batch) => {
                answer.events.extend(batch.events);
                if batch.caught_up {
                    return answer;
                }
            }
        }
    }
}
