//! What is left in the folder must agree with what was said.

use crate::{
    work::{OPS, SOURCE, Said, append, options},
    worker::Heard,
};
use factum_core::{Append, AppendError, Limits, Position, Receipt, RecordedEvent};
use factum_log::{Job, Reader, Writer};
use factum_sim::{check, dice::Dice};
use std::path::Path;

/// A folder after a crash, and what was said before it.
pub(crate) struct Aftermath<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) seed: u64,
    pub(crate) heard: &'a Heard,
}

/// Which appends are there, each with the position of its last event.
type Found = Vec<(u64, Position)>;

impl Aftermath<'_> {
    /// Opens the store and looks at all of it; sends again what is not known; opens it once more.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (mut writer, reader) = self.open()?;
        let mut dice = Dice::new(self.seed);
        let events = check::coherent(&reader, &mut dice, 3)?;
        let found = self.found(&events)?;
        self.agrees(&found)?;
        self.tracks(&reader, &found)?;
        self.retry(&mut writer, &found)?;
        let after = check::coherent(&reader, &mut dice, 3)?;
        if after[..events.len()] != events {
            return Err("what was there has changed since appends went on".into());
        }
        writer.close().map_err(|fault| format!("closing: {fault}"))?;
        drop((writer, reader));
        let (_writer, reader) = self.open()?;
        match check::coherent(&reader, &mut dice, 3)? == after {
            true => Ok(()),
            false => Err("opened again, and an event is not what it was".into()),
        }
    }

    fn open(&self) -> Result<(Writer, Reader), String> {
        let (writer, reader) = factum_log::open(self.folder, options())
            .map_err(|error| format!("opening: {error}"))?;
        match writer.read_only() {
            Some(why) => Err(format!("opened to read only: {why}")),
            None => Ok((writer, reader)),
        }
    }

    /// Every event must be of an append, each append whole and in order.
    fn found(&self, events: &[RecordedEvent]) -> Result<Found, String> {
        let mut found = Found::new();
        let mut rest = events;
        while let Some(first) = rest.first() {
            let number = u64::try_from(first.id().as_u128() >> 16).unwrap_or(0);
            let number = number.checked_sub(1).filter(|number| *number < OPS);
            let number = number.ok_or_else(|| format!("an event of nobody: {first:?}"))?;
            if found.last().is_some_and(|(last, _)| *last >= number) {
                return Err(format!("append {number} after one that came later"));
            }
            let wanted = append(self.seed, number).events;
            let (these, after) = rest.split_at_checked(wanted.len()).unwrap_or((rest, &[]));
            let is_same = these.len() == wanted.len()
                && these.iter().zip(&wanted).all(|(found, (stream, event))| {
                    found.id() == event.id && found.stream() == stream && found.data() == event.data
                });
            if !is_same {
                return Err(format!("append {number} is not whole, or not what it was"));
            }
            let last = these.last().expect("an append has an event");
            found.push((number, last.position()));
            rest = after;
        }
        Ok(found)
    }

    fn agrees(&self, found: &Found) -> Result<(), String> {
        for (number, said) in self.heard {
            let there = found.iter().find(|(found, _)| found == number).map(|(_, at)| *at);
            match (said, there) {
                (Said::Done(at), Some(there)) if *at == there => {}
                (Said::Refused, None) | (Said::Unknown, _) => {}
                _ => return Err(format!("append {number}: {said:?} was said; found at {there:?}")),
            }
        }
        // It stops saying where it dies: what came after that was never asked for, but for a group.
        let said = self.heard.keys().next_back().map_or(0, |last| last + 1);
        match found.last() {
            Some((last, _)) if *last >= said + 4 => Err(format!("append {last} was not asked for")),
            _ => Ok(()),
        }
    }

    fn tracks(&self, reader: &Reader, found: &Found) -> Result<(), String> {
        let tracked = reader.tracked(SOURCE).map_err(|error| format!("tracked: {error}"))?;
        let right = found.last().map(|(last, _)| last + 1);
        match tracked == right {
            true => Ok(()),
            false => Err(format!("the source is at {tracked:?} instead of {right:?}")),
        }
    }

    /// What is there is answered as the first time; what is not is done now, if nothing came after.
    fn retry(&self, writer: &mut Writer, found: &Found) -> Result<(), String> {
        let last = found.last().map(|(last, _)| *last);
        let upto = (last.map_or(0, |last| last + 1) + 3).min(OPS);
        for number in upto.saturating_sub(8)..upto {
            let answer = send(writer, append(self.seed, number));
            let there = found.iter().find(|(found, _)| *found == number);
            match (&answer, there) {
                (Ok(receipt), Some((_, at))) if receipt.replayed && receipt.position == *at => {}
                (Ok(receipt), None) if !receipt.replayed && last.is_none_or(|l| l < number) => {}
                (Err(AppendError::Tracked { .. }), None) if last.is_some_and(|l| l > number) => {}
                _ => return Err(format!("append {number} again: {answer:?}; it was at {there:?}")),
            }
        }
        Ok(())
    }
}

fn send(writer: &mut Writer, append: Append) -> Result<Receipt, AppendError> {
    let job = Job::append(append, &Limits::default())?;
    writer.step(vec![job]).pop().expect("one answer to one job")
}
