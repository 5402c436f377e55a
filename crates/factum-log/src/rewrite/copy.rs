//! Passes over a segment: what a rewriting would free, and the rewriting itself.

use super::{
    fate::{Fate, Fates, Old},
    output::{Draft, New, Output, Remains},
    pace::{Halt, Pace},
    walk::{Frame, Names, Walk},
};
use crate::{
    error::{Damage, Fault},
    format::{
        body::{Body, read_body},
        entry::Entry,
        frame::Kind,
        lost::{LostBody, key_of, read_lost},
    },
    index::Lost,
    options::Options,
    segment::Segment,
};

/// What of a segment would go.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Measured {
    /// Events looked at.
    pub(super) events: u64,
    /// Events that go.
    pub(super) removed: u64,
    /// Events whose payload goes.
    pub(super) replaced: u64,
    /// About how many bytes.
    pub(super) bytes: u64,
}

/// Looks at every event of a segment, and writes nothing.
pub(super) fn measure(
    segment: &Segment,
    fates: &mut dyn Fates,
    pace: &mut Pace<'_>,
) -> Result<Measured, Halt> {
    let mut measured = Measured::default();
    let mut walk = Walk::new(segment)?;
    let mut names = Names::default();
    while let Some(frame) = walk.next()? {
        pace.spend(frame.header.frame_bytes() as u64)?;
        let contradiction = || segment.fault(frame.offset, Damage::Contradiction);
        match frame.header.kind {
            Kind::Events => {}
            Kind::Lost => {
                lost(&mut names, &frame).ok_or_else(contradiction)?;
                continue;
            }
            Kind::Carry | Kind::Closed | Kind::Sealed => continue,
        }
        let body = events(&mut names, &frame).ok_or_else(contradiction)?;
        for entry in &body.entries {
            let old = old(segment, &names, entry).ok_or_else(contradiction)?;
            measured.events += 1;
            match fates.of(&old)? {
                Fate::Keep => {}
                Fate::Drop => {
                    measured.removed += 1;
                    measured.bytes += old.bytes();
                }
                Fate::Replace(instead) => {
                    measured.replaced += 1;
                    measured.bytes += old.bytes().saturating_sub(instead.data.len() as u64);
                }
            }
        }
    }
    Ok(measured)
}

/// Copies what stays into a new file, which is durable then; how long it is.
pub(super) fn copy(
    segment: &Segment,
    fates: &mut dyn Fates,
    (options, pace): (&Options, &mut Pace<'_>),
) -> Result<(Output, u64), Halt> {
    let mut output = Output::create(segment, options)?;
    match copy_into(&mut output, segment, fates, pace) {
        Ok(len) => Ok((output, len)),
        Err(halt) => {
            // Opening would remove it too; a full disk wants the space now.
            let _ = options.world.disk.remove(&output.unfinished);
            Err(halt)
        }
    }
}

fn copy_into(
    output: &mut Output,
    segment: &Segment,
    fates: &mut dyn Fates,
    pace: &mut Pace<'_>,
) -> Result<u64, Halt> {
    let mut walk = Walk::new(segment)?;
    let mut names = Names::default();
    while let Some(frame) = walk.next()? {
        pace.spend(2 * frame.header.frame_bytes() as u64)?;
        match frame.header.kind {
            Kind::Carry => drop(output.put(frame.header, frame.body)?),
            // It said that what is before it was durable: all of the new file is.
            Kind::Closed => {}
            Kind::Sealed => return Ok(output.finish(frame.header)?),
            Kind::Lost => copy_lost(output, (segment, &mut names), &frame, fates)?,
            Kind::Events => {
                if frame.header.first {
                    output.begin_append();
                }
                let contradiction = || segment.fault(frame.offset, Damage::Contradiction);
                let body = events(&mut names, &frame).ok_or_else(contradiction)?;
                let mut draft = Draft::new(&frame.header, body.tracked);
                for entry in &body.entries {
                    let old = old(segment, &names, entry).ok_or_else(contradiction)?;
                    let fate = fates.of(&old)?;
                    let instead = match &fate {
                        Fate::Drop => continue,
                        Fate::Keep => None,
                        Fate::Replace(instead) => Some(instead),
                    };
                    let tags = entry.tags.iter().map(|tag| names.tag(*tag));
                    let tags = tags.collect::<Option<_>>().ok_or_else(contradiction)?;
                    output.event(&mut draft, &New { old, tags, body: frame.body, instead });
                }
                if !draft.is_empty() {
                    output.push(draft)?;
                }
                if frame.header.last {
                    output.end_append()?;
                }
            }
        }
    }
    Err(segment.fault(segment.end(), Damage::Unsealed).into())
}

/// What is lost stays lost; what is known of it goes where its event would have gone, so that what
/// stays of a stream follows each other.
fn copy_lost(
    output: &mut Output,
    (segment, names): (&Segment, &mut Names),
    frame: &Frame<'_>,
    fates: &mut dyn Fates,
) -> Result<(), Fault> {
    let contradiction = || segment.fault(frame.offset, Damage::Contradiction);
    let said = lost(names, frame).ok_or_else(contradiction)?;
    let mut remains = Vec::new();
    for entry in &said.body.entries {
        let old = old(segment, names, entry).ok_or_else(contradiction)?;
        if fates.of(&old)? == Fate::Drop {
            continue;
        }
        let tags = entry.tags.iter().map(|tag| names.tag(*tag).cloned());
        remains.push(Remains {
            ordinal: entry.ordinal,
            stream: old.stream.clone(),
            revision: entry.revision,
            event_type: old.event_type.clone(),
            tags: tags.collect::<Option<_>>().ok_or_else(contradiction)?,
            key: key_of(entry.id),
        });
    }
    let ordinals = frame.header.ordinal..frame.header.ordinal + said.count;
    let lost = Lost { ordinals, is_known: said.is_known };
    output.lost(&lost, frame.header.recorded_at_ns, &remains)
}

/// What a frame says is lost, its names taken in; `None` if it makes no sense.
fn lost<'a>(names: &mut Names, frame: &Frame<'a>) -> Option<LostBody<'a>> {
    let said = read_lost(&frame.header, frame.body)?;
    said.body.names.iter().try_for_each(|name| names.learn(name))?;
    Some(said)
}

/// The events of a frame, its names taken in; `None` if it makes no sense.
fn events<'a>(names: &mut Names, frame: &Frame<'a>) -> Option<Body<'a>> {
    let body = read_body(&frame.header, frame.body)?;
    body.names.iter().try_for_each(|name| names.learn(name))?;
    Some(body)
}

fn old<'a>(segment: &Segment, names: &'a Names, entry: &'a Entry) -> Option<Old<'a>> {
    Some(Old {
        stream: names.stream(entry.stream)?,
        event_type: names.event_type(entry.event_type)?,
        position: segment.position(entry.ordinal),
        entry,
    })
}
