//! What a scavenge takes out: what the metadata of each stream hides, as of its beginning.
//!
//! Hidden events are the first ones of their stream, and the grace is a position, so what goes of a
//! stream is its beginning, and what stays in a segment is contiguous.

use super::fate::{Fate, Fates, Old, Substitute};
use crate::{
    error::Fault,
    planted::{Bug, is_on},
    read::{FrameReader, Snapshot},
    shared::Shared,
};
use factum_core::{EventType, StreamName, Timestamp, system};
use std::{collections::HashMap, sync::Arc};

/// Streams whose metadata is remembered; all are forgotten when there are more.
const STREAMS_MAX: usize = 65_536;

/// What of a stream is hidden.
#[derive(Clone, Copy, Debug)]
struct Hidden {
    before_revision: u64,
    before_position: u64,
    /// Its last revision.
    last: u64,
}

/// Hidden events that stay, and why.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Stays {
    /// They were recorded within the grace.
    pub(super) in_grace: u64,
    /// The last of their streams, without a payload: their revisions go on from there.
    pub(super) last: u64,
}

/// Decides by what is visible.
#[derive(Debug)]
pub(super) struct ByVisibility {
    shared: Arc<Shared>,
    until: u64,
    now: Timestamp,
    /// Events from this position on are within the grace.
    grace: u64,
    frames: FrameReader,
    streams: HashMap<StreamName, Hidden>,
    /// The first position that is as young as a `$maxAge` asks for.
    ages: HashMap<u64, u64>,
    pub(super) stays: Stays,
}

impl ByVisibility {
    /// As of now: events recorded in the last `grace_s` seconds stay whatever hides them.
    pub(super) fn new(shared: &Arc<Shared>, grace_s: u64) -> Result<Self, Fault> {
        let (segments, until, now) = (shared.segments(), shared.head().0, shared.now());
        let snapshot = Snapshot { segments: &segments, until, pending: None };
        let grace_ns = i64::try_from(grace_s).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
        let grace = match is_on(Bug::ForgetGrace) {
            true => u64::MAX,
            false => snapshot.first_recorded_after(Timestamp(now.0.saturating_sub(grace_ns)))?,
        };
        let shared = shared.clone();
        let (frames, streams, ages, stays) = Default::default();
        Ok(Self { shared, until, now, grace, frames, streams, ages, stays })
    }

    fn hidden(&mut self, stream: &StreamName) -> Result<Hidden, Fault> {
        if let Some(hidden) = self.streams.get(stream) {
            return Ok(*hidden);
        }
        // Not the list of the beginning: it would hold the files that were replaced since.
        let segments = self.shared.segments();
        let snapshot = Snapshot { segments: &segments, until: self.until, pending: None };
        let head = snapshot.stream_head(&mut self.frames, stream)?;
        let last = head.last.unwrap_or_default();
        let before_revision = match head.tombstoned {
            true => last.0,
            false => head.metadata.first_visible(last).0,
        };
        let before_position = match head.metadata.max_age_s {
            None => 0,
            Some(age_s) => match self.ages.get(&age_s) {
                Some(position) => *position,
                None => {
                    let position = snapshot.first_as_young_as(age_s, self.now)?;
                    self.ages.insert(age_s, position);
                    position
                }
            },
        };
        let hidden = Hidden { before_revision, before_position, last: last.0 };
        if self.streams.len() >= STREAMS_MAX {
            self.streams.clear();
            self.ages.clear();
        }
        self.streams.insert(stream.clone(), hidden);
        Ok(hidden)
    }
}

impl Fates for ByVisibility {
    fn of(&mut self, event: &Old<'_>) -> Result<Fate, Fault> {
        let hidden = self.hidden(event.stream)?;
        let revision = event.entry.revision;
        let is_hidden =
            revision < hidden.before_revision || event.position < hidden.before_position;
        if !is_hidden {
            return Ok(Fate::Keep);
        }
        if event.position >= self.grace {
            self.stays.in_grace += 1;
            return Ok(Fate::Keep);
        }
        if revision != hidden.last || is_on(Bug::ScavengeLastEvent) {
            return Ok(Fate::Drop);
        }
        self.stays.last += 1;
        Ok(if is_kept_whole(event) { Fate::Keep } else { Fate::Replace(emptied()) })
    }
}

/// Whether the last event of a stream stays as it is, hidden or not: what it says still counts.
fn is_kept_whole(event: &Old<'_>) -> bool {
    let name = event.event_type.as_str();
    // Anybody may append an event of this type: only without a payload it is ours.
    let is_emptied = name == system::SCAVENGED && event.entry.data.len() <= EMPTIED.len();
    event.stream.is_metadata() || name == system::STREAM_DELETED || is_emptied
}

/// What an emptied place says.
const EMPTIED: &[u8] = b"{}";

fn emptied() -> Substitute {
    let event_type = EventType::trusted(system::SCAVENGED.into());
    Substitute { event_type, data: EMPTIED.to_vec() }
}
