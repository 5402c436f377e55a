//! All sequences of at most three operations, each with a crash after every call of the disk: three
//! operations or fewer are enough for most crash bugs there are.

use super::{Find, Meter, survivor::Survivor};
use crate::{
    dice::Dice,
    disk::Fs,
    model::{Model, Task},
    work::{Between, Record, Step},
};
use factum_core::{
    Append, Change, Check, EventData, EventType, Expected, Position, Query, StreamMetadata,
    StreamName, StreamState, Tag, Uuid,
};

/// What a sequence is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Append,
    AppendAtNumber,
    AppendNew,
    AppendIfNoMatch,
    RefusedByMatch,
    AcrossStreams,
    SeveralFrames,
    ManySmall,
    HalfSegment,
    WholeSegment,
    Track,
    AppendAndTrack,
    Retry,
    Delete,
    Tombstone,
    Truncate,
    GroupOfTwo,
    GroupThatRolls,
    ClockBack,
    Index,
    Reopen,
    Drop,
    DropIndexes,
}

const OPS: [Op; 23] = [
    Op::Append,
    Op::AppendAtNumber,
    Op::AppendNew,
    Op::AppendIfNoMatch,
    Op::RefusedByMatch,
    Op::AcrossStreams,
    Op::SeveralFrames,
    Op::ManySmall,
    Op::HalfSegment,
    Op::WholeSegment,
    Op::Track,
    Op::AppendAndTrack,
    Op::Retry,
    Op::Delete,
    Op::Tombstone,
    Op::Truncate,
    Op::GroupOfTwo,
    Op::GroupThatRolls,
    Op::ClockBack,
    Op::Index,
    Op::Reopen,
    Op::Drop,
    Op::DropIndexes,
];
const KINDS: u64 = OPS.len() as u64;
/// How many sequences there are.
pub(super) const CASES: u64 = KINDS + KINDS * KINDS + KINDS * KINDS * KINDS;
/// Shares no factor with their number: taken in such steps, a few of them are of all kinds, and all
/// are met once.
const STRIDE: u64 = 4_339;
/// Ways to lose what is not durable, at each call: all of it, nothing of it, the program only, and
/// two that are drawn.
const CUTS: u64 = 5;

pub(super) fn case(number: u64, meter: &mut Meter) -> Result<(), Find> {
    let ops = sequence(number * STRIDE % CASES);
    let mut scribe = Scribe::default();
    let steps: Vec<Step> = ops.iter().map(|op| scribe.step(*op)).collect();
    let told = |find: Find| format!("{ops:?}: {find}");
    let record = Record::of(&steps, number).map_err(told)?;
    let mut fs = Fs::default();
    for (calls, op) in (1..).zip(&record.trace) {
        fs.apply(op);
        let cuts = if fs.is_dirty() { CUTS } else { 1 };
        for cut in 0..cuts {
            if meter.is_over() {
                return Ok(());
            }
            meter.done += 1;
            let of_image = Dice::of(number, (calls as u64) << 8 | cut).roll();
            let image = match cut {
                0 => fs.cut_clean(false),
                1 => fs.cut_clean(true),
                2 => fs.clone(),
                _ => fs.cut(&mut Dice::new(of_image)),
            };
            let survivor = Survivor { record: &record, known: record.known(calls), image };
            let checked = survivor.check(of_image);
            checked
                .map_err(|find| told(format!("cut {cut} after call {calls} ({op:?}): {find}")))?;
        }
    }
    Ok(())
}

/// The sequence of a number: those of one operation first, then those of two, then of three.
fn sequence(mut number: u64) -> Vec<Op> {
    let mut of_this_length = KINDS;
    let mut length = 1;
    while number >= of_this_length {
        number -= of_this_length;
        of_this_length *= KINDS;
        length += 1;
    }
    let mut ops = Vec::new();
    for _ in 0..length {
        ops.push(OPS[usize::try_from(number % KINDS).expect("below 23")]);
        number /= KINDS;
    }
    ops
}

/// Writes operations out, as they make sense after those before.
#[derive(Default)]
struct Scribe {
    model: Model,
    last: Option<Append>,
    ids: u128,
}

fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

fn tag() -> Tag {
    Tag::new("k:1").unwrap()
}

impl Scribe {
    fn step(&mut self, op: Op) -> Step {
        let tasks = self.tasks(op);
        for task in &tasks {
            let _ = self.model.perform(task);
            if let Task::Append(append) = task
                && !append.events.is_empty()
            {
                self.last = Some(append.clone());
            }
        }
        let between = match op {
            Op::Index => Between::Index,
            Op::Reopen => Between::Reopen,
            Op::Drop => Between::Drop,
            Op::DropIndexes => Between::DropIndexes,
            _ => Between::Nothing,
        };
        let clock_ns = if op == Op::ClockBack { -60_000_000_000 } else { 1_000_000_000 };
        Step { tasks, clock_ns, between }
    }

    fn event(&mut self, bytes: usize) -> EventData {
        self.ids += 1;
        let fill = u8::try_from(self.ids % 251).expect("below 251");
        let event_type = EventType::new("t").unwrap();
        let mut event = EventData::new(Uuid::from_u128(self.ids), event_type, vec![fill; bytes]);
        event.tags = vec![tag()];
        event
    }

    fn to(&mut self, name: &str, sizes: &[usize]) -> Append {
        let events: Vec<_> = sizes.iter().map(|bytes| self.event(*bytes)).collect();
        Append::to(stream(name), events)
    }

    /// Each with a tag of its own, so that their index has several pages.
    fn many_small(&mut self) -> Append {
        let mut append = self.to("a-1", &[8; 150]);
        for (_, event) in &mut append.events {
            event.tags.push(Tag::new(&format!("of:{}", event.id)).unwrap());
        }
        append
    }

    fn next(&self, name: &str) -> Expected {
        match self.model.state_of(&stream(name)) {
            StreamState::Live { last } | StreamState::Deleted { last } => Expected::At(last),
            StreamState::Absent | StreamState::Tombstoned => Expected::NoStream,
        }
    }

    fn tasks(&mut self, op: Op) -> Vec<Task> {
        let head = self.model.events.len() as u64;
        let tracked = self.model.tracked.get("orders").copied().unwrap_or(0);
        let query = Query::tag(tag());
        let append = match op {
            Op::Append | Op::ClockBack => self.to("a-1", &[30]),
            Op::AppendAtNumber => {
                let expected = self.next("a-1");
                self.to("a-1", &[30, 30]).expecting(stream("a-1"), expected)
            }
            Op::AppendNew => self.to("b-1", &[30]).expecting(stream("b-1"), Expected::NoStream),
            Op::AppendIfNoMatch => {
                let check = Check::NoMatch { query, after: Position(head) };
                self.to("b-1", &[30]).checking(check)
            }
            Op::RefusedByMatch => {
                let check = Check::NoMatch { query, after: Position::START };
                self.to("b-1", &[30]).checking(check)
            }
            Op::AcrossStreams => {
                let mut append = self.to("a-1", &[30]);
                append.events.extend(self.to("b-1", &[40]).events);
                append
            }
            Op::SeveralFrames => self.to("a-1", &[7_000; 4]),
            Op::ManySmall => self.many_small(),
            Op::HalfSegment => self.to("b-1", &[40_000]),
            Op::WholeSegment => self.to("a-1", &[70_000]),
            Op::Track => Append::default().tracking("orders", tracked + 1),
            Op::AppendAndTrack => self.to("a-1", &[30]).tracking("orders", tracked + 2),
            Op::Retry => match self.last.clone() {
                Some(last) => last,
                None => self.to("a-1", &[30]),
            },
            Op::GroupOfTwo => {
                return vec![
                    Task::Append(self.to("a-1", &[30])),
                    Task::Append(self.to("b-1", &[600])),
                ];
            }
            Op::GroupThatRolls => {
                return (0..2).map(|_| Task::Append(self.to("a-1", &[40_000]))).collect();
            }
            Op::Delete => return vec![change("a-1", Change::Delete)],
            Op::Tombstone => return vec![change("b-1", Change::Tombstone)],
            Op::Truncate => {
                let truncate_before = Some(1);
                let metadata = StreamMetadata { truncate_before, ..StreamMetadata::default() };
                return vec![change("a-1", Change::SetMetadata(metadata))];
            }
            Op::Index | Op::Reopen | Op::Drop | Op::DropIndexes => return Vec::new(),
        };
        vec![Task::Append(append)]
    }
}

fn change(name: &str, change: Change) -> Task {
    Task::Change(stream(name), change, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_sequence_of_at_most_three_is_met_once() {
        let met: HashSet<u64> = (0..CASES).map(|number| number * STRIDE % CASES).collect();
        assert_eq!(met.len() as u64, CASES);
        let sequences: HashSet<String> =
            met.into_iter().map(|number| format!("{:?}", sequence(number))).collect();
        assert_eq!(sequences.len() as u64, CASES);
        let longest = (0..CASES).map(|number| sequence(number).len()).max();
        assert_eq!(longest, Some(3));
    }
}
