//! What a scavenge takes, from the list of all events alone.

use super::{Event, Model, Said, Truth, judge::system};
use factum_core::{RecordedEvent, Revision, StreamMetadata, StreamName, Timestamp};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What becomes of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It stays.
    Keep,
    /// It goes.
    Drop,
    /// Its place stays.
    Empty,
}

/// What stands in an emptied place.
const EMPTIED: &str = "$scavenged";

/// Of a stream: its last event, what hides the others, and whether it is gone for ever.
struct Known<'a> {
    last: &'a RecordedEvent,
    metadata: StreamMetadata,
}

impl Truth<'_> {
    /// What a scavenge at this moment, with this grace, does with each event.
    #[must_use]
    pub fn fates(&self, now: Timestamp, grace_s: u64) -> Vec<Fate> {
        let mut last: HashMap<StreamName, &RecordedEvent> = HashMap::new();
        for event in self.0 {
            last.insert(event.stream().clone(), event);
        }
        let known: HashMap<&StreamName, Known<'_>> = last
            .iter()
            .map(|(stream, event)| {
                let metadata = match stream.is_metadata() {
                    true => StreamMetadata { max_count: Some(1), ..StreamMetadata::default() },
                    false => match last.get(&stream.metadata_stream()) {
                        None => StreamMetadata::default(),
                        Some(said) => StreamMetadata::from_json(said.data()).unwrap(),
                    },
                };
                (stream, Known { last: event, metadata })
            })
            .collect();
        let of = |event: &RecordedEvent| fate(event, &known[event.stream()], now, grace_s);
        self.0.iter().map(of).collect()
    }
}

fn fate(event: &RecordedEvent, of: &Known<'_>, now: Timestamp, grace_s: u64) -> Fate {
    let (revision, last) = (event.revision(), of.last.revision());
    let tombstoned = of.last.event_type().as_str() == "$streamDeleted";
    let hidden = match tombstoned {
        true => revision < last,
        false => {
            let count = of.metadata.max_count.unwrap_or(u64::MAX);
            let before = of.metadata.truncate_before.unwrap_or(0);
            let is_old = |age_s: u64| event.recorded_at().plus_seconds(age_s) < now;
            revision < Revision((last.0 + 1).saturating_sub(count))
                || revision < Revision(before)
                || of.metadata.max_age_s.is_some_and(is_old)
        }
    };
    if !hidden || event.recorded_at().plus_seconds(grace_s) > now {
        Fate::Keep
    } else if revision < last {
        Fate::Drop
    } else if event.stream().is_metadata() || event.event_type().as_str() == EMPTIED {
        Fate::Keep
    } else {
        Fate::Empty
    }
}

/// Whether an event is what an emptied place says.
fn is_emptied(before: &RecordedEvent, after: &RecordedEvent) -> bool {
    let same = |event: &RecordedEvent| {
        (event.position(), event.revision(), event.id(), event.recorded_at())
    };
    same(before) == same(after)
        && before.stream() == after.stream()
        && after.event_type().as_str() == EMPTIED
        && (after.data(), after.metadata(), after.tags().len()) == (b"{}", b"", 0)
        && after.occurred_at_given().is_none()
}

/// Whether a scavenge took what it must, and nothing else. What it leaves lies together at the end:
/// the newest segment is not looked at.
pub fn scavenged(
    before: &[RecordedEvent],
    after: &[RecordedEvent],
    fates: &[Fate],
) -> Result<(), String> {
    let found: BTreeMap<u64, &RecordedEvent> =
        after.iter().map(|event| (event.position().0, event)).collect();
    let mut left = None;
    let mut seen = 0;
    for (event, fate) in before.iter().zip(fates) {
        let after = found.get(&event.position().0).copied();
        seen += usize::from(after.is_some());
        let is_done = match (fate, after) {
            (_, Some(after)) if after == event => false,
            (Fate::Drop, None) => true,
            (Fate::Empty, Some(after)) if is_emptied(event, after) => true,
            _ => return Err(format!("{fate:?} {event:?}: {after:?}")),
        };
        match (is_done, left) {
            (true, Some(left)) => return Err(format!("{left:?} was left, {event:?} was not")),
            (false, None) if *fate != Fate::Keep => left = Some(event),
            _ => {}
        }
    }
    match seen == after.len() {
        true => Ok(()),
        false => Err("events that were not there before".into()),
    }
}

impl Model {
    /// Takes in what a scavenge did, which was looked at before.
    pub fn forget(&mut self, after: &[RecordedEvent]) {
        let found: BTreeMap<u64, &RecordedEvent> =
            after.iter().map(|event| (event.position().0, event)).collect();
        for nth in 0..self.events.len() {
            let event = self.events[nth].clone();
            match found.get(&(nth as u64 + 1)) {
                Some(after) if after.event_type() == &event.said.event_type => {}
                Some(_) => {
                    let emptied = system(EMPTIED, b"{}".to_vec());
                    let said = Said { id: event.said.id, ..emptied };
                    self.events[nth] = Arc::new(Event { said, ..(*event).clone() });
                }
                None => {
                    self.gone.insert(nth);
                    if let Some(id) = event.said.id {
                        let key = (event.stream.clone(), id);
                        if self.ids.get(&key) == Some(&nth) {
                            self.ids.remove(&key);
                        }
                    }
                }
            }
        }
    }

    /// Whether the event of this position is gone; of position 0, whether any is.
    #[must_use]
    pub fn is_gone(&self, position: u64) -> bool {
        match position.checked_sub(1) {
            None => !self.gone.is_empty(),
            Some(nth) => usize::try_from(nth).is_ok_and(|nth| self.gone.contains(&nth)),
        }
    }
}
