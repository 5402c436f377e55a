//! The near-linear check: positions say in which order the writes took effect.
//!
//! The model does them in that order, and must answer each as it was answered. Whatever wrote
//! nothing (a read, a refusal, a retry) must fit at one of the states between: not before one that
//! had been seen when it was asked, not after one that was asked for only when it was answered.
//! Each is put at the first state where it fits, which leaves most room for those after it.

use super::{Answer, Ask, Call};
use crate::model::{Model, Task};
use factum_core::RecordedEvent;

/// What the history was, in the order of the positions.
struct Order<'a> {
    /// The model before any write, and after each.
    models: Vec<Model>,
    /// The writes that took effect, each with its place in the order.
    writes: Vec<(&'a Call, usize)>,
    /// All others.
    others: Vec<&'a Call>,
}

/// Checks a history against all events of the store after it.
pub fn check(calls: &[Call], events: &[RecordedEvent]) -> Result<(), String> {
    let order = Order::new(calls, events)?;
    order.agrees_with_clock()
}

/// Where a write took effect, if it did: its position, and for several at one (tracked positions
/// alone move nothing) what orders those.
fn place(call: &Call, events: &[RecordedEvent]) -> Option<(u64, bool, u64)> {
    let Ask::Write(task) = &call.ask else { return None };
    let (is_alone, tracked) = match task {
        Task::Append(append) => {
            let tracked = append.tracking.as_ref().map_or(0, |tracking| tracking.position);
            (append.events.is_empty(), tracked)
        }
        Task::Change(..) => (false, 0),
    };
    match &call.answer {
        Answer::Written(Ok(receipt)) if !receipt.replayed => {
            Some((receipt.position.0, is_alone, tracked))
        }
        Answer::Lost => {
            let Task::Append(append) = task else { return None };
            let (stream, last) = append.events.last()?;
            let found = events.iter().find(|one| one.id() == last.id && one.stream() == stream);
            found.map(|event| (event.position().0, is_alone, tracked))
        }
        _ => None,
    }
}

impl<'a> Order<'a> {
    fn new(calls: &'a [Call], events: &[RecordedEvent]) -> Result<Self, String> {
        let placed = calls.iter().filter_map(|call| Some((place(call, events)?, call)));
        let mut placed: Vec<_> = placed.collect();
        // A retry whose first reply was lost and its lost first try are one write.
        placed.sort_by_key(|(place, call)| (*place, matches!(call.answer, Answer::Lost)));
        let is_same = |one: &mut ((u64, bool, u64), &Call),
                       kept: &mut ((u64, bool, u64), &Call)| {
            one.0 == kept.0 && !one.0.1 && matches!(one.1.answer, Answer::Lost)
        };
        placed.dedup_by(is_same);
        let mut models = vec![Model::default()];
        let mut writes = Vec::new();
        for (nth, (_, call)) in placed.iter().enumerate() {
            let Ask::Write(task) = &call.ask else { unreachable!("only writes have a place") };
            let mut model = models.last().expect("the first is there").clone();
            let right = model.perform(task);
            match &call.answer {
                Answer::Written(answer) if *answer != right => {
                    return Err(format!(
                        "{task:?}: {answer:?}; in the order of positions: {right:?}"
                    ));
                }
                Answer::Lost if right.is_err() => {
                    return Err(format!("{task:?} was done; in the order of positions: {right:?}"));
                }
                _ => {}
            }
            models.push(model);
            writes.push((*call, nth));
        }
        models.last().expect("the first is there").compare(events)?;
        let is_other = |call: &&Call| {
            place(call, events).is_none() && !matches!(call.answer, Answer::Lost | Answer::NotDone)
        };
        let others = calls.iter().filter(is_other).collect();
        Ok(Self { models, writes, others })
    }

    fn agrees_with_clock(&self) -> Result<(), String> {
        // In the order of answers, so that all that is known before a call is known by then.
        let writes = self.writes.iter().map(|(call, nth)| (*call, Some(*nth)));
        let others = self.others.iter().map(|call| (*call, None));
        let mut all: Vec<(&Call, Option<usize>)> = writes.chain(others).collect();
        all.sort_by_key(|(call, _)| call.to);
        // When a call was answered, and the most writes that anybody answered by then had seen.
        let mut seen: Vec<(u64, usize)> = vec![(0, 0)];
        for (call, nth) in all {
            let before = seen.partition_point(|(to, _)| *to < call.from);
            let least = before.checked_sub(1).map_or(0, |last| seen[last].1);
            let state = match nth {
                Some(nth) if nth < least => {
                    return Err(format!("{call:?} took effect before what was seen when it began"));
                }
                Some(nth) => nth + 1,
                None => self.first_fit(call, least)?,
            };
            let most = seen.last().map_or(0, |last| last.1).max(state);
            seen.push((call.to, most));
        }
        Ok(())
    }

    /// The first state at which a call that wrote nothing can have been answered so.
    fn first_fit(&self, call: &Call, least: usize) -> Result<usize, String> {
        let later = self.writes.iter().filter(|(write, _)| write.from > call.to);
        let most = later.map(|(_, nth)| *nth).min().unwrap_or(self.models.len() - 1);
        let fits = |state: &usize| fits(call, &self.models[*state]);
        (least..=most).find(fits).ok_or_else(|| {
            format!("{call:?} fits none of the states {least} to {most} that it may have met")
        })
    }
}

/// Whether the model in this state answers so, and writes nothing.
pub(super) fn fits(call: &Call, model: &Model) -> bool {
    match (&call.ask, &call.answer) {
        (Ask::Write(task), Answer::Written(answer)) => model.clone().perform(task) == *answer,
        (Ask::Read(stream), Answer::Read(head, events)) => {
            let all = model.events.iter().filter(|event| event.stream == *stream);
            let right: Vec<_> = all.collect();
            head.0 == model.events.len() as u64
                && right.len() == events.len()
                && right.iter().zip(events).all(|(right, found)| right.is(found))
        }
        (Ask::Head, Answer::Head(head)) => head.0 == model.events.len() as u64,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::search::is_linearizable, *};
    use factum_core::{
        Append, AppendError, EventData, EventType, Expected, Found, Position, Receipt, Revision,
        StreamName, StreamState, Uuid, Written,
    };

    fn stream() -> StreamName {
        StreamName::new("a-1").unwrap()
    }

    fn append(id: u128, expected: Expected) -> Task {
        let event = EventData::new(Uuid::from_u128(id), EventType::new("t").unwrap(), "{}");
        Task::Append(Append::to(stream(), [event]).expecting(stream(), expected))
    }

    fn done(position: u64) -> Answer {
        let revision = Revision(position - 1);
        let streams = vec![Written { stream: stream(), first: revision, last: revision }];
        let position = Position(position);
        Answer::Written(Ok(Receipt { position, streams, replayed: false }))
    }

    fn refused(last: u64) -> Answer {
        let found = Found::Stream(StreamState::Live { last: Revision(last) });
        Answer::Written(Err(AppendError::Conflict { index: 0, found }))
    }

    fn call(from: u64, to: u64, ask: Ask, answer: Answer) -> Call {
        Call { ask, answer, from, to }
    }

    fn write(from: u64, to: u64, (id, answer): (u128, Answer), expected: Expected) -> Call {
        call(from, to, Ask::Write(append(id, expected)), answer)
    }

    /// What both checkers say of calls after which the store has the events that were written.
    fn both(calls: &[Call]) -> bool {
        let events = stored(calls);
        let by_order = check(calls, &events).is_ok();
        assert_eq!(is_linearizable(calls), Some(by_order), "{:?}", check(calls, &events));
        by_order
    }

    /// The events of a store that did the writes in the order of their positions.
    fn stored(calls: &[Call]) -> Vec<RecordedEvent> {
        let writes = calls.iter().filter_map(|call| Some((place(call, &[])?, call)));
        let mut writes: Vec<_> = writes.collect();
        writes.sort_by_key(|(place, _)| *place);
        let disk = crate::disk::SimDisk::default();
        let stage = crate::work::Stage::new(disk, 1);
        let mut session = crate::work::Session::open(&stage, Model::default()).unwrap();
        for (_, call) in writes {
            if let Ask::Write(task) = &call.ask {
                session.submit(std::slice::from_ref(task));
            }
        }
        crate::check::everything(&session.reader).unwrap()
    }

    #[test]
    fn one_after_the_other_is_accepted_and_the_other_way_round_is_not() {
        let first = write(0, 1, (1, done(1)), Expected::NoStream);
        let second = write(2, 3, (2, done(2)), Expected::At(Revision(0)));
        assert!(both(&[first.clone(), second.clone()]));
        let (mut late, mut early) = (first, second);
        (late.from, late.to, early.from, early.to) = (2, 3, 0, 1);
        assert!(!both(&[late, early]));
    }

    #[test]
    fn of_two_at_once_with_one_number_one_is_refused() {
        let winner = write(0, 5, (1, done(1)), Expected::NoStream);
        let loser = write(1, 4, (2, refused(0)), Expected::NoStream);
        assert!(both(&[winner.clone(), loser.clone()]));
        let early = Call { from: 0, to: 1, ..loser };
        assert!(!both(&[Call { from: 2, ..winner }, early]), "nobody had won yet");
    }

    #[test]
    fn a_head_may_not_be_stale_nor_go_back() {
        let written = write(0, 3, (1, done(1)), Expected::NoStream);
        let head = |from, to, at| call(from, to, Ask::Head, Answer::Head(Position(at)));
        assert!(both(&[written.clone(), head(1, 2, 0), head(1, 2, 1)]));
        assert!(!both(&[written.clone(), head(4, 5, 0)]), "stale");
        assert!(!both(&[written, head(1, 2, 1), head(3, 4, 0)]), "back");
        assert!(!both(&[head(0, 1, 1)]), "from nowhere");
    }

    #[test]
    fn what_was_lost_may_be_done_late_or_never() {
        let written = write(2, 3, (2, done(1)), Expected::NoStream);
        let lost = Ask::Write(append(1, Expected::At(Revision(0))));
        let lost = call(0, u64::MAX, lost, Answer::Lost);
        assert!(both(&[lost.clone(), written.clone()]));
        let head = call(4, 5, Ask::Head, Answer::Head(Position(2)));
        assert_eq!(is_linearizable(&[lost.clone(), written.clone(), head.clone()]), Some(true));
        assert_eq!(is_linearizable(&[written, head]), Some(false), "nobody wrote the second");
    }
}
